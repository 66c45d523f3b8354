/**
 * Whether any or all elements over axes are true, that is not 0.
 *
 * @module
 */
import { apply, type Op, type Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { leadingAxis } from "./_batch.ts";
import { asF32 } from "./_float.ts";
import { max, min } from "./max.ts";
import { REDUCE_OPTIONS, type ReduceOptions } from "./reduce.ts";

const bits: Record<string, string> = { f32: "(bitcast<U>($0) & U(0x7fffffffu))", i32: "bitcast<U>($0)", u32: "$0" };

const truthOp: Op<null> = {
  name: "truth",
  infer: ([x]) => [{ shape: x!.shape, dtype: "f32" }],
  batch: leadingAxis,
  expression: (_, [x]) => ({ text: `select(V(0.0), V(1.0), ${bits[x!.dtype]} != U(0u))` }),
  vjp: () => [null],
};

/** 1 where an element is not 0 (NaN is not), else 0; by its bits, for comparisons with NaN promise nothing. f32; no gradient. */
export function truth(x: Tensor): Tensor {
  return apply(truthOp, [asF32(x)], null);
}

/**
 * 1 where any element over `axes` (default: all) is not 0, else 0 (f32; no gradient). NaN is not 0, as in NumPy.
 *
 * @param x Any type, any shape.
 */
export function any(x: Tensor, options: ReduceOptions = {}): Tensor {
  return max(truth(x), checkOptions("any", options, REDUCE_OPTIONS));
}

/**
 * 1 where all elements over `axes` (default: all) are not 0, else 0 (f32; no gradient). NaN is not 0, as in NumPy.
 *
 * @param x Any type, any shape.
 */
export function all(x: Tensor, options: ReduceOptions = {}): Tensor {
  return min(truth(x), checkOptions("all", options, REDUCE_OPTIONS));
}
