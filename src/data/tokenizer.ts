/**
 * Texts to token ids, in ALBEF's convention: `[CLS]` in front and no `[SEP]` at the end.
 *
 * @module
 */
// The library runs whatever a tokenizer.json may name, in plain JavaScript without dependencies.
import { Tokenizer as HuggingFaceTokenizer } from "npm:@huggingface/tokenizers@0.2.0";
import { writeFileAtomic } from "../io/atomic.ts";
import { textIfThere } from "../io/files.ts";
import { cleanCaption } from "./captions.ts";
import { learnWordPieces, SPECIAL_TOKENS, wordPieceFile } from "./wordpiece.ts";

/** Options of {@linkcode loadTokenizer} and {@linkcode buildTokenizer}. */
export interface TokenizerOptions {
  /** End every text with `[SEP]`, as BERT does and ALBEF does not. @default false */
  readonly sep?: boolean;
}

/** Token ids of a batch of texts, row by row. */
export interface TokenBatch {
  /** B x maxLength ids, `padId` after the last token. */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** B x maxLength: 1 at tokens, 0 at padding. */
  readonly mask: Float32Array<ArrayBuffer>;
}

/** Turns texts into ids. Texts are taken as they are: clean captions with `cleanCaption` before. */
export interface Tokenizer {
  /** Number of ids: the largest one plus 1. */
  readonly vocabularySize: number;
  /** Id of `[PAD]`. */
  readonly padId: number;
  /** Id of `[CLS]`. */
  readonly clsId: number;
  /** Id of `[SEP]`. */
  readonly sepId: number;
  /** Id of `[MASK]`. */
  readonly maskId: number;
  /** Id of `[UNK]`. */
  readonly unknownId: number;
  /** `[CLS]` and the first tokens of a text, at most `maxLength` ids in all; not padded. */
  encode(text: string, maxLength: number): number[];
  /** Every text as {@linkcode Tokenizer.encode} gives it, padded to `maxLength`. */
  encodeBatch(texts: readonly string[], maxLength: number): TokenBatch;
  /** The text of ids, for people: word pieces joined, special tokens left out. */
  decode(ids: readonly number[]): string;
  /** The content of its `tokenizer.json`. */
  toJSON(): unknown;
}

/**
 * Reads a Hugging Face `tokenizer.json` or a BERT `vocab.txt` (one piece a line; lower-cased WordPiece).
 *
 * @throws {SyntaxError} If there is no such file, it is neither, or lacks one of the special tokens `[PAD] [UNK] [CLS] [SEP] [MASK]`.
 */
export async function loadTokenizer(path: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
  const file = path.endsWith(".txt")
    ? wordPieceFile(vocabularyLines(await readWhole(path)), options.sep ?? false)
    : await readTokenizerFile(path);
  return new BertTokenizer(file, options.sep ?? false, `"${path}"`);
}

/** Options of {@linkcode buildTokenizer}. */
export interface BuildTokenizerOptions extends TokenizerOptions {
  /** Largest number of pieces. BERT's vocabulary has 30,522. @default 8192 */
  readonly size?: number;
}

/**
 * Learns a small WordPiece vocabulary from captions, cleaned as for training: the special tokens have the ids 0 to 4, then
 * come characters, then whole words if all of them fit into `size`, else frequent pieces of words. The same captions give
 * the same vocabulary.
 *
 * @throws {RangeError} If `size` leaves no room for characters, or the captions have no words.
 */
export function buildTokenizer(captions: Iterable<string>, options: BuildTokenizerOptions = {}): Tokenizer {
  const { size = 8192, sep = false } = options, least = SPECIAL_TOKENS.length + 2;
  if (!Number.isInteger(size) || size < least) {
    throw new RangeError(`Cannot build a tokenizer: "size" must be a whole number of at least ${least}: it is ${size}`);
  }
  const splitter = new HuggingFaceTokenizer(wordPieceFile(SPECIAL_TOKENS, sep), {});
  const counts = new Map<string, number>();
  for (const caption of captions) {
    const normalized = splitter.normalizer!.normalize(apart(cleanCaption(caption)));
    for (const word of splitter.pre_tokenizer!.pre_tokenize(normalized)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  if (!counts.size) throw new RangeError("Cannot build a tokenizer: the captions have no words");
  return new BertTokenizer(wordPieceFile(learnWordPieces(counts, size), sep), sep, "the learned vocabulary");
}

/** Writes a tokenizer as a Hugging Face `tokenizer.json`, atomically. */
export async function writeTokenizer(tokenizer: Pick<Tokenizer, "toJSON">, path: string): Promise<void> {
  await writeFileAtomic(path, tokenizerText(tokenizer));
}

/** The text of a tokenizer's `tokenizer.json`. */
export function tokenizerText(tokenizer: Pick<Tokenizer, "toJSON">): string {
  return JSON.stringify(tokenizer, undefined, 1) + "\n";
}

class BertTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly padId: number;
  readonly unknownId: number;
  readonly clsId: number;
  readonly sepId: number;
  readonly maskId: number;
  readonly #library: HuggingFaceTokenizer;
  readonly #splitsIdeographs: boolean;

  constructor(readonly file: Record<string, unknown>, readonly sep: boolean, source: string) {
    try {
      this.#library = new HuggingFaceTokenizer(file, {});
    } catch (error) {
      throw new SyntaxError(
        `Cannot read the tokenizer: ${source} is not a tokenizer.json (${(error as Error).message})`,
      );
    }
    this.#splitsIdeographs = splitsIdeographs(file.normalizer);
    const ids = SPECIAL_TOKENS.map((token) => {
      const id = this.#library.token_to_id(token);
      if (id === undefined) throw new SyntaxError(`Cannot read the tokenizer: ${source} has no token ${token}`);
      return id;
    });
    [this.padId, this.unknownId, this.clsId, this.sepId, this.maskId] = ids as [number, number, number, number, number];
    let largest = 0;
    for (const id of this.#library.get_vocab(true).values()) largest = Math.max(largest, id);
    this.vocabularySize = largest + 1;
  }

  encode(text: string, maxLength: number): number[] {
    const least = this.sep ? 2 : 1;
    if (!Number.isInteger(maxLength) || maxLength < least) {
      throw new RangeError(
        `Cannot encode: "maxLength" must be a whole number of at least ${least}: it is ${maxLength}`,
      );
    }
    const { ids } = this.#library.encode(this.#splitsIdeographs ? apart(text) : text, { add_special_tokens: false });
    return [this.clsId, ...ids.slice(0, maxLength - least), ...(this.sep ? [this.sepId] : [])];
  }

  encodeBatch(texts: readonly string[], maxLength: number): TokenBatch {
    const ids = new Uint32Array(texts.length * maxLength).fill(this.padId);
    const mask = new Float32Array(texts.length * maxLength);
    texts.forEach((text, row) => {
      const tokens = this.encode(text, maxLength);
      ids.set(tokens, row * maxLength);
      mask.fill(1, row * maxLength, row * maxLength + tokens.length);
    });
    return { ids, mask };
  }

  decode(ids: readonly number[]): string {
    const special = new Set([this.padId, this.clsId, this.sepId, this.maskId]);
    const words = ids.filter((id) => !special.has(id));
    return words.length ? this.#library.decode(words, { skip_special_tokens: false }) : ""; // it refuses an empty list
  }

  toJSON(): unknown {
    return this.file;
  }
}

/** Ideographs beyond U+FFFF with spaces around them, as BERT has all ideographs; the library sees halves of them and leaves them alone. */
function apart(text: string): string {
  const ideographs =
    /[\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B820}-\u{2CEAF}\u{2F800}-\u{2FA1F}]/gu;
  return text.replace(ideographs, " $& ");
}

/** Whether a normalizer of a `tokenizer.json`, or one in its sequence, is BERT's that sets ideographs apart. */
function splitsIdeographs(normalizer: unknown): boolean {
  const { type, handle_chinese_chars: splits, normalizers } = (normalizer ?? {}) as Record<string, unknown>;
  if (Array.isArray(normalizers)) return normalizers.some(splitsIdeographs);
  return type === "BertNormalizer" && splits !== false;
}

function vocabularyLines(text: string): string[] {
  return text.replace(/\r?\n$/, "").split(/\r?\n/);
}

async function readWhole(path: string): Promise<string> {
  const text = (await textIfThere(path))?.replace(/^\uFEFF/, ""); // editors of Windows put the mark there
  if (text !== undefined) return text;
  throw new SyntaxError(`Cannot read the tokenizer: there is no file "${path}"`);
}

/** The content of a `tokenizer.json`, of which only the outermost form is checked. @throws {SyntaxError} If it is none. */
export async function readTokenizerFile(path: string): Promise<Record<string, unknown>> {
  const text = await readWhole(path);
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`Cannot read the tokenizer: "${path}" is not JSON (${(error as Error).message})`);
  }
  if (typeof file === "object" && file !== null && "model" in file) return file as Record<string, unknown>;
  throw new SyntaxError(
    `Cannot read the tokenizer: "${path}" has no "model"; a tokenizer.json or a vocab.txt is needed`,
  );
}
