/**
 * Attention whose probabilities can be seen and differentiated by: what Grad-CAM needs of one layer, where all others stay fused.
 *
 * @module
 */
import { attention, type AttentionOptions } from "../ops/attention.ts";
import { add, multiply } from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { concat, reshape, slice } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { transpose } from "../ops/transpose.ts";
import type { Tensor } from "../program/graph.ts";

/** Is shown the attention of one layer while a model is traced. Dropout must be off. */
export interface AttentionTap {
  /** Number of the layer or block, from 0 on. */
  readonly layer: number;
  /** Only the first so many queries, if not all. */
  readonly queries?: number;
  /** Takes the probabilities, f32 [B, heads, Tq, Tk], that the layer's result is computed from. */
  readonly show: (probabilities: Tensor) => void;
}

/**
 * `attention(q, k, v)` with the probabilities of the first queries written out, softmax(scale q k' + mask), shown, and multiplied
 * by v. Further queries stay fused, so that memory is linear in their number.
 *
 * @param options `mask` is [B, Tk].
 * @throws {RangeError} If there is dropout.
 */
export function shownAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: Pick<AttentionOptions, "heads" | "mask" | "dropout">,
  { queries = q.shape[1]!, show }: AttentionTap,
): Tensor {
  if (options.dropout) throw new RangeError("Cannot show attention: dropout must be off: there is a key for it");
  const { heads, mask } = options, [batch, tq, depth] = q.shape as [number, number, number], tk = k.shape[1]!;
  const byHead = (x: Tensor): Tensor =>
    // [B, T, D] -> [B, heads, T, D / heads]
    transpose(reshape(x, [batch, x.shape[1]!, heads, depth / heads]), [0, 2, 1, 3]);
  const scores = matmul(multiply(byHead(slice(q, 1, 0, queries)), 1 / Math.sqrt(depth / heads)), byHead(k), {
    transposeB: true,
  });
  const probabilities = softmax(mask ? add(scores, reshape(mask, [batch, 1, 1, tk])) : scores);
  show(probabilities);
  const context = transpose(matmul(probabilities, byHead(v)), [0, 2, 1, 3]); // [B, queries, heads, D / heads]
  const shown = reshape(context, [batch, queries, depth]);
  return queries === tq ? shown : concat([shown, attention(slice(q, 1, queries, tq), k, v, options)], 1);
}
