/** Questions about pictures, and what a model writes after them. */
import {
  asked,
  imageFile,
  imageTokenCount,
  type Segment,
  type Sequence,
  SequenceBatcher,
  TextGenerator,
  type TextTokenizer,
  toSequence,
  type VisionLanguage,
  type VisionLanguageConfig,
} from "../../mod.ts";

/** A model that reads pictures, without its parameters. */
export interface Reader {
  readonly config: VisionLanguageConfig & Required<Pick<VisionLanguageConfig, "image">>;
  readonly tokenizer: TextTokenizer;
}

/** A question about a picture, or without one. */
export interface Prompt {
  /** Path of the picture. */
  readonly image?: string;
  readonly question: string;
}

/** A question as conversations have it: the picture, then the words. */
export function promptSegments({ image, question }: Prompt): Segment[] {
  const words = { text: `${image === undefined ? "" : " "}${asked(question)}`, learned: false };
  return image === undefined ? [words] : [{ image: imageFile(image) }, words];
}

/** Pictures as they are: texts tell left from right. */
export function viewOf({ config: { image: { encoder } } }: Pick<Reader, "config">) {
  return { resolution: encoder.resolution, transform: "eval" } as const;
}

/** Segments as a model's tokens. */
export function sequenceOf(
  { config, tokenizer }: Reader,
  segments: readonly Segment[],
  maxLength = Infinity,
): Sequence {
  return toSequence(segments, { tokenizer, imageTokens: imageTokenCount(config.image), maxLength });
}

/** Options of a {@linkcode Writer}. */
export interface WriterOptions {
  /** Questions at a time. */
  readonly batch: number;
  /** Tokens of a question and its picture at most. */
  readonly promptLength: number;
  /** Tokens that are written at most. */
  readonly maxTokens: number;
}

/** Writes answers, greedily. It holds programs and a Worker until it is closed. */
export class Writer implements AsyncDisposable {
  readonly #batcher: SequenceBatcher;
  readonly #generator: TextGenerator;

  constructor(readonly reader: Reader, readonly options: WriterOptions) {
    const { config, tokenizer } = reader, { batch, promptLength, maxTokens } = options, padId = tokenizer.endId;
    const pixels = { view: viewOf(reader), cacheBytes: 2 ** 26 };
    this.#batcher = new SequenceBatcher({ batch, length: promptLength, images: batch, padId, pixels });
    this.#generator = new TextGenerator({ config, endId: tokenizer.endId, padId, promptLength, maxTokens });
  }

  /** An answer to each question: all of them have pictures, or none has. */
  async write(params: VisionLanguage, prompts: readonly Prompt[]): Promise<string[]> {
    const { batch, promptLength } = this.options, texts: string[] = [];
    for (let from = 0; from < prompts.length; from += batch) {
      // The last one is repeated, so that all mini-batches have one size.
      const some = Array.from({ length: batch }, (_, i) => prompts[Math.min(from + i, prompts.length - 1)]!);
      const sequences = some.map((prompt) => sequenceOf(this.reader, promptSegments(prompt), promptLength));
      const { images } = await this.#batcher.rowPerSequence(sequences), tokens = sequences.map(({ tokens }) => tokens);
      const seen = some[0]!.image === undefined ? {} : { images: images! };
      const written = await this.#generator.generate(params, { tokens, ...seen });
      texts.push(...written.map(([text]) => this.reader.tokenizer.decode(text!.ids).trim()));
    }
    return texts.slice(0, prompts.length);
  }

  /** Frees programs and ends the Worker. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#generator.destroy();
    await this.#batcher.close();
  }
}
