/**
 * GRIT-VLP pre-training as a task of the trainer: the model's losses, the loader, and the sampler that groups mini-batches while
 * training (Byun et al. 2022, section 3.2).
 *
 * @module
 */
import type { Batch, Loader } from "../data/loader.ts";
import { MEAN, STD } from "../data/transform.ts";
import { type GpuGroup, gpuGroup } from "../grit/group.ts";
import type { GritOptions } from "../grit/options.ts";
import { GritSampler } from "../grit/sampler.ts";
import { decodeState, encodeState } from "../grit/state.ts";
import {
  type Albef,
  type AlbefSpec,
  albefSpec,
  encodeImage,
  encodeText,
  type PretrainBatch,
  pretrainLoss,
  type PretrainOptions,
  TEMPERATURE_BOUNDS,
} from "../models/albef.ts";
import type { AlbefConfig } from "../models/config.ts";
import { initialValues, type Spec, specEntries } from "../nn/spec.ts";
import type { LayoutOptions } from "../optim/layout.ts";
import { patchifyBytes } from "../ops/patchify.ts";
import type { Key } from "../ops/random.ts";
import { updateRows } from "../ops/update_rows.ts";
import { compile, type Compiled, tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { LossResult, Settings, Task, TrainBatch } from "../train/task.ts";

/** Feature queues of the sampler, [rows, embedding] each; empty where nothing is collected while training. */
export type Queues = { readonly image?: Tensor; readonly text?: Tensor };

/** A mini-batch of {@linkcode PretrainingTask}. */
export type PretrainInput = {
  /** u32 [B, H * W * 3 / 4]: packed RGB bytes. */
  readonly images: Tensor;
  readonly ids: Tensor;
  readonly mask: Tensor;
  readonly mlmIds: Tensor;
  readonly mlmLabels: Tensor;
  readonly imageIds: Tensor;
  /** u32 [1]: where the features go in the queues. */
  readonly row: Tensor;
};

/** What pre-training consists of. */
export interface PretrainingOptions {
  /** Sizes of the model. */
  readonly config: AlbefConfig;
  /** Gives the mini-batches. */
  readonly loader: Loader;
  /** Length of the token rows that the loader gives. */
  readonly textLength: number;
  /** Sizes and mode of the GRIT sampler. */
  readonly sampler: GritOptions;
  /** Switches of the objectives. */
  readonly loss?: PretrainOptions;
  /** Decides on the starting values. @default 0 */
  readonly seed?: number;
  /** Epochs after which there are no more mini-batches. Default: no end. */
  readonly epochs?: number;
  /** Further settings that a resumed run must share: of the data, the augmentation, the masking. */
  readonly settings?: Settings;
}

/** Metrics that the task logs, in order. */
export const PRETRAINING_METRICS: readonly string[] = ["itc", "itm", "mlm", "temperature"];

/** How the trainer lays out the parameters: the temperature is kept in its bounds. */
export const PRETRAINING_LAYOUT: LayoutOptions = { bounds: { temp: TEMPERATURE_BOUNDS } };

/** Pre-training of ALBEF with GRIT mini-batches. */
export class PretrainingTask implements Task<AlbefSpec, Queues, PretrainInput> {
  /** Shapes of the parameters. */
  readonly spec: AlbefSpec;
  readonly settings: Settings;
  readonly extra: Queues;
  readonly #options: PretrainingOptions;
  readonly #specs: ReadonlyMap<string, { readonly spec: Spec; readonly stream: number }>;
  readonly #group: GpuGroup = gpuGroup();
  readonly #survey: Survey | undefined;
  #sampler: GritSampler;
  #batches: AsyncIterator<Batch> | undefined;
  /** The parameters that a survey pass uses. */
  #surveyed: Albef | undefined;

  /** Throws RangeError if the sizes of the sampler do not fit the data. */
  constructor(options: PretrainingOptions) {
    const { config, sampler, loss = {}, settings = {} } = options;
    this.#options = options;
    this.#sampler = new GritSampler(sampler);
    this.spec = albefSpec(config);
    this.#specs = new Map(specEntries(this.spec).map(([name, spec], stream) => [name, { spec, stream }]));
    const { forced: _, ...switches } = loss;
    this.settings = JSON.parse(
      JSON.stringify({
        config,
        sampler: this.#sampler.options,
        loss: switches,
        textLength: options.textLength,
        ...settings,
      }),
    );
    const { mode, queue, miniBatch } = this.#sampler.options;
    const rows = Math.min(queue, this.#sampler.steps * miniBatch);
    const empty = (): Tensor => tensor(new Float32Array(rows * config.embedding), [rows, config.embedding]);
    const collects = mode === "grit" || mode === "no-shuffle";
    this.extra = collects ? { image: empty(), text: empty() } : {};
    this.#survey = mode === "naive" ? new Survey(config, empty(), empty()) : undefined;
  }

  /** The sampler, to look at. */
  get sampler(): GritSampler {
    return this.#sampler;
  }

  initial(name: string): Float32Array {
    const { spec, stream } = this.#specs.get(name)!;
    return initialValues(spec, this.#options.seed ?? 0, stream);
  }

  loss(params: Albef, extra: Queues, input: PretrainInput, key: Key): LossResult<Queues> {
    return collectingLoss(params, extra, input, key, this.#options);
  }

  async next(params: () => Promise<Albef>): Promise<TrainBatch<PretrainInput> | undefined> {
    for (;;) {
      if (this.#sampler.step === this.#sampler.steps) await this.#nextPass();
      const { epoch, pass, queued } = this.#sampler;
      if (epoch >= (this.#options.epochs ?? Infinity)) return undefined;
      const batch = await this.#load();
      const input = this.#input(batch, queued);
      if (pass === "train") {
        const label = `mini-batch ${batch.number} of epoch ${epoch} (examples ${batch.indices.join(", ")})`;
        return { input, examples: batch.indices.length, label, epoch };
      }
      this.#surveyed ??= await params();
      await this.#collect(await this.#survey!.run(this.#surveyed, input));
    }
  }

  async done(_: TrainBatch<PretrainInput>, extra: Queues): Promise<void> {
    await this.#collect(extra);
  }

  /** Phase 1 has put the features in the queues; phases 2 and 3 when they are full. */
  async #collect({ image, text }: Queues): Promise<void> {
    const sampler = this.#sampler;
    sampler.collect(sampler.batch(sampler.step));
    if (sampler.needsGrouping) sampler.accept(await this.#group(image!, text!, sampler.grouping()));
  }

  /** Phase 4, and the loader starts on the new order. */
  async #nextPass(): Promise<void> {
    this.#sampler.nextPass();
    await this.#batches?.return?.();
    this.#batches = undefined;
    this.#surveyed = undefined;
  }

  async #load(): Promise<Batch> {
    const sampler = this.#sampler, { epoch, pass, step } = sampler;
    const draw = pass === "survey" ? 2 * epoch + 1 : 2 * epoch;
    this.#batches ??= this.#options.loader.batches((k) => k < sampler.steps ? sampler.batch(k) : undefined, {
      epoch: draw,
      from: step,
    })[Symbol.asyncIterator]();
    const { value, done } = await this.#batches.next();
    if (done) throw new Error(`The loader ended at mini-batch ${step} of ${sampler.steps}`);
    return value;
  }

  #input(batch: Batch, row: number): PretrainInput {
    const { textLength } = this.#options, count = batch.indices.length, shape = [count, textLength];
    const words = new Uint32Array(batch.images.buffer, batch.images.byteOffset, batch.images.byteLength / 4);
    return {
      images: tensor(words, [count, words.length / count]),
      ids: tensor(batch.ids, shape),
      mask: tensor(batch.mask, shape),
      mlmIds: tensor(batch.mlmIds, shape),
      mlmLabels: tensor(batch.mlmLabels, shape),
      imageIds: tensor(batch.imageIds),
      row: tensor(Uint32Array.of(row)),
    };
  }

  save(): Record<string, Uint8Array<ArrayBuffer>> {
    return { sampler: encodeState(this.#sampler.state()) };
  }

  restore(parts: ReadonlyMap<string, Uint8Array>): void {
    const state = parts.get("sampler");
    if (!state) throw new SyntaxError("Cannot resume: the checkpoint has no state of the sampler");
    this.#sampler = GritSampler.restore(this.#options.sampler, decodeState(state, "the checkpoint"));
  }

  async close(): Promise<void> {
    await this.#batches?.return?.();
    this.#survey?.destroy();
    this.#group.destroy();
  }
}

/** The losses of a mini-batch; its features go into the queues where there are any. */
export function collectingLoss(
  params: Albef,
  extra: Queues,
  input: PretrainInput,
  key: Key,
  { config, loss }: Pick<PretrainingOptions, "config" | "loss">,
): LossResult<Queues> {
  const result = pretrainLoss(params, modelBatch(input, config), key, config, loss);
  const { itc, itm, mlm } = result;
  const queues = extra.image && extra.text
    ? {
      image: updateRows(extra.image, result.imageFeatures, input.row),
      text: updateRows(extra.text, result.textFeatures, input.row),
    }
    : extra;
  return { loss: result.loss, metrics: { itc, itm, mlm, temperature: params.temp }, extra: queues };
}

/** Normalised patches and texts of a mini-batch. */
export function modelBatch(input: PretrainInput, { vision }: AlbefConfig): PretrainBatch {
  const { images, row: _, ...texts } = input;
  return { patches: imagePatches(images, vision), ...texts };
}

/** Patches [B, P, 3 * patch^2] of packed RGB bytes, normalised as the official code does. */
export function imagePatches(images: Tensor, { resolution, patch }: AlbefConfig["vision"]): Tensor {
  return patchifyBytes(images, { height: resolution, width: resolution, patch, mean: MEAN, std: STD });
}

/** Features without training, for the naive variant's extra pass. */
class Survey {
  #queues: Required<Queues>;
  readonly #step: Compiled<[Required<Queues>, Albef, PretrainInput], Required<Queues>>;

  constructor(config: AlbefConfig, image: Tensor, text: Tensor) {
    this.#queues = { image, text };
    this.#step = compile((queues: Required<Queues>, params: Albef, input: PretrainInput) => ({
      image: updateRows(
        queues.image,
        encodeImage(params, imagePatches(input.images, config.vision), config).features,
        input.row,
      ),
      text: updateRows(queues.text, encodeText(params, input.ids, { mask: input.mask }, config).features, input.row),
    }), { donate: [0] });
  }

  async run(params: Albef, input: PretrainInput): Promise<Queues> {
    return this.#queues = await this.#step(this.#queues, params, input);
  }

  destroy(): void {
    this.#step.destroy();
  }
}
