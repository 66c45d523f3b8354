/**
 * Batches of images and captions, read ahead in Workers.
 *
 * @module
 */
import { cleanCaption } from "./captions.ts";
import type { Dataset, Entry, Skipped } from "./datasets.ts";
import { ImagePool } from "./image_pool.ts";
import { maskTokens } from "./masking.ts";
import { Random } from "./random.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { type ImageOptions, imagePlan } from "./transform.ts";

/** Options of a {@linkcode Loader}. */
export interface LoaderOptions extends ImageOptions {
  /** Tokens per caption, `[CLS]` included; shorter ones are padded. Pre-training: 25. */
  readonly maxLength: number;
  /** With the epoch and the index of an example, decides on everything random about it. @default 0 */
  readonly seed?: number;
  /** Workers that read images. The batches do not depend on their number. @default 1 */
  readonly workers?: number;
  /** Batches that are read ahead. @default 4 */
  readonly prefetch?: number;
  /** Probability that a token is to be predicted. @default 0.5 */
  readonly maskProbability?: number;
  /** `skip` takes another example instead of one that cannot be loaded, and lists it. @default "stop" */
  readonly onError?: "stop" | "skip";
  /** Memory for decoded images, over all Workers. @default 0 */
  readonly cacheBytes?: number;
}

/** B examples; row i of everything belongs to `indices[i]`. */
export interface Batch {
  /** Number in the epoch, from 0. */
  readonly number: number;
  /** B: places in the data set, as they were ordered, also where another example had to be taken. */
  readonly indices: Int32Array;
  /** B x resolution x resolution x 3 bytes RGB, then zeros up to a multiple of four bytes. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** B x maxLength token ids. */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** B x maxLength: 1 at tokens, 0 at padding. */
  readonly mask: Float32Array<ArrayBuffer>;
  /** B x maxLength token ids with some masked. */
  readonly mlmIds: Uint32Array<ArrayBuffer>;
  /** B x maxLength: the original ids where some are to be predicted, else -100. */
  readonly mlmLabels: Int32Array<ArrayBuffer>;
  /** B: the same number for the same image. */
  readonly imageIds: Uint32Array<ArrayBuffer>;
}

/** Which batches {@linkcode Loader.batches} gives. */
export interface BatchesOptions {
  /** Every epoch has its own draws of captions, crops and masks. */
  readonly epoch: number;
  /** Number of the first batch. @default 0 */
  readonly from?: number;
}

/** What a stream of random numbers decides on; the word after seed, epoch and index. */
const STREAM = { caption: 0, image: 1, mask: 2, replacement: 3 } as const;

/** How often another example is looked for in place of one that cannot be loaded. */
const REPLACEMENT_TRIES = 100;

/** An example that has a caption. */
interface Example {
  readonly index: number;
  readonly entry: Entry;
  readonly caption: string;
}

/**
 * Loads batches. It holds Workers until it is closed.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { buildTokenizer, Loader, openDataset, sceneFiles, writeScenes } from "../../mod.ts";
 *
 * const folder = await Deno.makeTempDir();
 * await writeScenes(folder, { train: 8, val: 0, test: 0, size: 16 });
 * const { captions, images } = sceneFiles(folder, "train");
 * const dataset = await openDataset({ data: [captions], images });
 * const tokenizer = buildTokenizer(dataset.entry(0).captions);
 *
 * await using loader = new Loader(dataset, tokenizer, { resolution: 16, maxLength: 25, transform: "train" });
 * const order = [Int32Array.of(0, 1, 2), Int32Array.of(3, 4, 5)];
 * for await (const { number, indices, images } of loader.batches((number) => order[number], { epoch: 0 })) {
 *   assertEquals(indices, order[number]);
 *   assertEquals(images.length, 3 * 16 * 16 * 3);
 * }
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export class Loader {
  readonly #options: Required<Pick<LoaderOptions, "seed" | "prefetch" | "maskProbability" | "onError">> & LoaderOptions;
  readonly #pool: ImagePool;
  readonly #skipped = new Map<number, Skipped>();

  /** Starts the Workers. @throws {RangeError} If an option is out of range. */
  constructor(readonly dataset: Dataset, readonly tokenizer: Tokenizer, options: LoaderOptions) {
    const { workers = 1, prefetch = 4, seed = 0, maskProbability = 0.5, onError = "stop", cacheBytes = 0 } = options;
    for (const [name, value] of Object.entries({ workers, prefetch, maxLength: options.maxLength })) {
      if (Number.isInteger(value) && value > 0) continue;
      throw new RangeError(`Cannot load: "${name}" must be a whole number of at least 1: it is ${value}`);
    }
    if (!(maskProbability >= 0 && maskProbability <= 1)) {
      throw new RangeError(`Cannot load: "maskProbability" must be from 0 to 1: it is ${maskProbability}`);
    }
    if (!(cacheBytes >= 0)) throw new RangeError(`Cannot load: "cacheBytes" must be at least 0: it is ${cacheBytes}`);
    this.#options = { ...options, prefetch, seed, maskProbability, onError };
    this.#pool = new ImagePool(imagePlan(options), workers, cacheBytes);
  }

  /** Examples that could not be loaded, each once; only with `onError: "skip"`. */
  get skipped(): readonly Skipped[] {
    return [...this.#skipped.values()];
  }

  /**
   * The batches of an epoch, in order, some of them read ahead. Batch k is the same whatever `from` is.
   *
   * @param orderOf Indices of the examples of a batch; undefined after the last one.
   * @throws {Error} If an example cannot be loaded and `onError` is "stop": the message names the file and the index.
   */
  async *batches(
    orderOf: (batch: number) => Int32Array | undefined,
    options: BatchesOptions,
  ): AsyncGenerator<Batch, void, void> {
    const ahead: Promise<Batch>[] = [];
    let next = options.from ?? 0;
    const readAhead = (): void => {
      while (ahead.length < this.#options.prefetch) {
        const indices = orderOf(next);
        if (!indices) return;
        const batch = this.#load(next++, indices, options.epoch);
        batch.catch(() => {}); // an error is told when its turn comes
        ahead.push(batch);
      }
    };
    try {
      for (readAhead(); ahead.length; readAhead()) yield await ahead.shift()!;
    } finally {
      await Promise.allSettled(ahead);
    }
  }

  /** Batches that are being read fail at once; waits until the Workers have ended. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  /** Closes the loader at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #load(number: number, indices: Int32Array, epoch: number): Promise<Batch> {
    const drawn = Array.from(indices, (index) => this.#draw(index, epoch));
    const { images, failures } = await this.#readImages(drawn, epoch);
    const examples: Example[] = [];
    for (const [place, example] of drawn.entries()) {
      const reason = failures.get(place) ?? (example.caption === "" ? emptyCaption(example.entry) : undefined);
      examples.push(
        reason === undefined ? example : await this.#replace(example, reason, images, place, indices, epoch),
      );
    }
    return { number, indices, images, ...this.#texts(examples, epoch) };
  }

  #random(index: number, epoch: number, stream: keyof typeof STREAM): Random {
    return new Random(this.#options.seed).fork(...this.#words(index, epoch, stream));
  }

  #words(index: number, epoch: number, stream: keyof typeof STREAM): number[] {
    return [epoch, index, STREAM[stream]];
  }

  /** An example with one of its captions; the caption may be empty. */
  #draw(index: number, epoch: number): Example {
    const entry = this.dataset.entry(index);
    const caption = entry.captions.length > 1
      ? this.#random(index, epoch, "caption").pick(entry.captions)
      : entry.captions[0] ?? "";
    return { index, entry, caption: cleanCaption(caption) };
  }

  #readImages(examples: readonly Example[], epoch: number): ReturnType<ImagePool["read"]> {
    const { seed } = this.#options;
    return this.#pool.read(examples.map(({ index, entry }) => {
      return { path: entry.image, imageId: entry.imageId, seed, fork: this.#words(index, epoch, "image") };
    }));
  }

  /** Stops, or finds another example and puts its image in place. The choice depends on seed, epoch and batch alone. */
  async #replace(
    { index, entry }: Example,
    reason: string,
    images: Uint8Array,
    place: number,
    indices: Int32Array,
    epoch: number,
  ): Promise<Example> {
    if (this.#options.onError === "stop") throw new Error(`Cannot load entry ${index}: "${entry.image}" ${reason}`);
    this.#skip(index, entry, reason);
    const random = this.#random(index, epoch, "replacement");
    for (let i = 0; i < REPLACEMENT_TRIES; i++) {
      const other = random.below(this.dataset.length);
      // A second copy in the batch would be its own negative, but is better than none where the data set is that small.
      if (indices.includes(other) && i < REPLACEMENT_TRIES / 2) continue;
      const example = this.#draw(other, epoch), answer = await this.#readImages([example], epoch);
      const failure = answer.failures.get(0) ?? (example.caption === "" ? emptyCaption(example.entry) : undefined);
      if (failure !== undefined) {
        this.#skip(other, example.entry, failure);
        continue;
      }
      const size = this.#options.resolution ** 2 * 3;
      images.set(answer.images.subarray(0, size), place * size);
      return example;
    }
    throw new Error(
      `Cannot load entry ${index}: "${entry.image}" ${reason}, and no other example could be loaded instead`,
    );
  }

  #skip(index: number, { image }: Entry, reason: string): void {
    if (!this.#skipped.has(index)) this.#skipped.set(index, { index, file: image, reason });
  }

  /** Everything of a batch but the images. */
  #texts(examples: readonly Example[], epoch: number): Omit<Batch, "number" | "indices" | "images"> {
    const { maxLength, maskProbability } = this.#options, { vocabularySize, maskId, padId, clsId } = this.tokenizer;
    const { ids, mask } = this.tokenizer.encodeBatch(examples.map((example) => example.caption), maxLength);
    const mlmIds = new Uint32Array(ids.length), mlmLabels = new Int32Array(ids.length);
    const options = { probability: maskProbability, vocabularySize, maskId, padId, clsId };
    examples.forEach(({ index }, row) => {
      const from = row * maxLength, to = from + maxLength, random = this.#random(index, epoch, "mask");
      const masked = maskTokens(ids.subarray(from, to), mask.subarray(from, to), options, random);
      mlmIds.set(masked.ids, from);
      mlmLabels.set(masked.labels, from);
    });
    return { ids, mask, mlmIds, mlmLabels, imageIds: Uint32Array.from(examples, (example) => example.entry.imageId) };
  }
}

function emptyCaption({ captions }: Entry): string {
  return `has an empty caption (${JSON.stringify(captions)})`;
}
