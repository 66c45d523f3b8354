/**
 * The largest and the smallest element over axes.
 *
 * @module
 */
import { type Node, type Op, Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { divide, equal, multiply } from "./elementwise.ts";
import { reduce, REDUCE_OPTIONS, type ReduceAttrs, type ReduceOptions, reduction, sum } from "./reduce.ts";

/** The gradient goes to the elements that equal the result. */
const shareRule: NonNullable<Op<ReduceAttrs>["vjp"]> = (node, [ct]) => {
  const { inputs: [x], attrs: { axis, count } } = node;
  const hits = equal(x!, new Tensor(node as Node));
  const axes = Array.from({ length: count }, (_, i) => axis + i);
  return [multiply(hits, divide(ct!, sum(hits, { axes, keepDims: true })))];
};

/** The op, for tests of a single kernel. */
export const maxOp: Op<ReduceAttrs> = reduction("max", shareRule);
/** The op, for tests of a single kernel. */
export const minOp: Op<ReduceAttrs> = reduction("min", shareRule);

/**
 * Largest element over `axes` (default: all). The gradient is divided evenly among equal largest elements. NaN where an
 * element is NaN, and -Infinity where all are.
 *
 * @param x f32, f16 (the result is f32), i32 or u32, any shape.
 */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(maxOp, x, 1, checkOptions("max", options, REDUCE_OPTIONS));
}

/**
 * Smallest element over `axes` (default: all). The gradient is divided evenly among equal smallest elements. NaN where an
 * element is NaN, and Infinity where all are.
 *
 * @param x f32, f16 (the result is f32), i32 or u32, any shape.
 */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(minOp, x, 1, checkOptions("min", options, REDUCE_OPTIONS));
}
