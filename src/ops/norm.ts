/**
 * Norms of vectors over axes, and vectors of length 1.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { truth } from "./any.ts";
import { checkInput, FLOATS } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { abs, divide, maximum, minimum, multiply, square, where } from "./elementwise.ts";
import { max } from "./max.ts";
import { REDUCE_OPTIONS, type ReduceOptions, sum } from "./reduce.ts";
import { reshape, stopGradient } from "./shape.ts";
import { sqrtOrZero } from "./variance.ts";

/** Options of {@linkcode norm}. */
export interface NormOptions extends ReduceOptions {
  /** 1: sum of absolute values; 2: square root of the sum of squares; Infinity: largest absolute value. Default 2. */
  readonly ord?: 1 | 2 | typeof Infinity;
}

/** The largest number by which WGSL divides accurately: the reciprocal of a larger one may count as 0. */
const LARGE = 2 ** 126;

/**
 * Norm over `axes` (default: all). Squares neither overflow nor vanish: elements are divided by the largest one before. The
 * gradient of a norm that is 0 is 0.
 *
 * @param x f32 or f16 (the result is f32), any shape.
 */
export function norm(x: Tensor, given: NormOptions = {}): Tensor {
  const { ord = 2, ...options } = checkOptions("norm", given, { ord: "one", ...REDUCE_OPTIONS });
  checkInput("norm", "the input", x, FLOATS);
  if (ord !== 1 && ord !== 2 && ord !== Infinity) {
    throw new RangeError(`Cannot apply norm: ord must be 1, 2 or Infinity: it is ${ord}`);
  }
  const size = abs(asF32(x));
  if (ord !== 2) return (ord === 1 ? sum : max)(size, options);
  const top = minimum(max(stopGradient(size), { ...options, keepDims: true }), LARGE);
  const scale = where(truth(top), top, 1);
  const root = sqrtOrZero(sum(square(divide(asF32(x), scale)), options));
  return multiply(reshape(scale, root.shape), root);
}

/** Options of {@linkcode l2Normalize}. */
export interface L2NormalizeOptions {
  /** Axes of a vector, negative ones from the end. Default: the last. */
  readonly axes?: readonly number[];
  /** What the length counts as at least. Default 1e-12. */
  readonly eps?: number;
}

/**
 * Vectors divided by their L2 norm, or by `eps` where that is less: 0 stays 0.
 *
 * @param x f32 or f16 (the result is f32), of at least one axis.
 */
export function l2Normalize(x: Tensor, options: L2NormalizeOptions = {}): Tensor {
  const { axes = [-1], eps = 1e-12 } = checkOptions("l2Normalize", options, { axes: "list", eps: "one" });
  return divide(x, maximum(norm(x, { axes, keepDims: true }), eps));
}
