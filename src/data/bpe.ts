/**
 * Texts to token ids for language models: byte-level and other BPE tokenizers as Hugging Face's `tokenizer.json` has them (GPT-2,
 * GPT-NeoX, Llama), and a small one that is learned.
 *
 * @module
 */
// The library runs whatever a tokenizer.json may name, in plain JavaScript without dependencies.
import { Tokenizer as HuggingFaceTokenizer } from "npm:@huggingface/tokenizers@0.2.0";
import { isRecord } from "./json_items.ts";
import { byteLevelFile, END, IMAGE, learnMerges } from "./learn_bpe.ts";
import { readTokenizerFile } from "./tokenizer.ts";

/** Turns texts into ids and back. */
export interface TextTokenizer {
  /** Number of ids that a model needs: the largest one, that of the image token included, plus 1. */
  readonly vocabularySize: number;
  /** Id that begins a document; undefined where the tokenizer has none, as GPT-2's. */
  readonly beginId: number | undefined;
  /** Id that ends a document. */
  readonly endId: number;
  /** Id that stands where an image's patches are put; no text has it. */
  readonly imageId: number;
  /** The tokens of a text, without those of its beginning and end. Names of special tokens in the text are text. */
  encode(text: string): number[];
  /** The text of ids; special tokens are left out. */
  decode(ids: readonly number[]): string;
  /** The content of its `tokenizer.json`. */
  toJSON(): unknown;
}

/** Names of special tokens, where they are not the usual ones. */
export interface TextTokenizerOptions {
  /** Begins a document. @default the first that there is of `<s>` and `<|begin_of_text|>` */
  readonly begin?: string;
  /** Ends a document. @default the first that there is of `<|endoftext|>`, `</s>` and `<|end_of_text|>` */
  readonly end?: string;
  /** Stands for an image's patches; where there is none, the id after the last one does. @default "<image>" */
  readonly image?: string;
}

/**
 * Reads a `tokenizer.json` of a BPE tokenizer.
 *
 * @throws {SyntaxError} If there is no such file, it is none, or lacks a token that ends documents.
 */
export async function loadTextTokenizer(path: string, options: TextTokenizerOptions = {}): Promise<TextTokenizer> {
  return new BpeTokenizer(await readTokenizerFile(path), options, `"${path}"`);
}

/** Options of {@linkcode buildTextTokenizer}. */
export interface BuildTextTokenizerOptions {
  /** Largest number of ids: two special tokens, 256 bytes, then what is learned. GPT-2 has 50,257. @default 512 */
  readonly size?: number;
}

/**
 * Learns a byte-level BPE vocabulary, with GPT-2's way of cutting texts into words: the most frequent neighbours are merged until
 * `size` ids are reached or nothing is left to merge. The same texts give the same vocabulary, and every text can be encoded.
 *
 * @throws {RangeError} If `size` leaves no room for the bytes, or the texts are empty.
 */
export function buildTextTokenizer(
  texts: Iterable<string>,
  { size = 512 }: BuildTextTokenizerOptions = {},
): TextTokenizer {
  const bare = byteLevelFile([]), least = Object.keys(bare.model.vocab).length;
  if (!Number.isInteger(size) || size < least) {
    throw new RangeError(`Cannot build a tokenizer: "size" must be a whole number of at least ${least}: it is ${size}`);
  }
  const splitter = new HuggingFaceTokenizer(bare, {}), counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of splitter.pre_tokenizer!.pre_tokenize(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  if (!counts.size) throw new RangeError("Cannot build a tokenizer: the texts are empty");
  return new BpeTokenizer(byteLevelFile(learnMerges(counts, size - least)), {}, "the learned vocabulary");
}

const BEGINS = ["<s>", "<|begin_of_text|>"], ENDS = [END, "</s>", "<|end_of_text|>"];

class BpeTokenizer implements TextTokenizer {
  readonly vocabularySize: number;
  readonly beginId: number | undefined;
  readonly endId: number;
  readonly imageId: number;
  readonly #library: HuggingFaceTokenizer;
  readonly #special: ReadonlySet<number>;

  constructor(readonly file: object, options: TextTokenizerOptions, source: string) {
    const { begin, end, image = IMAGE } = options, { plain, special } = split(file);
    try {
      this.#library = new HuggingFaceTokenizer(plain, {});
    } catch (error) {
      throw new SyntaxError(
        `Cannot read the tokenizer: ${source} is not a tokenizer.json (${(error as Error).message})`,
      );
    }
    const ids = new Map([...this.#library.get_vocab(true), ...special]);
    const idOf = (names: readonly string[], needed: boolean): number | undefined => {
      const name = names.find((name) => ids.has(name));
      if (name !== undefined || !needed) return name === undefined ? undefined : ids.get(name);
      throw new SyntaxError(`Cannot read the tokenizer: ${source} has no token ${names.join(" or ")}`);
    };
    this.beginId = idOf(begin === undefined ? BEGINS : [begin], begin !== undefined);
    this.endId = idOf(end === undefined ? ENDS : [end], true)!;
    let largest = 0;
    for (const id of ids.values()) largest = Math.max(largest, id);
    this.imageId = idOf([image], false) ?? ++largest;
    this.vocabularySize = largest + 1;
    this.#special = new Set([...special.values(), this.imageId, this.endId, this.beginId ?? this.endId]);
  }

  encode(text: string): number[] {
    return this.#library.encode(text, { add_special_tokens: false }).ids;
  }

  decode(ids: readonly number[]): string {
    const words = ids.filter((id) => !this.#special.has(id));
    const options = { skip_special_tokens: false, clean_up_tokenization_spaces: false };
    return words.length ? this.#library.decode(words, options) : ""; // it refuses an empty list
  }

  toJSON(): unknown {
    return this.file;
  }
}

/** The file without its special tokens, which no text may spell (an image token without an image, say), and their ids by name. */
function split(file: object): { plain: object; special: Map<string, number> } {
  const { added_tokens: all } = file as { added_tokens?: unknown }, tokens = Array.isArray(all) ? all : [];
  const isSpecial = (t: unknown): t is { content: string; id: number } =>
    isRecord(t) && t.special === true && typeof t.content === "string" && Number.isSafeInteger(t.id);
  const special = tokens.filter(isSpecial).map(({ content, id }): [string, number] => [content, id]);
  const parts = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null }; // the library wants to see each
  return { plain: { ...parts, ...file, added_tokens: tokens.filter((t) => !isSpecial(t)) }, special: new Map(special) };
}
