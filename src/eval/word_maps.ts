/**
 * Maps of words: the tokenizer may have cut a word in several pieces, each of which has a map of its own.
 *
 * @module
 */
import type { Tokenizer } from "../data/tokenizer.ts";
import type { HeatMap } from "./grounding.ts";

/** A word and where in the image it is. */
export interface WordMap {
  /** As it stands in the text. */
  readonly word: string;
  /** The mean of its pieces' maps. */
  readonly map: HeatMap;
}

/**
 * The words of a text with their maps; words beyond the last token have none and are left out.
 *
 * @param text As it was given to the tokenizer: words are what is between spaces.
 * @param maps Those of its tokens, the one of [CLS] first; at least one.
 */
export function wordMaps(tokenizer: Tokenizer, text: string, maps: readonly HeatMap[]): WordMap[] {
  const special = tokenizer.encode("", 2).length; // [CLS], and [SEP] where the tokenizer has it
  const pieces = (text: string, length: number): number => tokenizer.encode(text, length).length - special;
  const own = maps.slice(1, 1 + pieces(text, maps.length)), found: WordMap[] = [];
  let from = 0;
  for (const word of text.split(" ").filter((word) => word !== "")) {
    // WordPiece does not look beyond a word: by itself it has the pieces that it has in a text.
    const parts = own.slice(from, from += pieces(word, own.length + special));
    if (parts.length) found.push({ word, map: meanMap(parts) });
  }
  return found;
}

function meanMap(maps: readonly HeatMap[]): HeatMap {
  const { size, values } = maps[0]!;
  const mean = Float32Array.from(values, (_, i) => maps.reduce((sum, map) => sum + map.values[i]!, 0) / maps.length);
  return { values: mean, size };
}
