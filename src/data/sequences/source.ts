/**
 * Documents without end, epoch after epoch, shuffled.
 *
 * @module
 */
import { Random } from "../../random/random.ts";
import type { Sequence } from "./sequence.ts";

/** Where a source is: plain data for JSON. */
export interface SourceState {
  /** Times that all documents have been given. */
  readonly epoch: number;
  /** Documents of this epoch that have been given. */
  readonly taken: number;
}

/** Gives documents as tokens, never the last one. */
export interface SequenceSource {
  /** For messages. */
  readonly name: string;
  /** The most images that a document may have; 0: there are none, and a document may be cut at any token. */
  readonly images: number;
  /** The next document. */
  next(): Promise<Sequence>;
  /** Where it is. */
  save(): SourceState;
  /** Goes to where it was. */
  restore(state: SourceState): void;
}

/** Options of a {@linkcode ShuffledSource}. */
export interface SourceOptions {
  /** Decides on the order and on what is drawn for a document. @default 0 */
  readonly seed?: number;
  /** So many documents are read at a time and shuffled among each other. @default 4096 */
  readonly shuffle?: number;
  /** The most images of a document. @default 0 */
  readonly images?: number;
}

/**
 * Shuffles what it reads block by block, so that memory is bounded, and makes sequences of it one by one. Its place is two numbers:
 * to go on there, what comes before is read over.
 */
export class ShuffledSource<T> implements SequenceSource {
  readonly images: number;
  readonly #random: Random;
  readonly #block: number;
  #epoch = 0;
  #taken = 0;
  #blocks: AsyncIterator<T[]> | undefined;
  #items: T[] = [];

  /**
   * Reads nothing yet.
   *
   * @param read Everything once, in the order of an epoch, some of it at a time.
   * @param encode Makes a sequence of an item; the stream is the document's own.
   * @throws {RangeError} If `shuffle` is no number of documents.
   */
  constructor(
    readonly name: string,
    readonly read: () => Iterable<readonly T[]> | AsyncIterable<readonly T[]>,
    readonly encode: (item: T, random: Random) => Sequence,
    { seed = 0, shuffle = 4096, images = 0 }: SourceOptions = {},
  ) {
    if (!(shuffle >= 1)) {
      throw new RangeError(`Cannot read ${name}: "shuffle" must be a number of at least 1: it is ${shuffle}`);
    }
    this.images = images;
    this.#block = shuffle;
    this.#random = new Random(seed);
  }

  async next(): Promise<Sequence> {
    const at = this.#taken % this.#block; // a block without end has one number for each of its documents
    if (!this.#blocks || at === 0) await this.#nextBlock();
    else if (at >= this.#items.length) await this.#beginEpoch();
    const item = this.#items[this.#taken % this.#block]!;
    return this.encode(item, this.#random.fork(this.#epoch, this.#taken++));
  }

  save(): SourceState {
    return { epoch: this.#epoch, taken: this.#taken };
  }

  restore({ epoch, taken }: SourceState): void {
    [this.#epoch, this.#taken] = [epoch, taken];
    this.#close();
  }

  /** Fills `#items` with the block that the next document is in. */
  async #nextBlock(): Promise<void> {
    const over = this.#blocks ? 0 : Math.floor(this.#taken / this.#block);
    this.#blocks ??= blocksOf(this.read(), this.#block);
    for (let i = 0; i <= over; i++) this.#items = (await this.#blocks.next()).value ?? [];
    const number = Math.floor(this.#taken / this.#block);
    this.#random.fork(this.#epoch, number, SHUFFLE).shuffle(this.#items);
    if (this.#taken % this.#block < this.#items.length) return;
    if (this.#taken > 0) return await this.#beginEpoch();
    throw new SyntaxError(`Cannot read ${this.name}: it has no documents`);
  }

  async #beginEpoch(): Promise<void> {
    this.restore({ epoch: this.#epoch + 1, taken: 0 });
    await this.#nextBlock();
  }

  #close(): void {
    this.#blocks?.return?.().catch(() => {});
    [this.#blocks, this.#items] = [undefined, []];
  }
}

/** A source of items that are all there: they are shuffled as one block, and the sequence of each is made once. */
export function listedSource<T>(
  name: string,
  items: readonly T[],
  encode: (item: T) => Sequence,
  options: SourceOptions,
): ShuffledSource<T> {
  return new ShuffledSource(name, () => [items], remembered(encode), {
    ...options,
    shuffle: Math.max(1, items.length),
  });
}

/** Makes each item's sequence once and keeps it. */
function remembered<T>(encode: (item: T) => Sequence): (item: T) => Sequence {
  const known = new Map<T, Sequence>();
  return (item) => {
    const sequence = known.get(item) ?? encode(item);
    known.set(item, sequence);
    return sequence;
  };
}

/** The word of the stream that shuffles a block, behind its epoch and number. */
const SHUFFLE = 0x5368;

/** Items in blocks of one size, the last one smaller. */
async function* blocksOf<T>(
  batches: Iterable<readonly T[]> | AsyncIterable<readonly T[]>,
  size: number,
): AsyncGenerator<T[]> {
  let block: T[] = [];
  for await (const batch of batches) {
    for (const item of batch) {
      block.push(item);
      if (block.length < size) continue;
      yield block;
      block = [];
    }
  }
  if (block.length) yield block;
}
