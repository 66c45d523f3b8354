/**
 * Texts as sequences.
 *
 * @module
 */
import { readTexts, type TextFiles } from "../texts.ts";
import { type SequenceOptions, toSequence } from "./sequence.ts";
import { listedSource, ShuffledSource, type SourceOptions } from "./source.ts";

/** Options of {@linkcode textSource}. */
export interface TextSourceOptions extends Omit<SourceOptions, "images">, Pick<SequenceOptions, "tokenizer"> {
  /** For messages and counts. @default "texts" */
  readonly name?: string;
}

/** Texts of files, or a list of them, each with the token that ends a document. */
export function textSource(texts: TextFiles | readonly string[], options: TextSourceOptions): ShuffledSource<string> {
  const { tokenizer, name = "texts" } = options;
  const encode = (text: string) => toSequence([{ text }, "end"], { tokenizer, imageTokens: 0 });
  if (isList(texts)) return listedSource(name, texts, encode, options);
  return new ShuffledSource(name, () => readTexts(texts), encode, options);
}

function isList(texts: TextFiles | readonly string[]): texts is readonly string[] {
  return Array.isArray(texts);
}
