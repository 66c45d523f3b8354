/**
 * EfficientTrain (Wang et al. 2023, 2024) around any recipe of pairs: training begins on small images with weak augmentation, whose patterns
 * a model learns first anyway, and ends on whole ones. As in EfficientTrain++ images are scaled down, in place of cutting out their low
 * frequencies. Parameters and their moments stay as they are through all phases: position tables are resized within the programs.
 *
 * @module
 */
import type { Collate } from "../data/collate.ts";
import { Loader, type LoaderOptions } from "../data/loader.ts";
import type { Dataset, Example, Skipped } from "../data/dataset.ts";
import type { PairBatch } from "../data/pair_collate.ts";
import type { ImageOptions } from "../data/transform.ts";
import type { PairModel } from "../models/albef.ts";
import type { AlbefConfig } from "../models/config.ts";
import type { ParametersOf, SpecTree } from "../nn/spec.ts";
import type { Tensor } from "../program/graph.ts";
import type { Avals, Tree } from "../program/tree.ts";
import type { PairObjective, RecipeSetup } from "./recipe.ts";

/** A phase of a curriculum. */
export interface Phase {
  /** Its first epoch. */
  readonly epoch: number;
  /** Side of the images, pixels. */
  readonly resolution: number;
  /** Share of RandAugment's strength, where there is any. */
  readonly strength: number;
}

/** Shares of the epochs and of the resolution (160, 192 and 224 of 224), and the strength in the middle of each on a line from 0 to 1. */
const STAGES = [
  { share: 0.6, size: 160 / 224, strength: 0.3 },
  { share: 0.2, size: 192 / 224, strength: 0.7 },
  { share: 0.2, size: 1, strength: 0.9 },
] as const;

/**
 * The phases of EfficientTrain for a number of epochs. Resolutions are rounded to whole patches, an even number of pixels; what takes less
 * than an epoch is left out, the last phase is not.
 *
 * @throws {RangeError} If there is no epoch.
 */
export function efficientTrain(epochs: number, { resolution, patch }: AlbefConfig["vision"]): Phase[] {
  if (!(epochs >= 1)) {
    throw new RangeError(`Cannot plan a curriculum: there must be at least one epoch: it is ${epochs}`);
  }
  const phases: Phase[] = [], unit = patch % 2 ? 2 * patch : patch;
  let begun = 0;
  for (const { share, size, strength } of STAGES) {
    const epoch = Math.min(Math.round(begun * epochs), Math.ceil(epochs) - 1),
      side = Math.round(size * resolution / unit) * unit;
    if (phases.at(-1)?.epoch === epoch) phases.pop();
    phases.push({ epoch, resolution: Math.min(resolution, Math.max(unit, side)), strength });
    begun += share;
  }
  return phases;
}

/** The phase of an epoch. */
export function phaseAt(phases: readonly Phase[], epoch: number): number {
  return Math.max(0, phases.findLastIndex((phase) => phase.epoch <= epoch));
}

/** What a recipe is told for a phase. */
export function phaseSetup<C extends RecipeSetup>(setup: C, { resolution, strength }: Phase): C {
  const { config, view } = setup;
  return {
    ...setup,
    config: { ...config, vision: { ...config.vision, resolution } },
    view: { ...view, resolution, randAugment: Number(view.randAugment ?? true) * strength } satisfies ImageOptions,
  };
}

/**
 * An objective that takes mini-batches of every phase.
 *
 * @param whole On whole images: its parameters are trained.
 * @param phases Of the same recipe, made with {@linkcode phaseSetup}; the shape of a mini-batch's images tells whose it is.
 */
export function phased<S extends SpecTree, X extends Tree, B extends PairBatch>(
  whole: PairObjective<S, X, B>,
  phases: readonly PairObjective<S, X, B>[],
): PairObjective<S, X, B> {
  const wordsOf = ({ input }: PairObjective<S, X, B>) => (input as unknown as Avals<PairBatch>).images.shape[1];
  const own = <T>(images: Tensor, take: (objective: PairObjective<S, X, B>) => T): T =>
    take([whole, ...phases].find((objective) => wordsOf(objective) === images.shape[1]) ?? whole);
  const model: PairModel<ParametersOf<S>> = {
    ...whole.model,
    image: (p, images) => own(images, ({ model }) => model.image(p, images)),
  };
  return {
    ...whole,
    model,
    inputs: phases.map(({ input }) => input),
    loss: (p, extra, input, context) => own(input.images, (objective) => objective.loss(p, extra, input, context)),
  };
}

/** Loads the mini-batches of each phase, by one loader at a time: each holds Workers. */
export class PhasedLoaders<E extends Example, B extends Tree> {
  readonly #skipped: Skipped[] = [];
  readonly #ending: Promise<void>[] = [];
  #phase = -1;
  #loader: Loader<E, B> | undefined;

  /** Starts none yet. @param objectives One for each phase. */
  constructor(
    readonly dataset: Dataset<E>,
    readonly phases: readonly Phase[],
    readonly objectives: readonly { readonly collate: Collate<E, B> }[],
    readonly options: LoaderOptions,
  ) {}

  /** Examples that could not be loaded. */
  get skipped(): readonly Skipped[] {
    const all = [...this.#skipped, ...this.#loader?.skipped ?? []];
    return all.filter(({ index }, i) => all.findIndex((other) => other.index === index) === i);
  }

  /** The loader of an epoch; that of another phase is closed. */
  at(epoch: number): Loader<E, B> {
    const phase = phaseAt(this.phases, epoch);
    if (this.#loader && phase === this.#phase) return this.#loader;
    this.#end();
    this.#phase = phase;
    return this.#loader = new Loader(this.dataset, this.objectives[phase]!.collate, this.options);
  }

  #end(): void {
    if (!this.#loader) return;
    this.#skipped.push(...this.#loader.skipped);
    this.#ending.push(this.#loader.close());
    this.#loader = undefined;
  }

  /** Ends all Workers. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    await Promise.all(this.#ending);
  }
}
