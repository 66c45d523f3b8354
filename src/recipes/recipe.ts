/**
 * What a recipe is: a paper's section as one file. It declares its settings, says which model is trained on which mini-batches, names
 * its loss terms and sums them.
 *
 * @module
 */
import type { CaptionPair } from "../data/caption_pairs.ts";
import type { Collate } from "../data/collate.ts";
import type { Example } from "../data/dataset.ts";
import type { PairBatch } from "../data/pair_collate.ts";
import type { RegionSizes } from "../data/regions/collate.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { ImageOptions } from "../data/transform.ts";
import { type FoundPositives, NEGATIVE_KINDS, type PairNegatives } from "../losses/negatives.ts";
import { imagePatches, type PairFeatures, type PairModel, type PatchedPairs } from "../models/albef.ts";
import type { AlbefConfig } from "../models/config.ts";
import type { ParametersOf, SpecTree } from "../nn/spec.ts";
import type { Field, Fields, Values } from "../settings/field.ts";
import { staged } from "../settings/stages.ts";
import type { Tree } from "../program/tree.ts";
import type { LossResult, Objective, StepContext } from "../train/task.ts";

/** What a recipe is told beside its own settings. */
export interface RecipeSetup {
  /** Sizes of the model. */
  readonly config: AlbefConfig;
  /** Examples of a mini-batch. */
  readonly batch: number;
  /** Tokens per caption, question or sentence, [CLS] included. */
  readonly textLength: number;
  /** What happens to an image. */
  readonly view: ImageOptions;
  /** Sizes of regions, for recipes that look at them in the place of pixels. */
  readonly regions?: RegionSizes;
  /** Turns texts into ids; shapes, and so estimates, are known without it. */
  readonly tokenizer?: Tokenizer;
  /** Compute the layers' intermediates again in the backward pass instead of keeping them. @default false */
  readonly remat?: boolean;
  /** Optimizer steps of an epoch, for weights that rise over the first one. @default 1 */
  readonly stepsPerEpoch?: number;
  /** Decides on starting values of queues. @default 0 */
  readonly seed?: number;
}

/** An objective with the way from examples to its mini-batches. */
export interface RecipeObjective<E extends Example, S extends SpecTree, X extends Tree, B extends Tree>
  extends Objective<S, X, B> {
  /** Makes mini-batches of examples. */
  readonly collate: Collate<E, B>;
}

/** The setting of ITM's negatives, which every recipe with a matching head has; see `negativesAt`. */
export function negativesField(paper: string): Field<string> {
  const meaning = "how ITM's negatives are chosen; random:500,multinomial changes at step 500";
  return staged(NEGATIVE_KINDS, "multinomial", meaning, { paper });
}

/** A recipe that makes objectives O. What it is told beside its settings is S: one on images and texts for an ALBEF, if nothing is said. */
export interface Recipe<F extends Fields, O, S = RecipeSetup> {
  /** What it is, for the help. */
  readonly title: string;
  /** Its settings. */
  readonly fields: F;
  /** Whether it looks at regions that a detector has found, in the place of pixels. @default false */
  readonly looksAtRegions?: boolean;
  /** The objective that they make; a setting without a value has its default. */
  objective(setup: S, values?: Partial<Values<F>>): O;
}

/** A loss of pairs, with the features that it has computed anyway, constants: GRIT groups by them. */
export interface PairLoss<X extends Tree> extends LossResult<X> {
  /** Features of the mini-batch, constants. */
  readonly features: PairFeatures;
  /** Which pairs met in ITM, where there is one: for metrics of their quality. */
  readonly negatives?: PairNegatives;
  /** Which of these are taught as positives all the same; default: none. */
  readonly found?: FoundPositives;
}

/** An objective on image-caption pairs, with the way from its parameters to retrieval. */
export interface PairObjective<S extends SpecTree, X extends Tree, B extends PairBatch>
  extends RecipeObjective<CaptionPair, S, X, B> {
  /** Encodes images and texts for retrieval and feature passes. */
  readonly model: PairModel<ParametersOf<S>>;
  /** Traced once; see `Objective`. */
  loss(params: ParametersOf<S>, extra: X, input: B, context: StepContext): PairLoss<X>;
}

/** A recipe on image-caption pairs. */
export type PairRecipe<F extends Fields, S extends SpecTree, X extends Tree, B extends PairBatch> = Recipe<
  F,
  PairObjective<S, X, B>
>;

/** Images and texts of a mini-batch as the models take them. */
export function patched(
  { images, ids, mask }: Pick<PairBatch, "images" | "ids" | "mask">,
  { vision }: AlbefConfig,
): PatchedPairs {
  return { patches: imagePatches(images, vision), ids, mask };
}
