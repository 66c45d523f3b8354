/**
 * Mini-batches of any kind of example, their images read ahead in Workers.
 *
 * @module
 */
import type { Tree } from "../program/tree.ts";
import { type Loaded, packImages } from "./_pack.ts";
import { checkImages, type CheckProgress, type ImageTest, lookUpFiles } from "./check_images.ts";
import type { Collate } from "./collate.ts";
import { type Dataset, type Example, ExampleError, type ImageFile, type Skipped } from "./dataset.ts";
import { ImagePool, type PoolRequest } from "./image_pool.ts";
import type { ImageResult } from "./image_worker.ts";
import { Random } from "../random/random.ts";
import { type ImagePlan, imagePlan, imageWords } from "./transform.ts";

/** Options of a {@linkcode Loader}. */
export interface LoaderOptions {
  /** With the epoch and the index of an example, decides on everything random about it. @default 0 */
  readonly seed?: number;
  /** Workers that read images. The batches do not depend on their number. @default 1 */
  readonly workers?: number;
  /** Batches that are read ahead. @default 4 */
  readonly prefetch?: number;
  /** `skip` takes another example instead of one that cannot be loaded, and lists it. @default "stop" */
  readonly onError?: "stop" | "skip";
  /** Memory for decoded images, over all Workers. @default 0 */
  readonly cacheBytes?: number;
}

/** A mini-batch and where it comes from. */
export interface Batch<B extends Tree> {
  /** Number in the epoch, from 0. */
  readonly number: number;
  /** Places in the data set, as they were ordered, also where another example had to be taken. */
  readonly indices: Int32Array;
  /** What the collate function made of the examples; row i belongs to `indices[i]`. */
  readonly input: B;
}

/** Which batches {@linkcode Loader.batches} gives. */
export interface BatchesOptions {
  /** Every epoch has its own draws of captions, crops and masks. */
  readonly epoch: number;
  /** Number of the first batch. @default 0 */
  readonly from?: number;
}

/** What a stream of random numbers decides on; the word after seed, epoch and index. */
const STREAM = { example: 0, image: 1, collate: 2, replacement: 3 } as const;

/** How often another example is looked for in place of one that cannot be loaded. */
const REPLACEMENT_TRIES = 100;

/**
 * Loads batches. It holds Workers until it is closed.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { buildTokenizer, Loader, openDataset, pairCollate, sceneFiles, writeScenes } from "../../mod.ts";
 *
 * const folder = await Deno.makeTempDir();
 * await writeScenes(folder, { train: 8, val: 0, test: 0, size: 16 });
 * const { captions, images } = sceneFiles(folder, "train");
 * const dataset = await openDataset({ data: [captions], images });
 * const tokenizer = buildTokenizer(dataset.entry(0).captions);
 *
 * const collate = pairCollate({ view: { resolution: 16, transform: "train" }, maxLength: 25, tokenizer });
 * await using loader = new Loader(dataset, collate, { seed: 1 });
 * const order = [Int32Array.of(0, 1, 2), Int32Array.of(3, 4, 5)];
 * for await (const { number, indices, input } of loader.batches((number) => order[number], { epoch: 0 })) {
 *   assertEquals(indices, order[number]);
 *   assertEquals(input.ids.shape, [3, 25]);
 * }
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export class Loader<E extends Example, B extends Tree> {
  readonly #options: Required<Pick<LoaderOptions, "seed" | "prefetch" | "onError">>;
  readonly #views: readonly ImagePlan[];
  readonly #pool: ImagePool;
  readonly #skipped = new Map<number, Skipped>();
  #closed = false;

  /** Starts the Workers. @throws {RangeError} If an option is out of range. */
  constructor(readonly dataset: Dataset<E>, readonly collate: Collate<E, B>, options: LoaderOptions = {}) {
    const { workers = 1, prefetch = 4, seed = 0, onError = "stop", cacheBytes = 0 } = options;
    for (const [name, value] of Object.entries({ workers, prefetch })) {
      if (Number.isInteger(value) && value > 0) continue;
      throw new RangeError(`Cannot load: "${name}" must be a whole number of at least 1: it is ${value}`);
    }
    if (!(cacheBytes >= 0)) throw new RangeError(`Cannot load: "cacheBytes" must be at least 0: it is ${cacheBytes}`);
    this.#options = { prefetch, seed, onError };
    this.#views = collate.views.map(imagePlan);
    this.#views.forEach(imageWords); // a resolution that cannot be packed is told before Workers start
    this.#pool = new ImagePool(this.#views, workers, cacheBytes);
  }

  /** Examples that could not be loaded, each once; only with `onError: "skip"`. */
  get skipped(): readonly Skipped[] {
    return [...this.#skipped.values()];
  }

  /**
   * Looks for the images of all examples, each once: "files" looks the files up, "decode" reads them too, as for a batch.
   *
   * @param onProgress Told after every few images.
   * @returns How many images cannot be used; their examples are skipped.
   * @throws {Error} If there are such images and `onError` is "stop": the message names the first ones and their examples.
   */
  async check(how: "files" | "decode", onProgress?: (progress: CheckProgress) => void): Promise<number> {
    if (!this.#views.length) return 0;
    const test: ImageTest = how === "files" ? lookUpFiles : (images) => this.#tryImages(images);
    const exampleOf = async (index: number): Promise<E | undefined> => {
      const example = await this.#draw(index, 0);
      return example instanceof ExampleError ? undefined : example;
    };
    const bad = await checkImages(this.dataset.length, exampleOf, test, onProgress);
    const errors = bad.map(({ index, path, reason }) => [index, new ExampleError(reason, path)] as const);
    if (!errors.length) return 0;
    if (this.#options.onError === "stop") {
      const [[index, first], ...more] = errors as [typeof errors[0], ...typeof errors];
      throw new Error(`${this.#sentence(index!, first!)}${moreOf(more)}`);
    }
    for (const [index, error] of errors) this.#skip(index, error);
    return bad.length;
  }

  /** Reads images as for a batch, and says what is wrong with those that cannot be read. */
  async #tryImages(images: readonly ImageFile[]): Promise<(string | undefined)[]> {
    const forks = this.#views.map(() => [0]), { seed } = this.#options;
    const results = await this.#pool.read(images.map(({ path, id }) => ({ path, imageId: id, seed, forks })));
    return results.map((result) => typeof result === "string" ? result : undefined);
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
  ): AsyncGenerator<Batch<B>, void, void> {
    const ahead: Promise<Batch<B>>[] = [];
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
    this.#closed = true;
    await this.#pool.close();
  }

  /** Closes the loader at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #load(number: number, indices: Int32Array, epoch: number): Promise<Batch<B>> {
    if (this.#closed) throw new Error("Cannot load: the loader is closed");
    const rows: Loaded<E>[] = [];
    for (const [row, loaded] of (await this.#read([...indices], epoch)).entries()) {
      rows.push(loaded instanceof ExampleError ? await this.#replace(indices[row]!, loaded, indices, epoch) : loaded);
    }
    const images = packImages(this.dataset.name, rows, this.#views);
    const random = (row: number): Random => this.#random(rows[row]!.index, epoch, "collate");
    return { number, indices, input: this.collate.collate(rows.map(({ example }) => example), images, random) };
  }

  #random(index: number, epoch: number, stream: keyof typeof STREAM): Random {
    return new Random(this.#options.seed).fork(epoch, index, STREAM[stream]);
  }

  /** Examples with their images, or why there are none. */
  async #read(indices: readonly number[], epoch: number): Promise<(Loaded<E> | ExampleError)[]> {
    const drawn = await Promise.all(indices.map((index) => this.#draw(index, epoch)));
    const requests = drawn.map((example, i) =>
      example instanceof ExampleError ? [] : this.#requests(example, indices[i]!, epoch)
    );
    const results = await this.#pool.read(requests.flat());
    let at = 0;
    return drawn.map((example, i) => {
      if (example instanceof ExampleError) return example;
      return loadedOf(indices[i]!, example, results.slice(at, at += requests[i]!.length));
    });
  }

  async #draw(index: number, epoch: number): Promise<E | ExampleError> {
    try {
      return await this.dataset.example(index, this.#random(index, epoch, "example"));
    } catch (error) {
      if (error instanceof ExampleError) return error;
      throw error;
    }
  }

  /** One for each image, unless there are no views. A further view or image changes nothing about the first one. */
  #requests({ images }: E, index: number, epoch: number): PoolRequest[] {
    const { seed } = this.#options, views = this.#views, words = [epoch, index, STREAM.image];
    if (!views.length) return [];
    return images.map(({ path, id }, slot) => {
      const forks = views.map((_, view) => slot + view ? [...words, slot * views.length + view] : words);
      return { path, imageId: id, seed, forks };
    });
  }

  /** Stops, or finds another example. The choice depends on seed, epoch and batch alone. */
  async #replace(index: number, error: ExampleError, indices: Int32Array, epoch: number): Promise<Loaded<E>> {
    if (this.#options.onError === "stop") throw new Error(this.#sentence(index, error));
    this.#skip(index, error);
    const random = this.#random(index, epoch, "replacement");
    for (let i = 0; i < REPLACEMENT_TRIES; i++) {
      const other = random.below(this.dataset.length);
      // A second copy in the batch would be its own negative, but is better than none where the data set is that small.
      if (indices.includes(other) && i < REPLACEMENT_TRIES / 2) continue;
      const [loaded] = await this.#read([other], epoch);
      if (!(loaded instanceof ExampleError)) return loaded!;
      this.#skip(other, loaded);
    }
    throw new Error(`${this.#sentence(index, error)}, and no other example could be loaded instead`);
  }

  #sentence(index: number, { file, message }: ExampleError): string {
    const subject = file === undefined ? ` of "${this.dataset.name}": it` : `: "${file}"`;
    return `Cannot load entry ${index}${subject} ${message}`;
  }

  #skip(index: number, { file = this.dataset.name, message }: ExampleError): void {
    if (!this.#skipped.has(index)) this.#skipped.set(index, { index, file, reason: message });
  }
}

/** The end of a sentence about the first of several images. */
function moreOf(errors: readonly (readonly [number, ExampleError])[]): string {
  const shown = errors.slice(0, 4).map(([index, { file, message }]) => `entry ${index}: "${file}" ${message}`);
  const left = errors.length - shown.length;
  return errors.length ? `; ${[...shown, ...left ? [`${left} more images cannot be used`] : []].join("; ")}` : "";
}

/** An example with what its images' requests gave. */
function loadedOf<E extends Example>(index: number, example: E, results: ImageResult[]): Loaded<E> | ExampleError {
  const pixels: Uint8Array[] = [];
  for (const [slot, views] of results.entries()) {
    if (typeof views === "string") return new ExampleError(views, example.images[slot]!.path);
    pixels.push(...views);
  }
  return { index, example, pixels };
}
