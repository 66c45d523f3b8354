/**
 * Text assignment: which of two images does a text belong to, or to neither (Li et al. 2021, section 5.3, pre-training for NLVR2).
 *
 * @module
 */
import { encodeImage, firstToken, type ModelContext, type PatchedPairs, TEMPERATURE } from "../models/albef.ts";
import { encodeTwoImages, type TextAssignment } from "../models/nlvr.ts";
import { linear } from "../nn/layers.ts";
import { add, cast, equal, greaterEqual, iota, less, multiply, subtract, where } from "../ops/elementwise.ts";
import { gather } from "../ops/gather.ts";
import { matmul } from "../ops/matmul.ts";
import { foldIn, gumbel, type Key, uniform } from "../ops/random.ts";
import { reshape, slice, stopGradient } from "../ops/shape.ts";
import { topK } from "../ops/top_k.ts";
import type { Tensor } from "../program/graph.ts";
import { EXCLUDED } from "./negatives.ts";

/** Two images for each text and what is to be said of them, [B] each. */
export type Assignment = {
  /** u32: numbers of images in the batch. */
  readonly first: Tensor;
  readonly second: Tensor;
  /** i32: 0 the text's own image comes first, 1 it comes second, 2 it is neither. */
  readonly labels: Tensor;
};

/** Similarities between the images of a batch, [B, B], at the temperature with which ALBEF starts; without gradient. */
export function imageSimilarities(features: Tensor): Tensor {
  const own = stopGradient(features);
  return multiply(matmul(own, own, { transposeB: true }), 1 / TEMPERATURE);
}

/**
 * Draws the images of each text: with probability 2/3 its own and one other in either order, else two others. Others are drawn
 * by the softmax of their similarity to the text's own image.
 *
 * @param similarities f32 [B, B], B at least 3.
 */
export function drawAssignment(similarities: Tensor, key: Key): Assignment {
  const count = similarities.shape[0]!;
  if (count < 3) throw new RangeError(`Cannot assign texts: a batch must hold at least 3 images: it holds ${count}`);
  const self = equal(iota([count, 1], 0), iota([1, count], 1));
  const noisy = add(subtract(similarities, multiply(self, EXCLUDED)), gumbel(foldIn(key, 0), [count, count]));
  const drawn = cast(topK(noisy, 2)[1], "f32"); // without replacement: the Gumbel trick for the two largest
  const [one, two] = [0, 1].map((i) => reshape(slice(drawn, 1, i, i + 1), [count])) as [Tensor, Tensor];
  const neither = less(uniform(foldIn(key, 1), [count]), 1 / 3);
  const ownFirst = greaterEqual(uniform(foldIn(key, 2), [count]), 0.5);
  const own = cast(iota([count], 0), "f32");
  return {
    first: cast(where(neither, one, where(ownFirst, own, one)), "u32"),
    second: cast(where(neither, two, where(ownFirst, one, own)), "u32"),
    labels: cast(where(neither, 2, subtract(1, ownFirst)), "i32"),
  };
}

/** Logits of {@linkcode Assignment.labels}, [B, 3], and the assignment, of B texts with an image each. */
export function textAssignmentLogits(
  p: TextAssignment,
  { patches, ...tokens }: PatchedPairs,
  choose: (similarities: Tensor) => Assignment,
  context: ModelContext,
): { logits: Tensor; similarities: Tensor; assignment: Assignment } {
  const { states, features } = encodeImage(p, patches, context);
  const similarities = imageSimilarities(features), assignment = choose(similarities);
  const pair = [gather(states, assignment.first), gather(states, assignment.second)] as const;
  const fused = encodeTwoImages(p.text_encoder, tokens, pair, context);
  return { logits: linear(p.ta_head, firstToken(fused)), similarities, assignment };
}
