/**
 * Variance and standard deviation over axes.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { truth } from "./any.ts";
import { checkAxes, checkInput, FLOATS } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { sqrt, square, subtract, where } from "./elementwise.ts";
import { countOf, mean, reduce, REDUCE_OPTIONS, type ReduceOptions, sumOp } from "./reduce.ts";
import { slice, stopGradient } from "./shape.ts";

/** Options of {@linkcode variance} and {@linkcode std}. */
export interface VarianceOptions extends ReduceOptions {
  /**
   * What is subtracted from the number of elements before it divides the sum of squares: 0 gives the biased variance, 1 is
   * Bessel's correction. Default 0, as in NumPy and JAX; PyTorch's default is 1.
   */
  readonly correction?: number;
}

/**
 * x minus its mean over axes. Everything is relative to the first element, so that equal elements give exactly 0 and a large
 * mean costs no digits.
 */
export function centered(name: string, x: Tensor, axes?: readonly number[]): Tensor {
  const at = checkAxes(name, axes, x.shape.length);
  const first = at.reduce((part, axis) => slice(part, axis, 0, 1), stopGradient(x));
  const relative = subtract(x, first);
  return subtract(relative, mean(relative, { axes: at, keepDims: true }));
}

/** Square root whose gradient at 0 is 0. NaN stays NaN. */
export function sqrtOrZero(x: Tensor): Tensor {
  const positive = truth(x);
  return where(positive, sqrt(where(positive, x, 1)), 0);
}

/**
 * Variance over `axes` (default: all): the sum of (x - mean)^2 divided by the number of elements less `correction`.
 *
 * @param x f32 or f16 (the result is f32), any shape.
 * @throws {RangeError} if there are not more elements than `correction`.
 */
export function variance(x: Tensor, options: VarianceOptions = {}): Tensor {
  return varianceOf("variance", x, options);
}

/** Square root of the {@linkcode variance}, see there; where it is 0, its gradient is 0, as in PyTorch. */
export function std(x: Tensor, options: VarianceOptions = {}): Tensor {
  return sqrtOrZero(varianceOf("std", x, options));
}

function varianceOf(name: string, x: Tensor, given: VarianceOptions): Tensor {
  const { correction = 0, ...options } = checkOptions(name, given, { ...REDUCE_OPTIONS, correction: "one" });
  checkInput(name, "the input", x, FLOATS);
  const freedom = countOf(name, x, options) - correction;
  if (!(freedom > 0)) {
    throw new RangeError(
      `Cannot apply ${name}: there must be more elements than the correction: there are ${
        freedom + correction
      }, and it is ` +
        `${correction}`,
    );
  }
  return reduce(sumOp, square(centered(name, asF32(x), options.axes)), 1 / freedom, options);
}
