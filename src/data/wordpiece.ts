/**
 * Learning a WordPiece vocabulary from word counts, and the `tokenizer.json` file that holds one.
 *
 * @module
 */
import { Merges } from "./_merges.ts";

/** The special tokens of BERT, in the order in which a learned vocabulary starts. */
export const SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] as const;

/** What a piece that continues a word starts with. */
const CONTINUES = "##";

/**
 * The content of a Hugging Face `tokenizer.json` for a lower-casing BERT WordPiece vocabulary.
 *
 * @param vocabulary Pieces; the place is the id.
 * @param sep Whether a text ends with `[SEP]`.
 */
export function wordPieceFile(vocabulary: readonly string[], sep: boolean): Record<string, unknown> {
  const id = (token: string): number => vocabulary.indexOf(token);
  const special = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } });
  const ends = sep ? ["[CLS]", "[SEP]"] : ["[CLS]"];
  const template = (sequence: string) => [
    special("[CLS]"),
    { Sequence: { id: sequence, type_id: 0 } },
    ...(sep ? [special("[SEP]")] : []),
  ];
  const added = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.filter((t) => id(t) >= 0).map((content) => ({ id: id(content), content, ...added })),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: template("A"),
      pair: [...template("A"), ...template("B").slice(1)],
      special_tokens: Object.fromEntries(ends.map((t) => [t, { id: t, ids: [id(t)], tokens: [t] }])),
    },
    decoder: { type: "WordPiece", prefix: CONTINUES, cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: CONTINUES,
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary.map((piece, i) => [piece, i])),
    },
  };
}

/**
 * Learns a vocabulary: the special tokens, every character as the start and as the continuation of a word, then whole words
 * if all of them fit, else the pieces that come from merging the most frequent neighbours again and again. The same
 * counts always give the same vocabulary; ties go to the piece that is first in code-unit order.
 *
 * @param counts How often each word occurs.
 * @param size Largest number of pieces; rare characters are left out where they do not fit.
 */
export function learnWordPieces(counts: ReadonlyMap<string, number>, size: number): string[] {
  const characters = frequentCharacters(counts, Math.floor((size - SPECIAL_TOKENS.length) / 2));
  const start = [...SPECIAL_TOKENS, ...characters, ...characters.map((c) => CONTINUES + c)];
  const words = byCount(counts).filter((word) => [...word].length > 1);
  if (start.length + words.length <= size) return [...start, ...words];
  const known = new Set(characters);
  const usable = words.filter((word) => [...word].every((c) => known.has(c)));
  const merges = new Merges(usable.map((word) => ({ pieces: toPieces(word), count: counts.get(word)! })), joined);
  const vocabulary = new Set(start);
  while (vocabulary.size < size) {
    const merged = merges.next();
    if (!merged) break;
    vocabulary.add(merged.piece);
  }
  return [...vocabulary];
}

/** The most frequent characters, at most so many, in code-unit order. */
function frequentCharacters(counts: ReadonlyMap<string, number>, limit: number): string[] {
  const characters = new Map<string, number>();
  for (const [word, count] of counts) for (const c of word) characters.set(c, (characters.get(c) ?? 0) + count);
  return byCount(characters).slice(0, limit).sort();
}

function byCount(counts: ReadonlyMap<string, number>): string[] {
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([key]) => key);
}

function toPieces(word: string): string[] {
  return [...word].map((c, i) => i === 0 ? c : CONTINUES + c);
}

function joined(left: string, right: string): string {
  return left + right.slice(CONTINUES.length);
}
