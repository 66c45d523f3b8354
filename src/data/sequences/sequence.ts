/**
 * A document as tokens: texts, and images that stand where placeholders are.
 *
 * @module
 */
import type { TextTokenizer } from "../bpe.ts";
import type { ImageFile } from "../dataset.ts";
import { hash } from "../string_table.ts";

/** A document as a decoder sees it; plain data, so that it can be saved. */
export interface Sequence {
  /** Ids; the id of the image token stands once for every patch of an image. */
  readonly tokens: readonly number[];
  /** For each token 1 if it is to be predicted from those before it, else 0. */
  readonly learned: readonly number[];
  /** In the order of their placeholders. */
  readonly images: readonly ImageFile[];
}

/** A part of a document: a text that is learned unless it says otherwise, an image, or the token that ends a document or an answer. */
export type Segment =
  | { readonly text: string; readonly learned?: boolean }
  | { readonly image: ImageFile }
  | "end";

/** How documents become tokens. */
export interface SequenceOptions {
  /** Makes tokens of texts. */
  readonly tokenizer: TextTokenizer;
  /** Tokens P of an image. */
  readonly imageTokens: number;
  /** Longer documents are cut here, or before the image that would be cut. @default Infinity */
  readonly maxLength?: number;
}

/** Segments as tokens, behind the token that begins a document where there is one. */
export function toSequence(segments: readonly Segment[], options: SequenceOptions): Sequence {
  const { tokenizer, imageTokens, maxLength = Infinity } = options;
  const tokens: number[] = [], learned: number[] = [], images: ImageFile[] = [];
  const add = (ids: readonly number[], weight: number): void => {
    for (const id of ids.slice(0, maxLength - tokens.length)) {
      tokens.push(id);
      learned.push(weight);
    }
  };
  if (tokenizer.beginId !== undefined) add([tokenizer.beginId], 0);
  for (const segment of segments) {
    if (segment === "end") add([tokenizer.endId], 1);
    else if ("text" in segment) add(tokenizer.encode(segment.text), segment.learned === false ? 0 : 1);
    else {
      if (tokens.length + imageTokens > maxLength) break;
      add(Array<number>(imageTokens).fill(tokenizer.imageId), 0);
      images.push(segment.image);
    }
  }
  return { tokens, learned, images };
}

const encoder = new TextEncoder();

/** An image by its path alone. */
export function imageFile(path: string): ImageFile {
  return { path, id: hash(encoder.encode(path)) };
}
