/** A tokenizer of single letters and documents of any kind, so that tests can spell what they expect. */
import type { TextTokenizer } from "../../../src/data/bpe.ts";
import type { PackedRows } from "../../../src/data/sequences/packer.ts";
import { imageFile, type Sequence, toSequence } from "../../../src/data/sequences/sequence.ts";
import { ShuffledSource, type SourceOptions } from "../../../src/data/sequences/source.ts";

/** Every character is a token, its code the id; "$" ends a document and "#" stands for an image. */
export const letters: TextTokenizer = {
  vocabularySize: 128,
  beginId: undefined,
  endId: 36,
  imageId: 35,
  encode: (text) => [...text].map((c) => c.codePointAt(0)!),
  decode: (ids) => String.fromCharCode(...ids),
  toJSON: () => ({}),
};

/** A document: its text, and "#" for each image of two tokens. */
export function document(text: string): Sequence {
  const segments = text.split(/(#)/).filter((t) => t).map((t) =>
    t === "#" ? { image: imageFile(`${text}.png`) } : { text: t }
  );
  return toSequence([...segments, "end"], { tokenizer: letters, imageTokens: 2 });
}

/** A source of such documents, in order unless it says otherwise. */
export function source(texts: readonly string[], options: SourceOptions = {}): ShuffledSource<string> {
  return new ShuffledSource(`source of ${texts[0]}`, () => [texts], document, { shuffle: 1, ...options });
}

/** The rows: their tokens, documents, positions and loss as strings; "." is padding. */
export function spell(rows: PackedRows, length: number): string[] {
  const row = (values: ArrayLike<number>, r: number, show: (value: number, at: number) => string) =>
    Array.from({ length }, (_, i) => show(values[r * length + i]!, r * length + i)).join("");
  return Array.from({ length: rows.tokens.length / length }, (_, r) =>
    [
      row(rows.tokens, r, (id, at) => rows.documents[at]! < 0 ? "." : String.fromCharCode(id)),
      row(rows.documents, r, (d) => d < 0 ? "." : String(d)),
      row(rows.positions, r, (p) => p.toString(36)),
      row(rows.lossMask, r, String),
    ].join(" "));
}
