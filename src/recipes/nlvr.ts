/**
 * Fine-tuning for reasoning over two images (NLVR2), and its pre-training by text assignment (Li et al. 2021, section 5): is a sentence
 * true of two images; to which of two images does a text belong, or to neither?
 *
 * @module
 */
import type { CaptionPair } from "../data/caption_pairs.ts";
import { cleanCaption } from "../data/captions.ts";
import {
  type Collate,
  givenTokenizer,
  imageShape,
  tokenShapes,
  type TokenTensors,
  tokenTensors,
} from "../data/collate.ts";
import type { Example, ImageFile } from "../data/dataset.ts";
import { type PairBatch, pairCollate, type PairCollateOptions } from "../data/pair_collate.ts";
import { drawAssignment, textAssignmentLogits } from "../losses/assignment.ts";
import { branch } from "../models/albef.ts";
import { nlvrLogits, type NlvrSpec, nlvrSpec, type TextAssignmentSpec, textAssignmentSpec } from "../models/nlvr.ts";
import { argmax } from "../ops/argmax.ts";
import { crossEntropy } from "../ops/cross_entropy.ts";
import { cast, equal } from "../ops/elementwise.ts";
import { foldIn } from "../ops/random.ts";
import { mean } from "../ops/reduce.ts";
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { fields } from "../settings/field.ts";
import type { LossResult, NoExtra } from "../train/task.ts";
import { patched, type Recipe, type RecipeObjective } from "./recipe.ts";

/** A sentence about two images. */
export interface NlvrExample extends Example {
  /** The left and the right one. */
  readonly images: readonly [ImageFile, ImageFile];
  /** As it was written; it is cleaned here. */
  readonly sentence: string;
  /** Whether it is true. */
  readonly label: boolean;
}

/** B sentences about two images each. */
export type NlvrBatch = TokenTensors & {
  /** u32 [2B, H * W * 3 / 4]: packed RGB bytes, all left images, then all right ones. */
  readonly images: Tensor;
  /** i32 [B]: 1 if the sentence is true, else 0. */
  readonly labels: Tensor;
};

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
        const choose = (similarities: Tensor) => drawAssignment(similarities, foldIn(key, 1));
        const { logits, assignment } = textAssignmentLogits(p, patched(input, config), choose, context);
        return classification(logits, assignment.labels);
      },
    };
  },
};

/** Mean cross-entropy of logits [B, C] with labels i32 [B], and the share of labels whose logit is the largest. */
function classification(logits: Tensor, labels: Tensor): LossResult<NoExtra> {
  return {
    loss: mean(crossEntropy(logits, labels)[0]),
    metrics: { accuracy: mean(equal(cast(argmax(logits), "i32"), labels)) },
  };
}

/** Pairs of images, sentences and labels. */
function nlvrCollate({ view, maxLength, tokenizer }: PairCollateOptions): Collate<NlvrExample, NlvrBatch> {
  return {
    views: [view],
    shapes: (count) => ({
      images: imageShape(view, 2 * count),
      ...tokenShapes(count, maxLength),
      labels: { shape: [count], dtype: "i32" },
    }),
    collate: (examples, [images]) => ({
      images: ofTwo(images!, examples.length),
      ...tokenTensors(givenTokenizer(tokenizer), examples.map(({ sentence }) => cleanCaption(sentence)), maxLength),
      labels: tensor(Int32Array.from(examples, ({ label }) => Number(label))),
    }),
  };
}

function ofTwo(images: Tensor, count: number): Tensor {
  if (images.shape[0] === 2 * count) return images;
  throw new RangeError(`Cannot collate: an example must have 2 images: it has ${images.shape[0]! / count}`);
}
