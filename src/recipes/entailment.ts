/**
 * Fine-tuning for visual entailment (Li et al. 2021, section 5): cross-entropy of three classes, with a momentum model's soft targets.
 *
 * @module
 */
import type { EntailmentExample } from "../data/entailment.ts";
import { type EntailmentBatch, entailmentCollate } from "../data/entailment_collate.ts";
import { classLoss } from "../losses/classes.ts";
import { branch, type ModelContext, type PatchedPairs } from "../models/albef.ts";
import { type Entailment, entailmentLogits, type EntailmentSpec, entailmentSpec } from "../models/entailment.ts";
import { clean } from "../nn/attack.ts";
import { add, multiply, negate } from "../ops/elementwise.ts";
import { mean, sum } from "../ops/reduce.ts";
import { stopGradient } from "../ops/shape.ts";
import { logSoftmax, softmax } from "../ops/softmax.ts";
import { ema } from "../optim/adamw.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { share } from "../settings/kinds.ts";
import { accuracy } from "./_classes.ts";
import { patched, type Recipe, type RecipeObjective } from "./recipe.ts";

/** Its settings. @internal */
export const entailmentFields = fields({
  momentum: share(0.995, "share of the momentum model that a step leaves", { paper: "0.995" }),
  alpha: share(0.4, "weight of the momentum model's soft targets, from the first step on", { paper: "0.4" }),
});

/** The momentum side of a step. */
export interface EntailmentMomentum {
  /** The momentum model, moved already. */
  readonly model: Entailment;
  /** Weight of its soft targets. */
  readonly alpha: number;
}

/** What is kept from step to step; nothing where alpha is 0. */
export type EntailmentExtra = { readonly momentum?: Entailment };

/** A loss with what it was computed from. */
export interface EntailmentLoss {
  /** (1 - alpha) * cross-entropy with the labels + alpha * cross-entropy with the momentum model's softmax: a scalar. */
  readonly loss: Tensor;
  /** Logits [B, 3]. */
  readonly logits: Tensor;
  /** Logits of the momentum model [B, 3], constants, where there is one. */
  readonly momentumLogits?: Tensor;
}

/** The mean loss of sentences with their images and labels i32 [B]. Dropout takes branches 0 and 1 of the key. */
export function entailmentLoss(
  p: Entailment,
  { labels, ...pairs }: PatchedPairs & { readonly labels: Tensor },
  context: ModelContext,
  momentum?: EntailmentMomentum,
): EntailmentLoss {
  const logits = entailmentLogits(p, pairs, branch(context, 0)), hard = classLoss(logits, labels);
  if (!momentum) return { loss: hard, logits };
  const { model, alpha } = momentum,
    momentumLogits = clean(() => stopGradient(entailmentLogits(model, pairs, branch(context, 1))));
  const soft = negate(mean(sum(multiply(softmax(momentumLogits), logSoftmax(logits)), { axes: [1] })));
  return { loss: add(multiply(hard, 1 - alpha), multiply(soft, alpha)), logits, momentumLogits };
}

/** The recipe. */
export const entailment: Recipe<
  typeof entailmentFields,
  RecipeObjective<EntailmentExample, EntailmentSpec, EntailmentExtra, EntailmentBatch>
> = {
  title: "fine-tuning for visual entailment: does an image entail a sentence, contradict it, or neither",
  fields: entailmentFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false }, given) {
    const { momentum, alpha } = withDefaults(entailmentFields, given);
    const collate = entailmentCollate({ view, maxLength: textLength, tokenizer });
    return {
      spec: entailmentSpec(config),
      collate,
      input: collate.shapes(batch),
      extra: (p) => alpha > 0 ? { momentum: p } : {},
      loss(p, extra, input, { key }) {
        const pairs = { ...patched(input, config), labels: input.labels };
        const model = extra.momentum && ema(extra.momentum, p, momentum);
        const { loss, logits } = entailmentLoss(p, pairs, { config, key, remat }, model && { model, alpha });
        const metrics = { accuracy: accuracy(logits, input.labels) };
        return model ? { loss, metrics, extra: { momentum: model } } : { loss, metrics };
      },
    };
  },
};
