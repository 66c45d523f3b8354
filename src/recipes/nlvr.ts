/**
 * Fine-tuning for reasoning over two images (NLVR2), and its pre-training by text assignment (Li et al. 2021, section 5): is a sentence
 * true of two images; to which of two images does a text belong, or to neither?
 *
 * @module
 */
import type { CaptionPair } from "../data/caption_pairs.ts";
import { type NlvrBatch, nlvrCollate, type NlvrExample } from "../data/nlvr_collate.ts";
import { type PairBatch, pairCollate } from "../data/pair_collate.ts";
import { classLoss } from "../losses/classes.ts";
import { drawAssignment, textAssignmentLogits } from "../losses/assignment.ts";
import { branch } from "../models/albef.ts";
import { nlvrLogits, type NlvrSpec, nlvrSpec, type TextAssignmentSpec, textAssignmentSpec } from "../models/nlvr.ts";
import { clean } from "../nn/attack.ts";
import { foldIn } from "../ops/random.ts";
import type { Tensor } from "../program/graph.ts";
import { fields } from "../settings/field.ts";
import type { LossResult, NoExtra } from "../train/task.ts";
import { accuracy } from "./_classes.ts";
import { patched, type Recipe, type RecipeObjective } from "./recipe.ts";

/** Their settings: none. @internal */
export const nlvrFields = fields({});

/** The recipe of NLVR2. */
export const nlvr2: Recipe<typeof nlvrFields, RecipeObjective<NlvrExample, NlvrSpec, NoExtra, NlvrBatch>> = {
  title: "fine-tuning for NLVR2: is a sentence true of two images",
  fields: nlvrFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false }) {
    const collate = nlvrCollate({ view, maxLength: textLength, tokenizer });
    return {
      spec: nlvrSpec(config),
      collate,
      input: collate.shapes(batch),
      loss: (p, _, input, { key }) =>
        classification(nlvrLogits(p, patched(input, config), { config, key, remat }), input.labels),
    };
  },
};

/** The recipe of text assignment, on images and captions. The images of a text are drawn anew in each step. */
export const textAssignment: Recipe<
  typeof nlvrFields,
  RecipeObjective<CaptionPair, TextAssignmentSpec, NoExtra, PairBatch>
> = {
  title: "pre-training for NLVR2: to which of two images does a text belong, or to neither",
  fields: nlvrFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false }) {
    const collate = pairCollate({ view, maxLength: textLength, tokenizer });
    return {
      spec: textAssignmentSpec(config),
      collate,
      input: collate.shapes(batch),
      loss(p, _, input, { key }) {
        const context = branch({ config, key, remat }, 2);
        const choose = (similarities: Tensor) => clean(() => drawAssignment(similarities, foldIn(key, 1)));
        const { logits, assignment } = textAssignmentLogits(p, patched(input, config), choose, context);
        return classification(logits, assignment.labels);
      },
    };
  },
};

/** Mean cross-entropy of logits [B, C] with labels i32 [B], and the share of labels whose logit is the largest. */
function classification(logits: Tensor, labels: Tensor): LossResult<NoExtra> {
  return {
    loss: classLoss(logits, labels),
    metrics: { accuracy: accuracy(logits, labels) },
  };
}
