/**
 * Pixels of hidden patches (MAE: He et al. 2022, section 3).
 *
 * @module
 */
import { add, divide, maximum, multiply, sqrt, square, subtract } from "../ops/elementwise.ts";
import { mean, sum } from "../ops/reduce.ts";
import { stopGradient } from "../ops/shape.ts";
import { variance } from "../ops/variance.ts";
import type { Tensor } from "../program/graph.ts";

/** Added to the variance of a patch, as in the official code. */
const EPS = 1e-6;

/**
 * The mean squared error of hidden patches, each of which is normalised by the mean and the (unbiased) variance of its own numbers.
 *
 * @param painted f32 [B, P, F].
 * @param patches f32 [B, P, F]: the image.
 * @param hidden f32 [B, P]: 1 at patches that count.
 */
export function maskedPixelLoss(painted: Tensor, patches: Tensor, hidden: Tensor): Tensor {
  const over = { axes: [2], keepDims: true }, spread = variance(patches, { ...over, correction: 1 });
  const target = divide(subtract(patches, mean(patches, over)), sqrt(add(spread, EPS)));
  const errors = mean(square(subtract(painted, stopGradient(target))), { axes: [2] }); // [B, P]
  return divide(sum(multiply(errors, hidden)), maximum(sum(hidden), 1));
}
