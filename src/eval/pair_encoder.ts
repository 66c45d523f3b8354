/**
 * A trained model of pairs for use: features of image files and texts, and scores of single pairs or small lists of them.
 *
 * @module
 */
import { cleanCaption } from "../data/captions.ts";
import type { ImageReader } from "../data/images.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { imagePlan, imageWords } from "../data/transform.ts";
import { albefPairs, type Matcher, type PairModel, type Tokens } from "../models/albef.ts";
import type { AlbefConfig } from "../models/config.ts";
import { multiply } from "../ops/elementwise.ts";
import { sum } from "../ops/reduce.ts";
import { reshape, slice } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { compile, type Compiled, tensor, toDevice, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { Random } from "../random/random.ts";
import { indicesFrom } from "./_batches.ts";

/** An image file and a text. */
export interface ImageText {
  /** Path of the image. */
  readonly image: string;
  /** The text; it is cleaned as captions are. */
  readonly text: string;
}

/** How well an image and a text fit. */
export interface PairScore {
  /** Cosine of their contrastive features, -1 to 1. */
  readonly cosine: number;
  /** Probability of "match" by the matching head, where the model has one. */
  readonly match?: number;
}

/** What a model needs to read files and texts. */
export interface PairEncoderOptions {
  /** The tokenizer that the model was trained with. */
  readonly tokenizer: Tokenizer;
  /** Tokens per text; longer ones are truncated. */
  readonly maxLength: number;
  /** Side of the images, pixels: that of the model. */
  readonly resolution: number;
  /** Images, texts or pairs that are taken at a time. @default 32 */
  readonly batch?: number;
}

/** Features of images, and the images that have none since they cannot be read. */
export interface ImageFeatures {
  /** Of each file its feature, [embedding] of length 1, or undefined. */
  readonly features: readonly (Float32Array | undefined)[];
  /** Files that cannot be read and why: a predicate that follows the name. */
  readonly failed: readonly { readonly file: string; readonly reason: string }[];
}

/** A model with its parameters, on image files and texts; its programs are made once. */
export class PairEncoder<P = unknown> {
  readonly #images: Compiled<[Tree, Tensor], Tensor>;
  readonly #texts: Compiled<[Tree, Tokens], Tensor>;
  readonly #scores: Compiled<[Tree, Tensor, Tokens], Tensor[]>;
  #reader: ImageReader | undefined;

  /** An encoder of a model. */
  constructor(readonly params: P, model: PairModel<P>, readonly options: PairEncoderOptions) {
    this.#images = compile((p, x) => model.image(p as P, x).features);
    this.#texts = compile((p, tokens) => model.text(p as P, tokens).features);
    this.#scores = compile((p, x, tokens) => {
      const image = model.image(p as P, x), text = model.text(p as P, tokens);
      const cosine = sum(multiply(image.features, text.features), { axes: [1] });
      const logits = model.match?.(p as P, text.states, tokens.mask, image.states);
      return logits ? [cosine, reshape(slice(softmax(logits), 1, 1, 2), cosine.shape)] : [cosine];
    });
  }

  /** Features of images; a file that cannot be read is listed and has none. */
  async images(files: readonly string[]): Promise<ImageFeatures> {
    const features: (Float32Array | undefined)[] = files.map(() => undefined),
      failed: { file: string; reason: string }[] = [];
    for (const batch of this.#batches(files.length)) {
      const read = await Promise.allSettled(batch.map((i) => this.#read(files[i]!)));
      const good = batch.filter((_, n) => read[n]!.status === "fulfilled");
      read.forEach((r, n) =>
        r.status === "rejected" && failed.push({ file: files[batch[n]!]!, reason: r.reason.message })
      );
      if (!good.length) continue;
      const bytes = read.flatMap((r) => r.status === "fulfilled" ? [r.value] : []);
      const rows = await this.#rows(this.#images(await this.#parameters(), this.#pack(bytes)), good.length);
      good.forEach((i, n) => features[i] = rows[n]);
    }
    return { features, failed };
  }

  /** Features of texts, [embedding] of length 1. */
  async texts(texts: readonly string[]): Promise<Float32Array[]> {
    const features: Float32Array[] = [];
    for (const batch of this.#batches(texts.length)) {
      const tokens = this.tokens(batch.map((i) => texts[i]!));
      features.push(...await this.#rows(this.#texts(await this.#parameters(), tokens), batch.length));
    }
    return features;
  }

  /**
   * Scores of pairs, in their order.
   *
   * @throws {Error} If an image cannot be read.
   */
  async score(pairs: readonly ImageText[]): Promise<PairScore[]> {
    const scores: PairScore[] = [];
    for (const batch of this.#batches(pairs.length)) {
      const own = batch.map((i) => pairs[i]!), pixels = await this.pixels(own.map(({ image }) => image));
      const tokens = this.tokens(own.map(({ text }) => text));
      const [cosine, match] = await toHost(await this.#scores(await this.#parameters(), pixels, tokens));
      own.forEach((_, n) => scores.push({ cosine: cosine![n]!, ...(match ? { match: match[n]! } : {}) }));
    }
    return scores;
  }

  /**
   * Images as the model takes them, u32 [B, H * W * 3 / 4] of packed RGB bytes: B is a power of two, beyond their number the last one is
   * repeated.
   *
   * @throws {Error} If one cannot be read.
   */
  async pixels(files: readonly string[]): Promise<Tensor> {
    return this.#pack(
      await Promise.all(files.map((file) =>
        this.#read(file).catch((error) => {
          throw new Error(`Cannot use the image "${file}": it ${error.message}`);
        })
      )),
    );
  }

  /** Texts as the model takes them, padded like {@linkcode PairEncoder.pixels}. */
  tokens(texts: readonly string[]): Tokens {
    const { tokenizer, maxLength } = this.options, clean = padded(texts.map((text) => cleanCaption(text)));
    const { ids, mask } = tokenizer.encodeBatch(clean, maxLength), shape = [clean.length, maxLength];
    return { ids: tensor(ids, shape), mask: tensor(mask, shape) };
  }

  /** Frees the memory of the programs. */
  destroy(): void {
    for (const program of [this.#images, this.#texts, this.#scores]) program.destroy();
  }

  /** Numbers below `count`, a batch at a time. */
  #batches(count: number): number[][] {
    const { batch = 32 } = this.options;
    return Array.from(
      { length: Math.ceil(count / batch) },
      (_, b) => indicesFrom(b * batch, Math.min(batch, count - b * batch), count),
    );
  }

  async #parameters(): Promise<Tree> {
    return await toDevice(this.params as Tree);
  }

  async #read(file: string): Promise<Uint8Array> {
    // Not at import: the decoder is native code, which who only trains on tensors need not permit.
    const { ImageReader } = await import("../data/images.ts"), { resolution } = this.options;
    const reader = this.#reader ??= new ImageReader([imagePlan({ resolution, transform: "eval" })]);
    return (await reader.read(file, () => UNUSED))[0]!;
  }

  #pack(images: readonly Uint8Array[]): Tensor {
    const words = imageWords(this.options), all = padded(images), packed = new Uint8Array(all.length * 4 * words);
    all.forEach((bytes, row) => packed.set(bytes, row * 4 * words));
    return tensor(new Uint32Array(packed.buffer), [all.length, words], "u32", { copy: false });
  }

  async #rows(result: Promise<Tensor>, count: number): Promise<Float32Array[]> {
    const rows = await result, width = rows.shape[1]!, values = await toHost(rows) as Float32Array;
    return Array.from({ length: count }, (_, n) => values.slice(n * width, (n + 1) * width));
  }
}

/** Evaluation draws nothing. */
const UNUSED = new Random(0);

/** As many as the next power of two, the last one repeated: a few sizes serve all lists. */
function padded<T>(items: readonly T[]): T[] {
  return indicesFrom(0, 2 ** Math.ceil(Math.log2(items.length)), items.length).map((i) => items[i]!);
}

/** Options of {@linkcode scorePairs}. */
export interface ScorePairsOptions {
  /** How the parameters are used. Default: ALBEF's encoders and matching head. */
  readonly model?: PairModel<Matcher>;
  /** Tokens per text; longer ones are truncated. @default 25 */
  readonly maxLength?: number;
}

/**
 * Scores a few pairs of image files and texts. For many calls, and for features alone, keep a {@linkcode PairEncoder}.
 *
 * ```ts ignore
 * import { albefPairs, scorePairs } from "./mod.ts";
 *
 * const [score] = await scorePairs(params, config, tokenizer, [{ image: "dogs.jpg", text: "two dogs play" }]);
 * console.log(score.cosine, score.match); // 0.31 0.97
 * ```
 *
 * @param params Of ALBEF, or as `asMatcher` makes them of a retrieval model.
 * @throws {Error} If an image cannot be read.
 */
export async function scorePairs(
  params: Matcher,
  config: AlbefConfig,
  tokenizer: Tokenizer,
  pairs: readonly ImageText[],
  { model = albefPairs(config), maxLength = 25 }: ScorePairsOptions = {},
): Promise<PairScore[]> {
  const encoder = new PairEncoder(params, model, { tokenizer, maxLength, resolution: config.vision.resolution });
  try {
    return await encoder.score(pairs);
  } finally {
    encoder.destroy();
  }
}
