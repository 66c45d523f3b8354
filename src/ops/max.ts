/**
 * The largest element over axes.
 *
 * @module
 */
import { type Node, type Op, Tensor } from "../program/graph.ts";
import { divide, equal, multiply } from "./elementwise.ts";
import { reduce, type ReduceAttrs, type ReduceOptions, reduction, sum } from "./reduce.ts";

/** The op, for tests of a single kernel. */
export const maxOp: Op<ReduceAttrs> = reduction("max", (node, [ct]) => {
  const { inputs: [x], attrs: { axis, count } } = node;
  const hits = equal(x!, new Tensor(node as Node));
  const axes = Array.from({ length: count }, (_, i) => axis + i);
  return [multiply(hits, divide(ct!, sum(hits, { axes, keepDims: true })))];
});

/**
 * Largest element over `axes` (default: all). The gradient is divided evenly among equal largest elements. NaN where an
 * element is NaN, and -Infinity where all are.
 *
 * @param x f32, any shape.
 */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(maxOp, x, 1, options);
}
