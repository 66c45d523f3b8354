/**
 * Word-patch alignment by optimal transport (Chen et al. 2020, section 3.2; Kim et al. 2021, section 3.2): how little it costs to
 * move the words of a text onto the patches of its image.
 *
 * @module
 */
import { scan } from "../autograd/scan.ts";
import { divide, exp, maximum, multiply, subtract } from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { l2Normalize } from "../ops/norm.ts";
import { sum } from "../ops/reduce.ts";
import { concat, reshape, slice, stopGradient } from "../ops/shape.ts";
import { transpose } from "../ops/transpose.ts";
import { full } from "../ops/full.ts";
import type { Tensor } from "../program/graph.ts";

/** How {@linkcode transportPlan} is found. */
export interface TransportOptions {
  /** Step size: small ones sharpen a round, and make it less stable. @default 0.5 */
  readonly beta?: number;
  /** Rounds of the proximal point method. @default 50 */
  readonly rounds?: number;
}

/** What a sum counts as at least where it is divided by: that of a side without a token is 0. */
const LEAST = 1e-30;

/**
 * The inexact proximal point method for optimal transport (IPOT, Xie et al. 2018, algorithm 1 with one inner round): how much of each
 * word goes to each patch, where all words of a text weigh the same in sum, and all patches of an image.
 *
 * Constants: no gradient flows, so that no round is kept for a backward pass and memory is that of one round.
 *
 * @param cost f32 [B, L, P], of words and patches.
 * @param words f32 [B, L]: 1 at words that take part.
 * @param patches f32 [B, P]: 1 at patches that take part.
 * @returns f32 [B, P, L], 0 where either does not; the rest sums to 1 for each pair.
 */
export function transportPlan(
  cost: Tensor,
  words: Tensor,
  patches: Tensor,
  { beta = 0.5, rounds = 50 }: TransportOptions = {},
): Tensor {
  const [batch, length, count] = cost.shape as [number, number, number];
  const row = reshape(stopGradient(words), [batch, 1, length]),
    column = reshape(stopGradient(patches), [batch, count, 1]);
  const total = (x: Tensor, axis: number): Tensor => sum(x, { axes: [axis], keepDims: true });
  const wordCount = maximum(total(row, 2), 1), patchCount = maximum(total(column, 1), 1), both = multiply(row, column);
  const kernel = multiply(exp(multiply(transpose(stopGradient(cost), [0, 2, 1]), -1 / beta)), both); // [B, P, L]
  type Round = { readonly plan: Tensor; readonly sigma: Tensor };
  const round = ({ plan, sigma }: Round): [Round, Tensor[]] => {
    const q = multiply(kernel, plan);
    const delta = divide(column, maximum(multiply(patchCount, total(multiply(q, sigma), 2)), LEAST)); // [B, P, 1]
    const next = divide(row, maximum(multiply(wordCount, total(multiply(q, delta), 1)), LEAST)); // [B, 1, L]
    return [{ plan: multiply(multiply(delta, q), next), sigma: next }, []];
  };
  const start: Round = { plan: both, sigma: divide(row, wordCount) };
  return scan(round, start, [], { length: rounds })[0].plan;
}

/** f32 [B, L]: the words of texts without [CLS] and their last token, [SEP], of a mask that is 1 at tokens, which come first. */
export function innerWords(mask: Tensor): Tensor {
  const [batch, length] = mask.shape as [number, number], none = full([batch, 1], 0);
  return length < 2 ? multiply(mask, 0) : concat([none, slice(mask, 1, 2, length), none], 1);
}

/** f32 [B, 1 + P]: the patches of images without [CLS], of a mask that is 1 at [CLS] and patches that are seen. */
export function innerPatches(mask: Tensor): Tensor {
  const [batch, tokens] = mask.shape as [number, number];
  return concat([full([batch, 1], 0), slice(mask, 1, 1, tokens)], 1);
}

/** Words and patches that have met, and which of them take part in {@linkcode wordPatchAlignment}. */
export interface Alignable {
  /** f32 [B, L, D]. */
  readonly text: Tensor;
  /** f32 [B, L]: 1 at words that take part. */
  readonly words: Tensor;
  /** f32 [B, P, D]. */
  readonly image: Tensor;
  /** f32 [B, P]: 1 at patches that take part. */
  readonly patches: Tensor;
}

/** How far words and patches are from each other. */
export interface Alignment {
  /** 1 - cosine, f32 [B, L, P]; 0 where a word or a patch does not take part. */
  readonly cost: Tensor;
  /** What goes where, f32 [B, P, L]; constants. */
  readonly plan: Tensor;
  /** Cost of the plan, f32 [B]. */
  readonly distance: Tensor;
}

/** The distance of texts and images: the cost of moving words onto patches that are not like them. */
export function wordPatchAlignment(
  { text, words, image, patches }: Alignable,
  options: TransportOptions = {},
): Alignment {
  const [batch, length] = words.shape as [number, number], count = patches.shape[1]!;
  const taken = multiply(reshape(words, [batch, length, 1]), reshape(patches, [batch, 1, count]));
  const cosine = matmul(l2Normalize(text), l2Normalize(image), { transposeB: true });
  const cost = multiply(subtract(1, cosine), taken), plan = transportPlan(cost, words, patches, options);
  return { cost, plan, distance: sum(multiply(cost, transpose(plan, [0, 2, 1])), { axes: [1, 2] }) };
}

/** (sum of the distances of true pairs - sum of those of false ones) / B; labels f32 [B], 1 at true pairs. It may be negative. */
export function alignmentLoss(distance: Tensor, labels: Tensor): Tensor {
  return divide(sum(multiply(distance, subtract(multiply(labels, 2), 1))), distance.size);
}
