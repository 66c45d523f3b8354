/**
 * Products over axes.
 *
 * @module
 */
import { type Op, sizeOf, type Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { multiply } from "./elementwise.ts";
import { reduce, REDUCE_OPTIONS, type ReduceAttrs, type ReduceOptions, reduction } from "./reduce.ts";
import { cumprod } from "./scan.ts";
import { reshape } from "./shape.ts";

/** The op, for tests of a single kernel. */
export const prodOp: Op<ReduceAttrs> = reduction("prod", ({ inputs: [x], attrs: { axis, count } }, [ct]) => {
  const { shape } = x!, length = sizeOf(shape.slice(axis, axis + count));
  const line = reshape(x!, [...shape.slice(0, axis), length, ...shape.slice(axis + count)]);
  // The product of all others is that of those before and those after: no division, so that zeros may be among them.
  const before = cumprod(line, { axis, exclusive: true }),
    after = cumprod(line, { axis, exclusive: true, reverse: true });
  return [multiply(reshape(multiply(before, after), shape), ct!)];
});

/**
 * Product over `axes` (default: all). The gradient is exact where elements are 0. NaN where an element is NaN; products of
 * integers are exact, modulo 2^32.
 *
 * @param x f32, f16 (the result is f32), i32 or u32, any shape.
 */
export function prod(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(prodOp, x, 1, checkOptions("prod", options, REDUCE_OPTIONS));
}
