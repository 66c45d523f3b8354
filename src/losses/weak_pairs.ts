/**
 * Losses of pairs that may not belong together (Zhou et al. 2022, section 3.3, "image-sentence alignment"): the model's own judgement of a
 * pair weighs what is learned of it.
 *
 * @module
 */
import { clean, predicted } from "../nn/attack.ts";
import { add, divide, less, maximum, multiply, subtract } from "../ops/elementwise.ts";
import { sum } from "../ops/reduce.ts";
import { reshape, slice, stopGradient } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import type { Tensor } from "../program/graph.ts";
import { type Logits, softmaxLoss } from "./softmax_loss.ts";

/**
 * What each pair counts: the probability of a match, a constant, from an epoch on, and 1 before.
 *
 * @param logits f32 [B, 2]: (no match, match) of each pair.
 * @param epoch Scalar, the epoch now, from 0.
 * @param from The first epoch in which the model is trusted.
 * @returns f32 [B].
 */
export function matchWeights(logits: Tensor, epoch: Tensor, from: number): Tensor {
  return clean(() => {
    const probability = reshape(slice(softmax(stopGradient(logits)), 1, 1, 2), [logits.shape[0]!]);
    const early = less(epoch, from);
    return add(early, multiply(subtract(1, early), probability));
  });
}

/**
 * The mean over tokens with a label of their cross-entropy times the weight of their pair; 0 without such tokens.
 *
 * @param logits Of states [B, L, D] and the vocabulary, in parts.
 * @param labels i32 [B, L]: ids that are to be predicted, negative elsewhere.
 * @param weights f32 [B].
 */
export function weightedTokenLoss(logits: Logits, labels: Tensor, weights: Tensor): Tensor {
  const { queries } = logits, flat = reshape(labels, [labels.size]), chosen = subtract(1, less(labels, 0));
  const byToken = { ...logits, queries: reshape(queries, [labels.size, queries.shape.at(-1)!]) };
  const counts = multiply(chosen, reshape(weights, [weights.size, 1]));
  predicted(byToken, counts);
  const losses = softmaxLoss(byToken, { targets: { labels: flat } });
  return divide(sum(multiply(reshape(losses, labels.shape), counts)), maximum(sum(chosen), 1));
}
