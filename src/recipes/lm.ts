/**
 * A language model that may see images (Keh et al. 2025, section 3): the next token of packed rows, with a loss on text alone. Stages
 * differ in what stays as it is: the encoder, the projector, the decoder (Lin et al. 2024, VILA, section 3).
 *
 * @module
 */
import { nextTokenLoss } from "../losses/next_token.ts";
import { total } from "../losses/total.ts";
import { type DecoderBatch, sequenceShapes } from "../data/sequences/decoder_batch.ts";
import {
  languageModelParts,
  type VisionLanguageConfig,
  type VisionLanguageSpec,
  visionLanguageSpec,
  visionLanguageStates,
} from "../models/vision_language.ts";
import type { Avals } from "../program/tree.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { list, number } from "../settings/kinds.ts";
import type { NoExtra, Objective } from "../train/task.ts";
import type { Recipe } from "./recipe.ts";

type Part = keyof typeof languageModelParts;
const PARTS = Object.keys(languageModelParts) as Part[];

/** Its settings. @internal */
export const lmFields = fields({
  zLoss: number(1e-4, "weight of the squared log-sum-exp of the logits; 0 leaves it out", {
    min: 0,
    paper: "not stated",
  }),
  freeze: list([], `parts that stay as they are, of ${PARTS.join(", ")}`, { paper: "encoder, or none" }),
});

/** What the recipe is told beside its settings. */
export interface LmSetup {
  /** Sizes of the model. */
  readonly config: VisionLanguageConfig;
  /** Rows of a mini-batch. */
  readonly batch: number;
  /** Tokens of a row. */
  readonly length: number;
  /** Images of a mini-batch; those that have no place are not looked at. @default 0 */
  readonly images?: number;
  /** Compute the layers' intermediates again in the backward pass instead of keeping them. @default false */
  readonly remat?: boolean;
}

/** The recipe. */
export const lm: Recipe<typeof lmFields, Objective<VisionLanguageSpec, NoExtra, DecoderBatch>, LmSetup> = {
  title: "a language model on packed rows of text, with or without images in them",
  fields: lmFields,
  objective({ config, batch, length, images = 0, remat = false }, given) {
    const { zLoss, freeze } = withDefaults(lmFields, given), frozen = freeze.map(prefixOf);
    return {
      spec: visionLanguageSpec(config),
      input: shapesOf(config, batch, length, images),
      trainable: (name) => !frozen.some((prefix) => name.startsWith(prefix)),
      loss(p, _, input) {
        const states = visionLanguageStates(p, input, { config, remat });
        const { crossEntropy, z, tokens } = nextTokenLoss(p.llm_backbone.llm.model, states, input);
        const { loss } = total({ crossEntropy: () => crossEntropy, z: () => z }, { z: zLoss });
        return { loss, metrics: { crossEntropy, tokens, ...(zLoss ? { z } : {}) } };
      },
    };
  },
};

function prefixOf(part: string): string {
  if (PARTS.includes(part as Part)) return languageModelParts[part as Part];
  throw new RangeError(`Cannot freeze "${part}": "freeze" must name parts of ${PARTS.join(", ")}`);
}

function shapesOf(
  { image, decoder }: VisionLanguageConfig,
  batch: number,
  length: number,
  images: number,
): Avals<DecoderBatch> {
  if (images && !image) {
    throw new RangeError(
      `Cannot train on ${images} images: the model must have an image prefix: its config has no "image"`,
    );
  }
  if (length > decoder.maxPositions) {
    throw new RangeError(
      `Cannot train on rows of ${length} tokens: they must be at most the ${decoder.maxPositions} positions of the model`,
    );
  }
  return sequenceShapes({ batch, length, images, ...(image && { side: image.encoder.resolution }) });
}
