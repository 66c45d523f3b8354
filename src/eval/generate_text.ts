/**
 * Texts that a language model writes after prompts, with or without images: greedily, by beam search, or drawn.
 *
 * @module
 */
import type { VisionLanguage, VisionLanguageConfig } from "../models/vision_language.ts";
import { embedRows, imageTokenCount } from "../models/vision_language.ts";
import { reorderCache } from "../models/bert_layer.ts";
import { decoderLogits } from "../models/decoder.ts";
import { type Begun, decodeAgain, decodeNext, type DecoderCache, fillCache } from "../models/decoder_cache.ts";
import { floorDivide } from "../ops/division.ts";
import { iota } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { gather } from "../ops/gather.ts";
import { foldIn, randomKey } from "../ops/random.ts";
import { concat } from "../ops/shape.ts";
import { logSoftmax } from "../ops/softmax.ts";
import { compile, type Compiled, tensor, toDevice } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { release } from "./_batches.ts";
import { type Beam, type BeamRules, extendBeam, growBeam, readTexts, startBeam, type WrittenText } from "./beam.ts";
import { promptRows, type Prompts } from "./prompts.ts";
import { sampleTokens, type SamplingOptions } from "./sampling.ts";

/** How texts are written. */
export interface TextOptions extends Partial<SamplingOptions> {
  /** Sizes of the model. */
  readonly config: VisionLanguageConfig;
  /** Most tokens that are written after a prompt. */
  readonly maxTokens: number;
  /** Id of the token that ends a text. Default: none does. */
  readonly endId?: number;
  /** Any id; it stands where nothing is. @default 0 */
  readonly padId?: number;
  /** 0: the most likely token, or beam search; otherwise tokens are drawn at this temperature. @default 0 */
  readonly temperature?: number;
  /** Texts of a prompt: those of a beam search, or draws. @default 1 */
  readonly width?: number;
  /** A beam's texts are compared by log-likelihood / tokens^lengthPenalty. @default 0 */
  readonly lengthPenalty?: number;
  /** Decides on draws. @default 0 */
  readonly seed?: number;
  /** Tokens of the longest prompt, those of its images included; shorter prompts make no new program. @default those of the first call */
  readonly promptLength?: number;
  /** Keep keys and values, so that a token costs one row of products; otherwise all tokens are computed again. @default true */
  readonly cache?: boolean;
}

/** What is kept of the tokens so far: keys and values, or the embeddings alone. */
type Kept = { readonly cache: DecoderCache } | { readonly x: Tensor };
type Texts = { readonly beam: Beam; readonly kept: Kept };
/** Words of the random key, the place of the last tokens and the number of the step. */
type Step = { readonly words: Tensor; readonly place: Tensor; readonly at: Tensor };
type Rows = Begun & { readonly tokens: Tensor; readonly last: Tensor; readonly images?: Tensor };

/** Writes texts; one program reads the prompts, one writes a token at any place, both made once per shape. */
export class TextGenerator {
  readonly #options: TextOptions;
  readonly #rules: BeamRules;
  readonly #begin: Compiled<[VisionLanguage & Tree, Rows], { first: Tensor; texts: Texts }>;
  readonly #grow: Compiled<[VisionLanguage & Tree, Begun, Texts, Step], Texts>;
  #promptLength: number | undefined;

  /**
   * A generator for one model size.
   *
   * @throws {RangeError} If an option is not in its range.
   */
  constructor(options: TextOptions) {
    this.#options = options;
    checkOptions(options);
    const { width = 1, lengthPenalty = 0, endId, padId = 0 } = options;
    this.#promptLength = options.promptLength;
    const rules = this.#rules = { width, lengthPenalty, endId, padId };
    this.#begin = compile((p, rows) => begin(p, rows, options, rules));
    this.#grow = compile((p, begun, texts, step) => grow(p, begun, texts, step, options, rules), { donate: [2] });
  }

  /**
   * `width` texts for each prompt, those of a beam the best first.
   *
   * @throws {RangeError} If a prompt is empty, ends with an image, or is longer than `promptLength`; if images and placeholders do not fit;
   * if prompt and text together are longer than the model's positions.
   */
  async generate(params: VisionLanguage, prompts: Prompts): Promise<WrittenText[][]> {
    const { config, maxTokens, seed = 0 } = this.#options, most = config.decoder.maxPositions;
    const length = this.#promptLength ??= Math.max(...prompts.tokens.map((ids) => ids.length));
    if (length + maxTokens > most) {
      refuse(
        `prompt and text must have at most the ${most} positions of the model: they have ${length} + ${maxTokens}`,
      );
    }
    const image = config.image && { token: config.image.imageToken, count: imageTokenCount(config.image) };
    const rows = promptRows(prompts, length, { padId: this.#rules.padId, image });
    await toDevice(params as Tree);
    const { first, texts } = await this.#begin(params, rows);
    const words = (step: number): Step => ({
      words: tensor(Uint32Array.of(seed % 2 ** 32, step)),
      place: tensor(Uint32Array.of(rows.tokens.shape[1]! + step)),
      at: tensor(Uint32Array.of(step)),
    });
    const grow = (texts: Texts, step: number): Promise<Texts> => this.#grow(params, { first }, texts, words(step));
    const written = await readTexts(texts, maxTokens, grow, this.#rules);
    release([first, written.state] as Tree);
    return written.texts;
  }

  /** Frees the memory of the programs. */
  destroy(): void {
    this.#begin.destroy();
    this.#grow.destroy();
  }
}

/** Reads all of the prompts but their last token, which is the first that `grow` goes on from. */
function begin(
  p: VisionLanguage,
  { tokens, last, first, images }: Rows,
  { config, maxTokens, temperature = 0, cache = true }: TextOptions,
  rules: BeamRules,
): { first: Tensor; texts: Texts } {
  const { model } = p.llm_backbone.llm, [count, given] = tokens.shape as [number, number], { width } = rules;
  const length = given + maxTokens, x = embedRows(p, tokens, images, { config });
  const owner = floorDivide(iota([count * width], 0), width),
    own = (t: Tensor): Tensor => width === 1 ? t : gather(t, owner);
  const kept = cache
    ? { cache: fillCache(model, x, { first }, length, config.decoder) }
    : { x: concat([x, full([count, maxTokens, config.decoder.width], 0)], 1) };
  return {
    first: own(first),
    texts: {
      beam: startBeam(own(last), maxTokens, rules, temperature === 0),
      kept: width === 1 ? kept : reordered(kept, owner),
    },
  };
}

/** One token more for each text. */
function grow(
  p: VisionLanguage,
  begun: Begun,
  { beam, kept }: Texts,
  { words, place, at }: Step,
  { config: { decoder }, temperature = 0, topK, topP }: TextOptions,
  rules: BeamRules,
): Texts {
  const { model } = p.llm_backbone.llm;
  const decoded = "cache" in kept
    ? decodeNext(model, beam.tokens, place, begun, kept.cache, decoder)
    : decodeAgain(model, beam.tokens, place, begun, kept.x, decoder);
  const next = logSoftmax(decoderLogits(model, decoded.states));
  const now: Kept = "cache" in decoded ? { cache: decoded.cache } : { x: decoded.x };
  if (temperature > 0) {
    const drawn = sampleTokens(next, { temperature, topK, topP }, foldIn(randomKey(words), 0));
    return { beam: extendBeam(beam, next, drawn, at, rules), kept: now };
  }
  const grown = growBeam(beam, next, at, rules);
  return { beam: grown.beam, kept: rules.width === 1 ? now : reordered(now, grown.parents) };
}

function reordered(kept: Kept, rows: Tensor): Kept {
  return "cache" in kept ? { cache: reorderCache(kept.cache, rows) } : { x: gather(kept.x, rows) };
}

function checkOptions({ maxTokens, width = 1, temperature = 0, topK, topP, lengthPenalty = 0 }: TextOptions): void {
  const whole = (name: string, value: number): void => {
    if (!Number.isInteger(value) || value < 1) refuse(`${name} must be a whole number of at least 1: it is ${value}`);
  };
  whole("maxTokens", maxTokens);
  whole("width", width);
  if (topK !== undefined) whole("topK", topK);
  if (!(temperature >= 0 && Number.isFinite(temperature))) {
    refuse(`the temperature must be a number of at least 0: it is ${temperature}`);
  }
  if (topP !== undefined && !(topP > 0 && topP <= 1)) refuse(`topP must be above 0 and at most 1: it is ${topP}`);
  if (!Number.isFinite(lengthPenalty)) refuse(`the length penalty must be a finite number: it is ${lengthPenalty}`);
}

function refuse(rule: string): never {
  throw new RangeError(`Cannot generate texts: ${rule}`);
}

/** Texts after prompts, once. See {@linkcode TextGenerator}. */
export async function generateTexts(
  params: VisionLanguage,
  prompts: Prompts,
  options: TextOptions,
): Promise<WrittenText[][]> {
  const generator = new TextGenerator(options);
  try {
    return await generator.generate(params, prompts);
  } finally {
    generator.destroy();
  }
}
