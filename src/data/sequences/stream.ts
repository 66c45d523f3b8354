/**
 * Mini-batches of packed documents, with their images read ahead in a Worker.
 *
 * @module
 */
import { ImagePool } from "../image_pool.ts";
import { type ImageOptions, type ImagePlan, imagePlan, MEAN, STD } from "../transform.ts";
import { tensor } from "../../program/compile.ts";
import type { Tensor } from "../../program/graph.ts";
import type { ImageFile } from "../dataset.ts";
import type { DecoderBatch } from "./decoder_batch.ts";
import type { Mixer } from "./mixer.ts";
import { type PackedRows, Packer, type PackerOptions, type PackerState, rowPerSequence } from "./packer.ts";
import type { Sequence } from "./sequence.ts";

/** How images become tensors. */
export interface PixelOptions {
  /** What happens to an image. S is its resolution. */
  readonly view: ImageOptions;
  /** Mean of red, green and blue from 0 to 1. @default CLIP's */
  readonly mean?: readonly [number, number, number];
  /** Standard deviation that belongs to it. @default CLIP's */
  readonly std?: readonly [number, number, number];
  /** Memory for decoded images. @default 0 */
  readonly cacheBytes?: number;
}

/** Options of a {@linkcode SequenceStream} and of {@linkcode SequenceBatcher}; `pixels` is needed where `images` is not 0. */
export interface SequenceBatchOptions extends PackerOptions {
  /** How images become tensors. */
  readonly pixels?: PixelOptions;
  /** Decides on what is random about images. @default 0 */
  readonly seed?: number;
}

/** Makes mini-batches of rows; holds a Worker until it is closed. */
export class SequenceBatcher {
  readonly #pool: ImagePool;
  readonly #plan: ImagePlan | undefined;

  /** Starts the Worker. @throws {TypeError} If there may be images and `pixels` is not given. */
  constructor(readonly options: SequenceBatchOptions) {
    const { images, pixels } = options;
    if (images && !pixels) {
      throw new TypeError('Cannot make mini-batches with images: "pixels" must say how: it is not given');
    }
    this.#plan = images && pixels ? imagePlan(pixels.view) : undefined;
    this.#pool = new ImagePool(this.#plan ? [this.#plan] : [], 1, pixels?.cacheBytes ?? 0);
  }

  /** A mini-batch with a document in each row, for evaluations; missing ones are padding. */
  async rowPerSequence(sequences: readonly Sequence[], blank = false): Promise<DecoderBatch> {
    return await this.toBatch(rowPerSequence(sequences, this.options), 0, blank);
  }

  /**
   * A mini-batch of rows.
   *
   * @param number Decides, with the seed, on what is random about its images.
   * @param blank Images without content, zeros after normalisation: a control.
   * @throws {Error} If an image cannot be read: the message names the file.
   */
  async toBatch(rows: PackedRows, number = 0, blank = false): Promise<DecoderBatch> {
    const { batch, length, images: most } = this.options, shape = [batch, length];
    if (rows.images.length > most) {
      throw new RangeError(
        `Cannot make a mini-batch: there must be at most ${most} images: there are ${rows.images.length}`,
      );
    }
    const images = most ? { images: await this.#images(blank ? [] : rows.images, number) } : {};
    return {
      tokens: tensor(rows.tokens, shape, "i32", { copy: false }),
      documents: tensor(rows.documents, shape, "i32", { copy: false }),
      positions: tensor(rows.positions, shape, "i32", { copy: false }),
      lossMask: tensor(rows.lossMask, shape, "f32", { copy: false }),
      ...images,
    };
  }

  async #images(files: readonly ImageFile[], number: number): Promise<Tensor> {
    const { images: most, pixels, seed = 0 } = this.options,
      { mean = MEAN, std = STD } = pixels!,
      side = this.#plan!.resolution;
    const results = await this.#pool.read(
      files.map(({ path, id }, i) => ({ path, imageId: id, seed, forks: [[number, i]] })),
    );
    const values = new Float32Array(most * 3 * side * side);
    results.forEach((result, n) => {
      if (typeof result === "string") throw new Error(`Cannot load "${files[n]!.path}": it ${result}`);
      normalize(result[0]!, values.subarray(n * 3 * side * side), { mean, std });
    });
    return tensor(values, [most, 3, side, side], "f32", { copy: false });
  }

  /** Waits until the Worker has ended. */
  async close(): Promise<void> {
    await this.#pool.close();
  }
}

/** RGB bytes, pixel by pixel, as normalised planes. */
function normalize(
  bytes: Uint8Array,
  planes: Float32Array,
  { mean, std }: Required<Pick<PixelOptions, "mean" | "std">>,
): void {
  const pixels = bytes.length / 3;
  for (let channel = 0; channel < 3; channel++) {
    const scale = 1 / (255 * std[channel]!), shift = -mean[channel]! / std[channel]!;
    for (let i = 0; i < pixels; i++) planes[channel * pixels + i] = bytes[3 * i + channel]! * scale + shift;
  }
}

/** Where a stream is: plain data for JSON. */
interface StreamState {
  readonly count: number;
  readonly packer: PackerState;
}

/** Mini-batches that are made ahead. */
const AHEAD = 2;

/**
 * Mini-batches of a mixture without end, as a trainer's data. What a checkpoint keeps of it is where the last one was that a step has
 * taken, so that a resumed run goes on with the same bytes.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { buildTextTokenizer, Mixer, SequenceStream, textSource, toHost } from "../../../mod.ts";
 *
 * const texts = ["a red ring", "two blue stars"], tokenizer = buildTextTokenizer(texts, { size: 300 });
 * const mixer = new Mixer([{ source: textSource(texts, { tokenizer, seed: 1 }), share: 1 }]);
 * const stream = new SequenceStream(mixer, { batch: 2, length: 16, images: 0, padId: tokenizer.endId });
 * const { input } = await stream.next();
 * assertEquals((await toHost(input.documents))[0], 0);
 * await stream.close();
 * ```
 */
export class SequenceStream {
  readonly #packer: Packer;
  readonly #batcher: SequenceBatcher;
  #ahead: Promise<{ input: DecoderBatch; after: string }>[] = [];
  #made: Promise<unknown> = Promise.resolve();
  #count = 0;
  #state: string;

  /** Starts the Worker. @throws {TypeError} If there may be images and `pixels` is not given. */
  constructor(readonly mixer: Mixer, readonly options: SequenceBatchOptions) {
    this.#packer = new Packer(mixer, options);
    this.#batcher = new SequenceBatcher(options);
    this.#state = this.#now();
  }

  /** The next mini-batch. @throws {Error} If a document or an image cannot be read: the message names the file. */
  async next(): Promise<{ input: DecoderBatch; examples: number; label: string; epoch: number }> {
    while (this.#ahead.length < AHEAD) this.#ahead.push(this.#make());
    const { input, after } = await this.#ahead.shift()!;
    this.#state = after;
    const { count } = JSON.parse(after) as StreamState;
    return { input, examples: this.options.batch, label: `the rows of mini-batch ${count - 1}`, epoch: 0 };
  }

  /** Where it is, for a checkpoint. */
  save(): Record<string, Uint8Array<ArrayBuffer>> {
    return { sequences: new TextEncoder().encode(this.#state) };
  }

  /** Goes to where it was, before anything is taken. @throws {RangeError} If a checkpoint has nothing of a stream, or its mixture had other sources. */
  restore(parts: ReadonlyMap<string, Uint8Array>): void {
    const saved = parts.get("sequences");
    if (!saved) throw new RangeError('Cannot go on with a stream: the checkpoint must have the part "sequences"');
    this.#state = new TextDecoder().decode(saved);
    this.#ahead = [];
    const { count, packer } = JSON.parse(this.#state) as StreamState;
    this.#count = count;
    this.#packer.restore(packer);
  }

  /** Waits until the Worker has ended. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#ahead);
    await this.#batcher.close();
  }

  /** A mini-batch; its documents are taken when those of the one before have been, its images read beside them. */
  #make(): Promise<{ input: DecoderBatch; after: string }> {
    const rows = this.#made.then(async () => {
      const rows = await this.#packer.next(), number = this.#count++;
      return { rows, number, after: this.#now() };
    });
    this.#made = rows.catch(() => {});
    const batch = rows.then(async ({ rows, number, after }) => ({
      input: await this.#batcher.toBatch(rows, number),
      after,
    }));
    batch.catch(() => {}); // an error is told when its turn comes
    return batch;
  }

  #now(): string {
    return JSON.stringify({ count: this.#count, packer: this.#packer.save() } satisfies StreamState);
  }
}
