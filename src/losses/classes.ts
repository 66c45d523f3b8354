/**
 * Classification.
 *
 * @module
 */
import { predicted } from "../nn/attack.ts";
import { crossEntropy } from "../ops/cross_entropy.ts";
import { mean } from "../ops/reduce.ts";
import type { Tensor } from "../program/graph.ts";

/** Mean cross-entropy of logits [N, C] with labels i32 [N], a scalar. */
export function classLoss(logits: Tensor, labels: Tensor): Tensor {
  predicted(logits);
  return mean(crossEntropy(logits, labels)[0]);
}
