/**
 * The GRIT sampler's bookkeeping: which examples come next, where their features are kept, when a grouping is due.
 *
 * @module
 */
import { type Draws, seededDraws } from "./draws.ts";
import { type SamplerOptions, samplerOptions } from "./options.ts";
import { alongChains, concat, nextOrder, shuffleChunks, subQueueSizes, take } from "./order.ts";
import { checkState, type SamplerState } from "./state.ts";

/** What has to be grouped: rows of the feature queues, shuffled and cut in sub-queues. */
export interface Grouping {
  /** Row of the feature queues that comes i-th after the example-level shuffle; as many as were collected. */
  readonly permutation: Int32Array;
  /** Sizes of the consecutive sub-queues of the shuffled rows: M each, the last one of an epoch may be shorter. */
  readonly subQueues: Uint32Array;
  /** Position in its sub-queue at which each walk starts. */
  readonly starts: Uint32Array;
}

/** The grouping search: one chain per sub-queue, a permutation of its positions in the order of the walk. */
export type GroupingSearch<Features> = (
  imageFeatures: Features,
  textFeatures: Features,
  grouping: Grouping,
) => readonly ArrayLike<number>[] | Promise<readonly ArrayLike<number>[]>;

/**
 * Gives the order of every epoch and makes the next one out of the features of this one (GRIT-VLP, section 3.2).
 *
 * A run is a sequence of passes over `steps` mini-batches. In mode `naive` each epoch has two, a feature pass (features only,
 * no training) and then the "train" pass; in the other modes it has the "train" pass alone. In every pass:
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { gpuGrouping, GritSampler, tensor } from "../../mod.ts";
 *
 * const sampler = new GritSampler({ examples: 24, miniBatch: 4, subQueue: 8, queue: 16, seed: 1 });
 * const imageQueue = tensor(new Float32Array(16 * 2), [16, 2]), textQueue = imageQueue, group = gpuGrouping();
 *
 * while (sampler.step < sampler.steps) {
 *   const indices = sampler.batch(sampler.step);
 *   // train on them, or only compute their features
 *   const row = sampler.collect(indices); // where their N rows of features go in the feature queues, if anywhere
 *   if (sampler.needsGrouping) sampler.accept(await group(imageQueue, textQueue, sampler.grouping()));
 * }
 * sampler.nextPass();
 * assertEquals([sampler.epoch, sampler.step], [1, 0]);
 * group.destroy();
 * ```
 *
 * One process sees the whole data set (the "global mode" of several GPUs; the released code keeps a fixed part of the data
 * per GPU): neighbours are sought among all examples that a queue collects in this pass, whatever mini-batch they were in, and
 * at the end of the epoch the chunks of all its queues, short last ones too, are dealt anew by one shuffle. So no example is
 * tied to a part of the data for longer than an epoch.
 *
 * All is determined: the order of an epoch is a function of the options (the seed among them), the number of the epoch
 * and the features that were grouped before. Each random choice is drawn from the seed, the epoch, the queue and what it
 * is for, never from how much was drawn before; equal similarities fall to the lower position. Timing, workers,
 * interruptions and other random numbers of the process have no part in it. (Features and similarities are rounded:
 * another adapter may round, and so decide, otherwise.)
 *
 * The feature queues `[L, d]` are the caller's. To resume within a pass, their first `queued` rows are to be saved and
 * restored together with {@linkcode GritSampler.state}.
 */
export class GritSampler {
  /** The settings, with defaults filled in. */
  readonly options: Required<SamplerOptions>;
  readonly #draws: Draws;
  #epoch = 0;
  #pass: "features" | "train";
  #step = 0;
  #order: Int32Array;
  #grouped: Int32Array;
  #groupedCount = 0;

  /** Starts with a random order. Throws RangeError if the sizes do not fit each other, see {@linkcode samplerOptions}. */
  constructor(options: SamplerOptions, draws: Draws = seededDraws(options.seed, options.officialStart)) {
    this.options = samplerOptions(options);
    const { examples, miniBatch, mode } = this.options;
    this.#draws = draws;
    this.#pass = mode === "naive" ? "features" : "train";
    this.#order = draws.order(0, examples);
    this.#grouped = new Int32Array(mode === "off" ? 0 : examples - examples % miniBatch);
  }

  /** Continues where the state was taken. Throws RangeError if it belongs to other options or is damaged. */
  static restore(options: SamplerOptions, state: SamplerState): GritSampler {
    const sampler = new GritSampler(options);
    checkState(state, sampler.options);
    sampler.#epoch = state.epoch;
    sampler.#pass = state.pass;
    sampler.#step = state.step;
    sampler.#order = state.order.slice();
    sampler.#grouped.set(state.grouped);
    sampler.#groupedCount = state.grouped.length;
    return sampler;
  }

  /** Everything that {@linkcode GritSampler.restore} needs, copied. */
  state(): SamplerState {
    return {
      options: this.options,
      epoch: this.#epoch,
      pass: this.#pass,
      step: this.#step,
      order: this.#order.slice(),
      grouped: this.#grouped.slice(0, this.#groupedCount),
    };
  }

  /** Epochs completed so far, which is the number of the current one. */
  get epoch(): number {
    return this.#epoch;
  }
  /** What is to be done with this pass's mini-batches: train on them, or only compute their features (mode `naive`). */
  get pass(): "features" | "train" {
    return this.#pass;
  }
  /** Mini-batches of a pass: `floor(D / N)`. */
  get steps(): number {
    return Math.floor(this.options.examples / this.options.miniBatch);
  }
  /** Mini-batches of this pass that are done. */
  get step(): number {
    return this.#step;
  }
  /** This pass's order, a permutation of the data set. The last `D mod N` examples are not part of any mini-batch. */
  get order(): Int32Array {
    return this.#order;
  }
  /** Whether this pass's features are collected. */
  get collecting(): boolean {
    const { mode } = this.options;
    return mode === "naive" ? this.#pass === "features" : mode !== "off";
  }
  /** Rows of the feature queues that are filled and not yet grouped. */
  get queued(): number {
    return this.collecting ? this.#step * this.options.miniBatch - this.#groupedCount : 0;
  }
  /** Whether the queue is full, or the pass at its end, so that {@linkcode GritSampler.grouping} is to be carried out. */
  get needsGrouping(): boolean {
    return this.queued === this.options.queue || (this.queued > 0 && this.#step === this.steps);
  }

  /** Examples of a mini-batch of this pass, a future one too. */
  batch(step: number): Int32Array {
    if (!Number.isInteger(step) || step < 0 || step >= this.steps) {
      throw new RangeError(`Cannot give mini-batch ${step}: the pass has mini-batches 0..${this.steps - 1}`);
    }
    const { miniBatch } = this.options;
    return this.#order.subarray(step * miniBatch, (step + 1) * miniBatch);
  }

  /**
   * Says that the next mini-batch is done.
   *
   * @param indices Its examples, row by row of its features.
   * @returns Row of the feature queues at which its N rows of features are to be kept; undefined if none are collected.
   */
  collect(indices: ArrayLike<number>): number | undefined {
    if (this.needsGrouping) throw new Error("Cannot collect a mini-batch: the full queue must be grouped first");
    const expected = this.batch(this.#step);
    const refuse = (reason: string): never => {
      throw new RangeError(`Cannot collect mini-batch ${this.#step}: ${reason}`);
    };
    if (indices.length !== expected.length) {
      refuse(`it must have ${expected.length} examples: it has ${indices.length}`);
    }
    const wrong = expected.findIndex((example, i) => example !== indices[i]);
    if (wrong >= 0) refuse(`entry ${wrong} must be example ${expected[wrong]}: it is ${indices[wrong]}`);
    const row = this.collecting ? this.queued : undefined;
    this.#step++;
    return row;
  }

  /** Phases 2 and 3 as they are to be carried out on the collected features. */
  grouping(): Grouping {
    if (!this.needsGrouping) throw new Error(`Cannot group: the queue is not full: it holds ${this.queued} examples`);
    const queue = this.#groupedCount / this.options.queue;
    const subQueues = subQueueSizes(this.queued, this.options.subQueue);
    const permutation = this.options.mode === "grit"
      ? this.#draws.examples(this.#epoch, queue, this.queued)
      : Int32Array.from({ length: this.queued }, (_, i) => i);
    return { permutation, subQueues, starts: this.#draws.starts(this.#epoch, queue, subQueues) };
  }

  /** Takes the chains of {@linkcode GritSampler.grouping} and empties the queue. Throws RangeError if one is not a permutation. */
  accept(chains: readonly ArrayLike<number>[]): void {
    const { permutation, subQueues } = this.grouping();
    const queue = this.#order.subarray(this.#groupedCount, this.#groupedCount + this.queued);
    this.#grouped.set(alongChains(take(queue, permutation), subQueues, chains), this.#groupedCount);
    this.#groupedCount += permutation.length;
  }

  /** Ends the pass and makes the order of the next one, which starts at step 0. */
  nextPass(): void {
    if (this.#step < this.steps || this.needsGrouping) {
      const left = this.needsGrouping ? "its last grouping is due" : `${this.steps - this.#step} mini-batches are left`;
      throw new Error(`Cannot end the pass: ${left}`);
    }
    const chunks = this.collecting ? this.#shuffledChunks() : this.#reshuffled();
    const tail = this.#order.subarray(chunks.length);
    const featuresNext = this.options.mode === "naive" && this.#pass === "train";
    this.#order = featuresNext ? concat(chunks, tail) : nextOrder(tail, chunks, this.options.miniBatch);
    if (this.#pass === "train") this.#epoch++;
    this.#pass = featuresNext ? "features" : "train";
    this.#step = 0;
    this.#groupedCount = 0;
  }

  /** Phase 4. */
  #shuffledChunks(): Int32Array {
    const { mode, miniBatch } = this.options;
    if (mode === "no-shuffle") return this.#grouped;
    return shuffleChunks(this.#grouped, miniBatch, this.#draws.chunks(this.#epoch, this.steps));
  }

  /** This pass's examples in random order, for the next epoch. */
  #reshuffled(): Int32Array {
    const count = this.steps * this.options.miniBatch;
    return take(this.#order, this.#draws.order(this.#epoch + 1, count));
  }
}
