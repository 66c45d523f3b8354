/**
 * Prompts of different lengths as rows that end at the same place.
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";

/** Prompts with their images. */
export interface Prompts {
  /** Ids of each; where an image stands, the placeholder as often as an image has tokens. A prompt ends with a word. */
  readonly tokens: readonly ArrayLike<number>[];
  /** f32 [N, 3, S, S], as in a `DecoderBatch`: in the order of their places. */
  readonly images?: Tensor;
}

/** Prompts as the decoder reads them: all but the last token, and the last. */
export type PromptRows = {
  /** i32 [B, length - 1], padding first; at least one token. */
  readonly tokens: Tensor;
  /** u32 [B]: the last token of each. */
  readonly last: Tensor;
  /** i32 [B]: the place of the first token of each. */
  readonly first: Tensor;
  readonly images?: Tensor;
};

/** What {@linkcode promptRows} must know of the model. */
export interface PromptRules {
  /** Stands before short prompts. */
  readonly padId: number;
  /** The placeholder, and how often it stands for an image. Absent: the model reads no images. */
  readonly image?: { readonly token: number; readonly count: number } | undefined;
}

/** Rows of `length` tokens. @throws {RangeError} If a prompt is empty, too long or ends with an image, or images do not fit. */
export function promptRows({ tokens, images }: Prompts, length: number, { padId, image }: PromptRules): PromptRows {
  const count = tokens.length, given = Math.max(1, length - 1);
  if (!count) throw new RangeError("Cannot read prompts: there must be at least one: there is none");
  const rows = new Int32Array(count * given).fill(padId), last = new Uint32Array(count), first = new Int32Array(count);
  let places = 0;
  tokens.forEach((ids, row) => {
    const own = Array.from(ids), end = own.at(-1);
    if (end === undefined || own.length > length) {
      refuse(row, `it must have 1 to ${length} tokens: it has ${own.length}`);
    }
    if (end === image?.token) refuse(row, "it must end with a word: it ends with an image");
    first[row] = given + 1 - own.length;
    rows.set(own.slice(0, -1), row * given + first[row]!);
    last[row] = end;
    places += own.filter((id) => id === image?.token).length;
  });
  const needed = (images?.shape[0] ?? 0) * (image?.count ?? 0);
  if (places !== needed || (images && !image)) {
    throw new RangeError(
      `Cannot read prompts: there must be a placeholder for each of the ${needed} tokens of the images: there are ${places}`,
    );
  }
  return {
    tokens: tensor(rows, [count, given]),
    last: tensor(last),
    first: tensor(first),
    ...(images ? { images } : {}),
  };
}

function refuse(row: number, sentence: string): never {
  throw new RangeError(`Cannot read prompt ${row}: ${sentence}`);
}
