/**
 * What recipes that choose among classes measure.
 *
 * @module
 */
import { argmax } from "../ops/argmax.ts";
import { cast, equal } from "../ops/elementwise.ts";
import { mean } from "../ops/reduce.ts";
import type { Tensor } from "../program/graph.ts";

/** The share of labels i32 [B] whose logit, of [B, C], is the largest: a scalar. */
export function accuracy(logits: Tensor, labels: Tensor): Tensor {
  return mean(equal(cast(argmax(logits), "i32"), labels));
}
