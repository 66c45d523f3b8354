/**
 * Fine-tuning for visual question answering (Li et al. 2021, section 5): a decoder that sees the question with its image writes the
 * answer. An answer counts as often as annotators gave it; a momentum model gives soft targets for its tokens.
 *
 * @module
 */
import { type AnswerTensors, type VqaBatch, vqaCollate, type VqaExample } from "../data/vqa_collate.ts";
import { answerLogits, answerLosses } from "../losses/answers.ts";
import type { Logits } from "../losses/softmax_loss.ts";
import { branch, type ModelContext, type PatchedPairs } from "../models/albef.ts";
import { encodeQuestions, type Vqa, type VqaSpec, vqaSpec } from "../models/vqa.ts";
import { clean } from "../nn/attack.ts";
import { multiply } from "../ops/elementwise.ts";
import { gather } from "../ops/gather.ts";
import { sum } from "../ops/reduce.ts";
import { ema } from "../optim/adamw.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { count, share } from "../settings/kinds.ts";
import { rampedAlpha } from "./albef.ts";
import { patched, type Recipe, type RecipeObjective } from "./recipe.ts";

/** Its settings. @internal */
export const vqaFields = fields({
  answersPerQuestion: count(10, "answers of a question that count: those that most annotators gave", {
    paper: "all 10",
  }),
  answerLength: count(10, "tokens per answer, [CLS] and [SEP] included", { min: 3, paper: "the longest answer's" }),
  momentum: share(0.995, "share of the momentum model that a step leaves", { paper: "0.995" }),
  alpha: share(0.4, "weight of the momentum model's soft targets, reached at the end of the first epoch", {
    paper: "0.4 (GRIT-VLP: 0)",
  }),
});

/** The momentum side of a step. */
export interface VqaMomentum {
  /** The momentum model, moved already. */
  readonly model: Vqa;
  /** Weight of its soft targets now. */
  readonly alpha: Tensor | number;
}

/** What is kept from step to step; nothing where alpha is 0. */
export type VqaExtra = { readonly momentum?: Vqa };

/** The sum of weight * loss over the answers of B questions, divided by B: a scalar. Dropout takes branches 0 to 3 of the key. */
export function vqaLoss(
  p: Vqa,
  batch: PatchedPairs & AnswerTensors,
  context: ModelContext,
  momentum?: VqaMomentum,
): Tensor {
  const { mask, answerIds: ids, answerMask, answerWeights, answerQuestions } = batch;
  const logits = (model: Vqa, number: number): Logits => {
    const states = encodeQuestions(model, batch, branch(context, number)); // [B, L, D]
    const seen = { question: gather(states, answerQuestions), questionMask: gather(mask, answerQuestions) };
    return answerLogits(model, { ids, mask: answerMask, ...seen }, branch(context, number + 1));
  };
  const soft = momentum && { logits: clean(() => logits(momentum.model, 2)), alpha: momentum.alpha };
  const losses = answerLosses(logits(p, 0), ids, context.config.text.padId, soft); // [A]
  return multiply(sum(multiply(losses, answerWeights)), 1 / mask.shape[0]!);
}

/** The recipe. */
export const vqa: Recipe<typeof vqaFields, RecipeObjective<VqaExample, VqaSpec, VqaExtra, VqaBatch>> = {
  title: "fine-tuning for visual question answering: a decoder writes the answers",
  fields: vqaFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false, stepsPerEpoch = 1 }, given) {
    const values = withDefaults(vqaFields, given);
    const collate = vqaCollate({ ...values, view, maxLength: textLength, tokenizer });
    return {
      spec: vqaSpec(config),
      collate,
      input: collate.shapes(batch),
      extra: (p) => values.alpha > 0 ? { momentum: p } : {},
      loss(p, extra, input, { key, step }) {
        const questions = { ...input, ...patched(input, config) }, context = { config, key, remat };
        if (!extra.momentum) return { loss: vqaLoss(p, questions, context) };
        const model = ema(extra.momentum, p, values.momentum), alpha = rampedAlpha(values.alpha, step, stepsPerEpoch);
        const loss = vqaLoss(p, questions, context, { model, alpha });
        return { loss, metrics: { alpha }, extra: { momentum: model } };
      },
    };
  },
};
