/**
 * Perturbations that make a loss larger: projected gradient ascent (Madry et al. 2018; with these norms Zhu et al. 2020, FreeLB, and Gan et
 * al. 2020, VILLA, algorithm 1). The norms are of one example each: of all elements but those of the first axis.
 *
 * @module
 */
import { add, divide, maximum, minimum, multiply } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { l2Normalize, norm } from "../ops/norm.ts";
import { type Key, uniform } from "../ops/random.ts";
import type { Tensor } from "../program/graph.ts";

/** How perturbations move. */
export interface AscentOptions {
  /** Length of a step of each example. */
  readonly stepSize: number;
  /** Largest L2 norm of an example's perturbation; 0: there is none. */
  readonly ball: number;
}

/** What a norm is at least where it divides. */
const LEAST = 1e-8;

/**
 * A perturbation [B, ...] at the start: uniform in [-ball, ball], divided by the square root of the number of an example's elements, so
 * that its norm is at most `ball`; zeros where that is 0.
 */
export function startPerturbation(shape: readonly number[], ball: number, key: Key): Tensor {
  if (ball === 0) return full(shape, 0);
  const high = ball / Math.sqrt(shape.slice(1).reduce((a, b) => a * b, 1));
  return uniform(key, shape, { low: -high, high });
}

/** A step along the gradient [B, ...], which is divided by its norm, and back to the ball. A gradient of 0 leaves all as it is. */
export function ascend(perturbation: Tensor, gradient: Tensor, { stepSize, ball }: AscentOptions): Tensor {
  const axes = gradient.shape.map((_, i) => i).slice(1);
  const moved = add(perturbation, multiply(l2Normalize(gradient, { axes, eps: LEAST }), stepSize));
  if (ball === 0) return moved;
  const length = maximum(norm(moved, { axes, keepDims: true }), LEAST);
  return multiply(moved, minimum(divide(ball, length), 1));
}
