/**
 * GRIT on top of any recipe of pairs (Byun et al. 2022, section 3.2 and algorithm 1): the features that a loss has computed anyway are
 * collected in queues while training, and grouped into the mini-batches of the next epoch when the queues are full.
 *
 * @module
 */
import type { CaptionPair } from "../data/caption_pairs.ts";
import type { Batch, Loader } from "../data/loader.ts";
import type { PairBatch } from "../data/pair_collate.ts";
import { type GpuGrouping, gpuGrouping } from "../grit/group.ts";
import type { SamplerOptions } from "../grit/options.ts";
import { GritSampler } from "../grit/sampler.ts";
import { decodeState, encodeState } from "../grit/state.ts";
import type { PairFeatures, PairModel } from "../models/albef.ts";
import type { ParametersOf, SpecTree } from "../nn/spec.ts";
import { ringUpdate } from "../ops/ring_update.ts";
import { compile, type Compiled, tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Avals, Tree } from "../program/tree.ts";
import type { DataStream, Objective, Position, Settings, Task, TrainBatch } from "../train/task.ts";
import { forget } from "./_forget.ts";
import type { PairObjective } from "./recipe.ts";

/** The recipe's own state and the feature queues, [rows, embedding] each, where features are collected while training. */
export type Grouped<X extends Tree> = { readonly own: X; readonly image?: Tensor; readonly text?: Tensor };

/** A mini-batch with the row of the queues that its features go to, u32 [1]. */
export type Numbered<B> = B & { readonly row: Tensor };

/** What a grouped task consists of beside its objective. */
export interface GroupedOptions<B extends PairBatch> {
  /** Gives the mini-batches; a function gives the loader of an epoch. */
  readonly loader: Loader<CaptionPair, B> | ((epoch: number) => Loader<CaptionPair, B>);
  /** Sizes and mode of the sampler. */
  readonly sampler: SamplerOptions;
  /** Width of the features. */
  readonly embedding: number;
  /** Epochs after which there are no more mini-batches. Default: no end. */
  readonly epochs?: number;
  /** Settings that a resumed run must share. */
  readonly settings?: Settings;
}

/**
 * An objective whose features go into queues of `rows` rows, in its extra state.
 *
 * @param rows 0: nothing is collected.
 */
export function collecting<S extends SpecTree, X extends Tree, B extends PairBatch>(
  objective: PairObjective<S, X, B>,
  rows: number,
  embedding: number,
): Objective<S, Grouped<X>, Numbered<B>> {
  const queue = (): Tensor => tensor(new Float32Array(rows * embedding), [rows, embedding], "f32", { copy: false });
  return {
    spec: objective.spec,
    ...(objective.bounds ? { bounds: objective.bounds } : {}),
    ...(objective.decays ? { decays: objective.decays } : {}),
    ...(objective.trainable ? { trainable: objective.trainable } : {}),
    input: numbered(objective.input),
    ...(objective.inputs ? { inputs: objective.inputs.map(numbered) } : {}),
    extra: (p) => ({
      own: objective.extra?.(p) ?? {} as X,
      ...(rows ? { image: queue(), text: queue() } : {}),
    }),
    loss(p, { own, image, text }, { row, ...batch }, context) {
      const { features, negatives: _, extra = own, ...result } = objective.loss(p, own, batch as unknown as B, context);
      const queues = image && text
        ? { image: ringUpdate(image, features.image, row), text: ringUpdate(text, features.text, row) }
        : {};
      return { ...result, extra: { own: extra, ...queues } };
    },
  };
}

function numbered<B extends PairBatch>(input: Avals<B>): Avals<Numbered<B>> {
  return { ...input, row: { shape: [1], dtype: "u32" } } as unknown as Avals<Numbered<B>>;
}

/** What decides on the rows of the queues. */
export type QueueSizes = Pick<Required<SamplerOptions>, "mode" | "queue" | "examples" | "miniBatch">;

/** Rows of the queues that a sampler needs while training. */
export function queueRows(sizes: QueueSizes): number {
  return sizes.mode === "grit" || sizes.mode === "no-shuffle" ? rowsInUse(sizes) : 0;
}

/** Rows of a queue that a pass over the data fills at most. */
function rowsInUse({ queue, examples, miniBatch }: QueueSizes): number {
  return Math.min(queue, Math.floor(examples / miniBatch) * miniBatch);
}

/** The task of training `objective` on mini-batches that the sampler groups. @throws {RangeError} If its sizes do not fit the data. */
export function grouped<S extends SpecTree, X extends Tree, B extends PairBatch>(
  objective: PairObjective<S, X, B>,
  options: GroupedOptions<B>,
): Task<S, Grouped<X>, Numbered<B>> & { readonly data: GroupedStream<S, X, B> } {
  const { embedding, settings } = options;
  const data = new GroupedStream<S, X, B>(objective.model, options), { sampler } = data;
  return {
    ...collecting(objective, queueRows(sampler.options), embedding),
    data,
    settings: { ...settings, sampler: { ...sampler.options } },
  };
}

/** Mini-batches in the order of the sampler, which learns the next epoch's from the features of this one. */
export class GroupedStream<S extends SpecTree, X extends Tree, B extends PairBatch>
  implements DataStream<S, Grouped<X>, Numbered<B>> {
  readonly #options: GroupedOptions<B>;
  readonly #group: GpuGrouping = gpuGrouping();
  readonly #featurePass: FeaturePass<ParametersOf<S>> | undefined;
  #sampler: GritSampler;
  #batches: AsyncIterator<Batch<B>> | undefined;
  /** The parameters that a feature pass uses. */
  #params: ParametersOf<S> | undefined;

  /** Starts with a random order. `model` is for feature passes. */
  constructor(model: PairModel<ParametersOf<S>>, options: GroupedOptions<B>) {
    this.#options = options;
    this.#sampler = new GritSampler(options.sampler);
    const sizes = this.#sampler.options;
    if (sizes.mode === "naive") this.#featurePass = new FeaturePass(model, rowsInUse(sizes), options.embedding);
  }

  /** The sampler, to look at. */
  get sampler(): GritSampler {
    return this.#sampler;
  }

  /** The next mini-batch to be trained on; feature passes happen in between. */
  async next({ params }: Position<S>): Promise<TrainBatch<Numbered<B>> | undefined> {
    for (;;) {
      if (this.#sampler.step === this.#sampler.steps) await this.#nextPass();
      const { epoch, pass, queued } = this.#sampler;
      if (epoch >= (this.#options.epochs ?? Infinity)) return undefined;
      const { number, indices, input } = await this.#load(), row = tensor(Uint32Array.of(queued));
      if (pass === "train") {
        const label = `mini-batch ${number} of epoch ${epoch} (examples ${indices.join(", ")})`;
        return { input: { ...input, row }, examples: indices.length, label, epoch };
      }
      this.#params ??= await params();
      await this.#collect(await this.#featurePass!.run(this.#params, input, row));
    }
  }

  /** Counts the mini-batch and groups where the queues are full. */
  async done(_: TrainBatch<Numbered<B>>, { image, text }: Grouped<X>): Promise<void> {
    await this.#collect({ image, text });
  }

  /** Phase 1 has put the features in the queues; phases 2 and 3 when they are full. */
  async #collect({ image, text }: { image?: Tensor | undefined; text?: Tensor | undefined }): Promise<void> {
    const sampler = this.#sampler;
    sampler.collect(sampler.batch(sampler.step));
    if (sampler.needsGrouping) sampler.accept(await this.#group(image!, text!, sampler.grouping()));
  }

  /** Phase 4, and the loader starts on the new order. */
  async #nextPass(): Promise<void> {
    this.#sampler.nextPass();
    await this.#batches?.return?.();
    this.#batches = undefined;
    this.#params = undefined;
  }

  async #load(): Promise<Batch<B>> {
    const sampler = this.#sampler, { epoch, pass, step } = sampler;
    const draw = pass === "train" ? 2 * epoch : 2 * epoch + 1;
    const { loader } = this.#options;
    this.#batches ??= (typeof loader === "function" ? loader(epoch) : loader).batches(
      (k) => k < sampler.steps ? sampler.batch(k) : undefined,
      {
        epoch: draw,
        from: step,
      },
    )[Symbol.asyncIterator]();
    const { value, done } = await this.#batches.next();
    if (done) throw new Error(`The loader ended at mini-batch ${step} of ${sampler.steps}`);
    return value;
  }

  /** The sampler's state. */
  save(): Record<string, Uint8Array<ArrayBuffer>> {
    return { sampler: encodeState(this.#sampler.state()) };
  }

  /** Takes it back. */
  restore(parts: ReadonlyMap<string, Uint8Array>): void {
    const state = parts.get("sampler");
    if (!state) throw new SyntaxError("Cannot resume: the checkpoint has no state of the sampler");
    this.#sampler = GritSampler.restore(this.#options.sampler, decodeState(state, "the checkpoint"));
    forget(this.#batches);
    this.#batches = undefined;
    this.#params = undefined;
    this.#featurePass?.reset();
  }

  /** Ends the batches that are being read and frees the memory of the grouping. */
  async close(): Promise<void> {
    await this.#batches?.return?.();
    this.#featurePass?.destroy();
    this.#group.destroy();
  }
}

/** Features without training, for the naive variant's extra pass. */
class FeaturePass<P> {
  #queues!: PairFeatures;
  readonly #step: Compiled<[PairFeatures, Tree, PairBatch, Tensor], PairFeatures>;

  constructor(model: PairModel<P>, readonly rows: number, readonly embedding: number) {
    this.reset();
    this.#step = compile((queues: PairFeatures, params: Tree, { images, ids, mask }: PairBatch, row: Tensor) => ({
      image: ringUpdate(queues.image, model.image(params as P, images).features, row),
      text: ringUpdate(queues.text, model.text(params as P, { ids, mask }).features, row),
    }), { donate: [0] });
  }

  /** Empties the queues: what was in them may be on a device that is gone. */
  reset(): void {
    const { rows, embedding } = this;
    const empty = (): Tensor => tensor(new Float32Array(rows * embedding), [rows, embedding], "f32", { copy: false });
    this.#queues = { image: empty(), text: empty() };
  }

  async run(params: P, { images, ids, mask, imageIds }: PairBatch, row: Tensor): Promise<PairFeatures> {
    return this.#queues = await this.#step(this.#queues, params as Tree, { images, ids, mask, imageIds }, row);
  }

  destroy(): void {
    this.#step.destroy();
  }
}
