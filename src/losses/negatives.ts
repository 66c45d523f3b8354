/**
 * Negatives for image-text matching: for each row of a similarity matrix one other column.
 *
 * @module
 */
import type { PairFeatures } from "../models/albef.ts";
import { argmax } from "../ops/argmax.ts";
import { add, divide, equal, iota, multiply, subtract } from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { foldIn, gumbel, type Key } from "../ops/random.ts";
import { reshape, stopGradient } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";

/** `top1`: the hardest (the released GRIT-VLP code); `multinomial`: drawn by softmax (ALBEF, both papers); `random`: uniform. */
export type NegativeKind = typeof NEGATIVE_KINDS[number];

/** All of {@linkcode NegativeKind}. */
export const NEGATIVE_KINDS = ["top1", "multinomial", "random"] as const;

/** Which pairs of a batch do not belong together, u32 [B]. */
export type PairNegatives = {
  /** An image for each text. */
  readonly images: Tensor;
  /** A text for each image. */
  readonly texts: Tensor;
};

/** What is taken from columns that must not be chosen; the row itself gets twice as much, so that it is the last choice. */
export const EXCLUDED = 1e30;

/**
 * Negatives of both sides of B pairs by the similarity of features: of `queries` (the model's) to `keys` (the same, or a momentum
 * encoder's), divided by the temperature. Given negatives are returned as they are.
 */
export function pairNegatives(
  kind: NegativeKind | PairNegatives,
  features: { readonly queries: PairFeatures; readonly keys: PairFeatures; readonly temperature: Tensor },
  key: Key,
  imageIds?: Tensor,
): PairNegatives {
  if (typeof kind === "object") return kind;
  const { queries, keys, temperature } = features;
  const logits = (rows: Tensor, columns: Tensor): Tensor =>
    stopGradient(divide(matmul(rows, columns, { transposeB: true }), temperature));
  return {
    images: chooseNegatives(logits(queries.text, keys.image), kind, foldIn(key, 1), imageIds),
    texts: chooseNegatives(logits(queries.image, keys.text), kind, foldIn(key, 2), imageIds),
  };
}

/**
 * A column for each row of logits [N, N], u32 [N]: never the row itself and, where there is a choice, no column of the same
 * image (`imageIds` u32 [N]). Chosen on masked raw logits: weights after a softmax underflow when the temperature is small,
 * and a zeroed diagonal is then as good as any other column (what the official code does). A draw by softmax is an arg-max
 * over logits plus Gumbel noise.
 */
export function chooseNegatives(logits: Tensor, kind: NegativeKind, key: Key, imageIds?: Tensor): Tensor {
  const n = logits.shape[0]!;
  if (n < 2) throw new RangeError(`Cannot choose negatives: a batch must hold at least 2 pairs: it holds ${n}`);
  const scores = kind === "random" ? multiply(logits, 0) : stopGradient(logits);
  const noisy = kind === "top1" ? scores : add(scores, gumbel(foldIn(key, 0), [n, n]));
  const self = equal(iota([n, 1], 0), iota([1, n], 1));
  let masked = subtract(noisy, multiply(self, 2 * EXCLUDED));
  if (imageIds) {
    masked = subtract(masked, multiply(equal(reshape(imageIds, [n, 1]), reshape(imageIds, [1, n])), EXCLUDED));
  }
  return argmax(masked);
}
