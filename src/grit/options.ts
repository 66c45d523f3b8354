/**
 * Settings of the GRIT sampler.
 *
 * @module
 */
import { MAX_SUB_QUEUE } from "../ops/grouping_walk.ts";

/**
 * How mini-batches are made (GRIT-VLP, Table 4).
 *
 * - `grit`: collect, example-level shuffle, group, mini-batch-level shuffle, all while training.
 * - `no-shuffle`: collect and group, without the two shuffles.
 * - `naive`: before each epoch, a forward pass of its own over the re-shuffled data collects the features to be grouped.
 * - `off`: random mini-batches.
 */
export type GritMode = "grit" | "no-shuffle" | "naive" | "off";

/** Settings of a sampler: D, N, M and L of the paper, and how they are used. */
export interface SamplerOptions {
  /** D: examples of the data set. */
  readonly examples: number;
  /** N: examples of a mini-batch. Default 96. */
  readonly miniBatch?: number;
  /** M: examples of a sub-queue, the search space of the grouping. Default 960. */
  readonly subQueue?: number;
  /** L: examples of the queue that collects features. Default 48,000. */
  readonly queue?: number;
  /** What all random choices are drawn from: a whole number from 0 to 2^53 - 1. */
  readonly seed: number;
  /** Default "grit". */
  readonly mode?: GritMode;
  /** Draw starts of walks as the released code does, never at the last position of a sub-queue. Default false. */
  readonly officialStart?: boolean;
}

/**
 * The options with their defaults filled in.
 *
 * @throws {RangeError} Unless all sizes are positive, `D >= N`, and (but in mode `off`) N divides M and M divides L.
 */
export function samplerOptions(options: SamplerOptions): Required<SamplerOptions> {
  const { examples, seed, miniBatch = 96, subQueue = 960, queue = 48_000, mode = "grit", officialStart = false } =
    options;
  for (const [name, n] of Object.entries({ examples, miniBatch, subQueue, queue })) {
    if (!Number.isInteger(n) || n < 1 || n >= 2 ** 31) {
      refuse(`"${name}" must be a whole number from 1 to 2,147,483,647: it is ${n}`);
    }
  }
  if (examples < miniBatch) {
    refuse(`the data set must hold at least one mini-batch: it has ${examples} examples, a mini-batch ${miniBatch}`);
  }
  if (mode !== "off") checkQueues(miniBatch, subQueue, queue);
  return { examples, miniBatch, subQueue, queue, seed, mode, officialStart };
}

function checkQueues(miniBatch: number, subQueue: number, queue: number): void {
  if (subQueue % miniBatch) refuse(`"subQueue" must be a multiple of "miniBatch": ${subQueue} is none of ${miniBatch}`);
  if (queue % subQueue) refuse(`"queue" must be a multiple of "subQueue": ${queue} is none of ${subQueue}`);
  if (subQueue > MAX_SUB_QUEUE) refuse(`"subQueue" must be at most ${MAX_SUB_QUEUE}: it is ${subQueue}`);
}

function refuse(reason: string): never {
  throw new RangeError(`Cannot plan the epochs: ${reason}`);
}
