/**
 * The GPU memory of a pre-training run, before there is any data.
 *
 * @module
 */
import { defaultDevice } from "../gpu/device.ts";
import { subQueuesTogether, walkSubQueues } from "../grit/group.ts";
import { type AlbefSpec, albefSpec, type PretrainOptions } from "../models/albef.ts";
import type { AlbefConfig } from "../models/config.ts";
import { compile } from "../program/compile.ts";
import type { DType, Tensor } from "../program/graph.ts";
import { placeholder } from "../program/program.ts";
import { estimateMemory, type EstimateOptions, type MemoryEstimate, type MemoryTask } from "../train/estimate.ts";
import {
  collectingLoss,
  PRETRAINING_LAYOUT,
  PRETRAINING_METRICS,
  type PretrainInput,
  type Queues,
} from "./pretraining.ts";

/** What decides on the memory of pre-training beside the model. */
export interface PretrainingMemoryOptions extends EstimateOptions {
  readonly batch: number;
  /** Token positions. */
  readonly textLength: number;
  /** Rows of the feature queues, L. @default 0: nothing is collected */
  readonly queue?: number;
  /** Pairs of a sub-queue, M. @default the whole queue */
  readonly subQueue?: number;
  readonly loss?: PretrainOptions;
}

/** Bytes of a pre-training run; `grouping` is the search's memory, which stays beside that of the step. */
export interface PretrainingMemory extends MemoryEstimate {
  readonly grouping: number;
}

/** Estimates the memory of pre-training; see {@linkcode estimateMemory}. */
export async function estimatePretraining(
  config: AlbefConfig,
  options: PretrainingMemoryOptions,
): Promise<PretrainingMemory> {
  const { batch, textLength, queue = 0 } = options;
  const { total, ...step } = await estimateMemory(
    memoryTask(config, queue, options.loss),
    pretrainingInput(config, batch, textLength),
    PRETRAINING_METRICS,
    { layout: PRETRAINING_LAYOUT, ...options },
  );
  const grouping = queue ? await groupingBytes(config.embedding, queue, options.subQueue ?? queue) : 0;
  return { ...step, grouping, total: total + grouping };
}

/** A mini-batch as the task gives it, without values. */
export function pretrainingInput(
  { vision: { resolution } }: AlbefConfig,
  batch: number,
  textLength: number,
): PretrainInput {
  const of = (dtype: DType, ...shape: number[]): Tensor => placeholder({ shape, dtype });
  return {
    images: of("u32", batch, resolution * resolution * 3 / 4),
    ids: of("u32", batch, textLength),
    mask: of("f32", batch, textLength),
    mlmIds: of("u32", batch, textLength),
    mlmLabels: of("i32", batch, textLength),
    imageIds: of("u32", batch),
    row: of("u32", 1),
  };
}

function memoryTask(
  config: AlbefConfig,
  rows: number,
  loss: PretrainOptions | undefined,
): MemoryTask<AlbefSpec, Queues, PretrainInput> {
  const queue = (): Tensor => placeholder({ shape: [rows, config.embedding], dtype: "f32" });
  return {
    spec: albefSpec(config),
    extra: rows ? { image: queue(), text: queue() } : {},
    loss: (params, extra, input, key) =>
      collectingLoss(params, extra, input, key, { config, ...(loss ? { loss } : {}) }),
  };
}

async function groupingBytes(width: number, queue: number, m: number): Promise<number> {
  const together = subQueuesTogether((await defaultDevice()).profile, Math.ceil(queue / m), m);
  const features = (): Tensor => placeholder({ shape: [queue, width], dtype: "f32" });
  const u32 = (...shape: number[]): Tensor => placeholder({ shape, dtype: "u32" });
  const walks = await compile(walkSubQueues).program(
    features(),
    features(),
    u32(together, m),
    u32(together),
    u32(together),
  );
  return walks.arenaBytes + walks.constantBytes + 4 * together * (2 * m + 2);
}
