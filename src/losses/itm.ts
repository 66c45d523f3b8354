/**
 * Image-text matching (Li et al. 2021, section 3.2).
 *
 * @module
 */
import { type EncodedPairs, type Matcher, matchLogits, type ModelContext } from "../models/albef.ts";
import { crossEntropy } from "../ops/cross_entropy.ts";
import { cast, iota, less } from "../ops/elementwise.ts";
import { gather } from "../ops/gather.ts";
import { mean } from "../ops/reduce.ts";
import { concat } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import type { PairNegatives } from "./negatives.ts";

/** B pairs, B texts with a negative image, B images with a negative text; mean cross-entropy over 3B. */
export function itmLoss(
  p: Pick<Matcher, "text_encoder" | "itm_head">,
  { image, text, mask }: EncodedPairs,
  negatives: PairNegatives,
  context: ModelContext,
): Tensor {
  const count = text.states.shape[0]!;
  const texts = concat([text.states, text.states, gather(text.states, negatives.texts)], 0); // [3B, L, D]
  const masks = concat([mask, mask, gather(mask, negatives.texts)], 0);
  const images = concat([image.states, gather(image.states, negatives.images), image.states], 0); // [3B, P + 1, D]
  const logits = matchLogits(p, texts, { mask: masks, image: images }, context); // [3B, 2]
  const labels = cast(less(cast(iota([3 * count], 0), "i32"), count), "i32"); // B ones, 2B zeros
  return mean(crossEntropy(logits, labels)[0]);
}
