/**
 * Learning a byte-level BPE vocabulary, and the `tokenizer.json` that holds one.
 *
 * @module
 */
import { type Merged, Merges } from "./_merges.ts";

/** Ends a document. */
export const END = "<|endoftext|>";
/** Stands where an image's patches are put. */
export const IMAGE = "<image>";

/** A character for each byte, GPT-2's: bytes that print stand for themselves, the others for the characters from U+0100 on. */
const byteCharacters: readonly string[] = (() => {
  const prints = (b: number) => (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(prints(byte) ? byte : next++));
})();

/**
 * The most frequent merges, at most `most`, in the order in which they are made.
 *
 * @param counts How often each word occurs, spelled in GPT-2's characters of bytes.
 */
export function learnMerges(counts: ReadonlyMap<string, number>, most: number): Merged[] {
  const words = [...counts].map(([word, count]) => ({ pieces: [...word], count }));
  const merges = new Merges(words, (left, right) => left + right), learned: Merged[] = [];
  for (let merged; learned.length < most && (merged = merges.next());) learned.push(merged);
  return learned;
}

/** The content of a `tokenizer.json`: special tokens first, then the bytes, then the merges' pieces. */
export function byteLevelFile(merges: readonly Merged[]) {
  // Two merges may give one piece: it has one id.
  const pieces = [...new Set([END, IMAGE, ...byteCharacters, ...merges.map(({ piece }) => piece)])];
  const added = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [END, IMAGE].map((content, id) => ({ id, content, ...added })),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: merges.map(({ left, right }) => `${left} ${right}`),
    },
  };
}
