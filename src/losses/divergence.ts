/**
 * How far predictions are from others: VILLA's smoothness term (Gan et al. 2020, equation 5).
 *
 * @module
 */
import { checkpoint } from "../autograd/grad.ts";
import type { Prediction } from "../nn/attack.ts";
import type { Logits } from "../nn/logits.ts";
import { add, divide, maximum, multiply, subtract } from "../ops/elementwise.ts";
import { mean, sum } from "../ops/reduce.ts";
import { concat, reshape, slice, stopGradient } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { Tensor } from "../program/graph.ts";
import { cutRows, logitTile, ranges, TILE } from "./softmax_loss.ts";

/**
 * KL(p || q) + KL(q || p) of p = softmax(a) and q = softmax(b), row by row, [R]; gradients flow to both. It is the sum of
 * (p - q) (a - b), which loses no digits where they are close. Of the logits, [..., K] or in parts, a tile of rows exists at a time.
 *
 * @param tile Largest number of logits of a tile, a row at least.
 */
export function symmetricKl(a: Tensor | Logits, b: Tensor | Logits, { tile = TILE }: { tile?: number } = {}): Tensor {
  const [rows, columns] = a instanceof Tensor
    ? [a.size / a.shape.at(-1)!, a.shape.at(-1)!]
    : [a.queries.shape[0]!, a.keys.shape[0]!];
  const cut = (logits: Tensor | Logits, from: number, to: number): Tensor | Logits =>
    logits instanceof Tensor ? slice(reshape(logits, [rows, columns]), 0, from, to) : cutRows(logits, from, to);
  const parts = ranges(rows, Math.max(1, Math.floor(tile / columns))).map(({ from, to }) =>
    checkpoint(klOfRows)(cut(a, from, to), cut(b, from, to))
  );
  return concat(parts, 0);
}

function klOfRows(a: Tensor | Logits, b: Tensor | Logits): Tensor {
  const [x, y] = [a, b].map((logits) =>
    logits instanceof Tensor ? logits : logitTile(logits, { from: 0, to: logits.keys.shape[0]! })
  ) as [Tensor, Tensor];
  return sum(multiply(subtract(softmax(x), softmax(y)), subtract(x, y)), { axes: [1] });
}

/** R_kl: for each prediction the mean of {@linkcode symmetricKl} over the rows that count, by its weight; summed, a scalar. */
export function divergence(predictions: readonly Prediction[], others: readonly Pick<Prediction, "logits">[]): Tensor {
  const terms = predictions.map(({ logits, counts, weight }, i) => {
    const rows = symmetricKl(logits, others[i]!.logits);
    if (!counts) return multiply(mean(rows), weight);
    const each = reshape(stopGradient(counts), [rows.size]);
    return multiply(divide(sum(multiply(rows, each)), maximum(sum(each), 1)), weight);
  });
  return terms.reduce((a, b) => add(a, b));
}
