/**
 * UNITER's masked region modelling (Chen et al. 2020, section 3.2): what a region looks like, and what it is.
 *
 * @module
 */
import { predicted } from "../nn/attack.ts";
import { divide, log, maximum, multiply, square, subtract } from "../ops/elementwise.ts";
import { sum } from "../ops/reduce.ts";
import { stopGradient } from "../ops/shape.ts";
import { logSoftmax } from "../ops/softmax.ts";
import type { Tensor } from "../program/graph.ts";

/** What a logarithm is taken of at least, where a probability is 0. */
const LEAST = 1e-30;

/**
 * MRFR: the mean squared error of the features of masked regions, over all their numbers as in the official code (the paper sums them).
 *
 * @param predicted f32 [B, R, F].
 * @param features f32 [B, R, F].
 * @param masked f32 [B, R]: 1 at regions that count.
 */
export function regionFeatureLoss(predicted: Tensor, features: Tensor, masked: Tensor): Tensor {
  const errors = sum(square(subtract(predicted, stopGradient(features))), { axes: [2] }); // [B, R]
  return divide(sum(multiply(errors, masked)), multiply(maximum(sum(masked), 1), features.shape[2]!));
}

/**
 * MRC-kl: the mean over masked regions of KL(shares || softmax(logits)). Where all of a region's share is one class's it is the
 * cross-entropy of MRC. (The official code divides by the number of classes too.)
 *
 * @param logits f32 [B, R, C].
 * @param shares f32 [B, R, C]: probabilities that sum to 1.
 * @param masked f32 [B, R]: 1 at regions that count.
 */
export function regionClassLoss(logits: Tensor, shares: Tensor, masked: Tensor): Tensor {
  predicted(logits, masked);
  const target = stopGradient(shares), gain = subtract(log(maximum(target, LEAST)), logSoftmax(logits));
  return divide(sum(multiply(sum(multiply(target, gain), { axes: [2] }), masked)), maximum(sum(masked), 1));
}
