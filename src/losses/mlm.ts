/**
 * Masked language modelling (Li et al. 2021, section 3.2; with a momentum model section 3.3).
 *
 * @module
 */
import { type Albef, type ModelContext, vocabularyStates } from "../models/albef.ts";
import { predicted } from "../nn/attack.ts";
import { divide, less, maximum, multiply, subtract } from "../ops/elementwise.ts";
import { sum } from "../ops/reduce.ts";
import { reshape } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { distilled, type Logits, softmaxLoss } from "./softmax_loss.ts";

/** Logits of a second model, whose softmax is a second target, and the weight of that part in [0, 1]. */
export interface SoftTargets {
  /** Logits whose softmax is the second target. */
  readonly logits: Logits;
  /** Their weight in [0, 1]. */
  readonly alpha: Tensor | number;
}

/** Masked texts and what they are to become. */
export type MaskedTexts = {
  /** u32 [B, L]: ids with some replaced by [MASK] or random ones. */
  readonly mlmIds: Tensor;
  /** i32 [B, L]: the original ids at the chosen positions, -100 elsewhere. */
  readonly mlmLabels: Tensor;
  /** f32 [B, L]: 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
};

/**
 * Mean cross-entropy over the positions with a label (others -100; 0 if there is none): logits of states [..., D] after the head's
 * transform and of the vocabulary [V, D] with its bias [V], labels i32 [...]. The T x V logits exist in tiles only. With soft targets:
 * (1 - alpha) * cross-entropy + alpha * cross-entropy with their softmax, both over the same positions.
 */
export function mlmLoss(logits: Logits, labels: Tensor, soft?: SoftTargets): Tensor {
  const flat = reshape(labels, [labels.size]);
  const byToken = (l: Logits): Logits => ({
    ...l,
    queries: reshape(l.queries, [labels.size, l.queries.shape.at(-1)!]),
  });
  const chosen = subtract(1, less(flat, 0)); // 1 at positions with a label
  predicted(byToken(logits), chosen);
  const losses = softmaxLoss(byToken(logits), {
    targets: { labels: flat },
    ...distilled(soft && byToken(soft.logits), soft?.alpha ?? 0),
  });
  return divide(sum(multiply(losses, chosen)), maximum(sum(chosen), 1));
}

/**
 * Vocabulary logits of masked texts with their images [B, P + 1, D], through all layers: T = B * L rows that are never whole. Without
 * images cross-attention is left out.
 */
export function maskedLogits(
  p: Pick<Albef, "text_encoder">,
  { mlmIds, mask }: MaskedTexts,
  image: Tensor | undefined,
  context: ModelContext,
): Logits {
  return {
    queries: vocabularyStates(p, { ids: mlmIds, mask }, image, context),
    keys: p.text_encoder.bert.embeddings.word_embeddings.weight,
    bias: p.text_encoder.cls.predictions.bias,
  };
}
