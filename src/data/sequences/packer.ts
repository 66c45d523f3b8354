/**
 * Documents packed into rows of one length.
 *
 * @module
 */
import type { ImageFile } from "../dataset.ts";
import type { Mixer, MixerState, Room } from "./mixer.ts";
import type { Sequence } from "./sequence.ts";

/** B rows of T tokens, row by row. */
export interface PackedRows {
  /** B x T ids. */
  readonly tokens: Int32Array<ArrayBuffer>;
  /** B x T: the number of a token's document in its row, -1 at padding. */
  readonly documents: Int32Array<ArrayBuffer>;
  /** B x T: the place of a token in its document, 0 at padding. */
  readonly positions: Int32Array<ArrayBuffer>;
  /** B x T: 1 where the token that follows is to be predicted, else 0. */
  readonly lossMask: Float32Array<ArrayBuffer>;
  /** In the order of their placeholders. */
  readonly images: readonly ImageFile[];
}

/** Sizes of rows. */
export interface RowOptions {
  /** Number B of rows. */
  readonly batch: number;
  /** Tokens T of a row. */
  readonly length: number;
  /** Id at padding. */
  readonly padId: number;
}

/** Options of a {@linkcode Packer}. */
export interface PackerOptions extends RowOptions {
  /** The most images of the B rows together. */
  readonly images: number;
}

/** Where a packer is: plain data for JSON. */
export interface PackerState {
  /** Where the mixture is. */
  readonly mixer: MixerState;
  /** A document that had no room. */
  readonly waiting: Sequence | null;
}

/**
 * Fills rows with the documents of a mixture. A text goes on in a later row where it is cut, as a document of its own; a document of a
 * source with images is never cut, but waits for the next row with room while texts fill this one. Without texts that rest is padding.
 */
export class Packer {
  #waiting: Sequence | null = null;

  /** Takes nothing yet. @throws {RangeError} If a document may have more images than all rows together. */
  constructor(readonly mixer: Mixer, readonly options: PackerOptions) {
    if (mixer.images <= options.images) return;
    throw new RangeError(
      `Cannot pack documents of up to ${mixer.images} images: a mini-batch must have room for as many: it has room for ${options.images}`,
    );
  }

  /** The next B rows. @throws {RangeError} If a document with images is longer than a row. */
  async next(): Promise<PackedRows> {
    const rows = emptyRows(this.options), { batch, length } = this.options;
    for (let row = 0; row < batch; row++) {
      for (let at = 0, document = 0; at < length; document++) {
        const sequence = await this.#take({ tokens: length - at, images: this.options.images - rows.images.length });
        if (!sequence) break;
        place(rows, sequence, row * length + at, document);
        at += sequence.tokens.length;
      }
    }
    return rows;
  }

  async #take(room: Room): Promise<Sequence | undefined> {
    const waiting = this.#waiting;
    if (waiting && fits(waiting, room)) {
      this.#waiting = null;
      return waiting;
    }
    const sequence = await this.mixer.next(waiting ? { ...room, images: 0 } : room);
    if (!sequence || fits(sequence, room)) return sequence;
    this.#check(sequence);
    this.#waiting = sequence;
    return await this.mixer.next({ ...room, images: 0 });
  }

  #check({ tokens }: Sequence): void {
    const { length } = this.options;
    if (tokens.length <= length) return;
    throw new RangeError(
      `Cannot pack a document with images: it must have at most ${length} tokens: it has ${tokens.length}`,
    );
  }

  /** Where it is. */
  save(): PackerState {
    return { mixer: this.mixer.save(), waiting: this.#waiting };
  }

  /** Goes to where it was. */
  restore({ mixer, waiting }: PackerState): void {
    this.mixer.restore(mixer);
    this.#waiting = waiting;
  }
}

/** Rows with a document each. @throws {RangeError} If there are more documents than rows, or one is longer than a row. */
export function rowPerSequence(sequences: readonly Sequence[], options: RowOptions): PackedRows {
  const rows = emptyRows(options), longest = Math.max(0, ...sequences.map(({ tokens }) => tokens.length));
  if (sequences.length > options.batch || longest > options.length) {
    throw new RangeError(
      `Cannot put ${sequences.length} documents of up to ${longest} tokens in rows: ` +
        `there must be at most ${options.batch} of at most ${options.length}`,
    );
  }
  sequences.forEach((sequence, row) => place(rows, sequence, row * options.length, 0));
  return rows;
}

function fits({ tokens, images }: Sequence, room: Room): boolean {
  return tokens.length <= room.tokens && images.length <= room.images;
}

function emptyRows({ batch, length, padId }: RowOptions): PackedRows & { images: ImageFile[] } {
  const count = batch * length;
  return {
    tokens: new Int32Array(count).fill(padId),
    documents: new Int32Array(count).fill(-1),
    positions: new Int32Array(count),
    lossMask: new Float32Array(count),
    images: [],
  };
}

/** Writes a document from `at` on; the loss of a token stands where the one before it does. */
function place(
  rows: ReturnType<typeof emptyRows>,
  { tokens, learned, images }: Sequence,
  at: number,
  document: number,
): void {
  rows.tokens.set(tokens, at);
  rows.documents.fill(document, at, at + tokens.length);
  rows.lossMask.set(learned.slice(1), at);
  for (let i = 0; i < tokens.length; i++) rows.positions[at + i] = i;
  rows.images.push(...images);
}
