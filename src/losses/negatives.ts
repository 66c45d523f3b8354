/**
 * Negatives for image-text matching: for each row of a similarity matrix one other column.
 *
 * @module
 */
import { argmax } from "../ops/argmax.ts";
import { add, equal, iota, multiply, subtract } from "../ops/elementwise.ts";
import { foldIn, gumbel, type Key } from "../ops/random.ts";
import { reshape, stopGradient } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";

/** `top1`: the hardest (the released GRIT-VLP code); `multinomial`: drawn by softmax (ALBEF, both papers); `random`: uniform. */
export type Negatives = "top1" | "multinomial" | "random";

/**
 * A column for each row of logits [N, N], u32 [N]: never the row itself and, where there is a choice, no column of the same
 * image (`imageIds` u32 [N]). Chosen on masked raw logits: weights after a softmax underflow when the temperature is small,
 * and a zeroed diagonal is then as good as any other column (what the official code does). A draw by softmax is an arg-max
 * over logits plus Gumbel noise.
 */
export function chooseNegatives(logits: Tensor, kind: Negatives, key: Key, imageIds?: Tensor): Tensor {
  const n = logits.shape[0]!;
  if (n < 2) throw new RangeError(`Cannot choose negatives: a batch must hold at least 2 pairs: it holds ${n}`);
  const scores = kind === "random" ? multiply(logits, 0) : stopGradient(logits);
  const noisy = kind === "top1" ? scores : add(scores, gumbel(foldIn(key, 0), [n, n]));
  const self = equal(iota([n, 1], 0), iota([1, n], 1));
  let masked = subtract(noisy, multiply(self, 2e30));
  if (imageIds) masked = subtract(masked, multiply(equal(reshape(imageIds, [n, 1]), reshape(imageIds, [1, n])), 1e30));
  return argmax(masked);
}
