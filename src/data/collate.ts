/**
 * From examples to a mini-batch: what a loader does with images it has read, and the parts to make such functions of.
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import type { Aval, HostArray, Tensor } from "../program/graph.ts";
import type { Avals, Tree } from "../program/tree.ts";
import type { Example } from "./dataset.ts";
import { maskTokens } from "./masking.ts";
import type { Random } from "../random/random.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { type ImageOptions, imageWords } from "./transform.ts";

/**
 * How examples become a mini-batch B. One may be made of another by adding to its views, its shapes and its result.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { buildTokenizer, type Collate, type Example, tokenShapes, type TokenTensors, tokenTensors } from "../../mod.ts";
 *
 * const tokenizer = buildTokenizer(["a red ring", "a blue cube"]);
 * const texts: Collate<Example & { text: string }, TokenTensors> = {
 *   views: [],
 *   shapes: (count) => tokenShapes(count, 8),
 *   collate: (examples) => tokenTensors(tokenizer, examples.map(({ text }) => text), 8),
 * };
 * assertEquals(texts.shapes(4).ids, { shape: [4, 8], dtype: "u32" });
 * ```
 */
export interface Collate<E extends Example, B extends Tree> {
  /** What happens to every image, once for each view of it; empty where images are not read. */
  readonly views: readonly ImageOptions[];
  /** Shapes and types of a mini-batch of `count` examples, known without an example. */
  shapes(count: number): Avals<B>;
  /**
   * Makes a mini-batch of values on the host.
   *
   * @param examples B examples; row i of everything belongs to the i-th one.
   * @param images For each view u32 [S * B, words], packed RGB bytes: of S images per example the first ones of all
   *   examples, then the second ones.
   * @param random The stream that decides on everything random about the example of a row.
   */
  collate(examples: readonly E[], images: readonly Tensor[], random: (row: number) => Random): B;
}

/** Token ids of texts. */
export type TokenTensors = {
  /** u32 [B, L]: ids, `padId` after the last token. */
  readonly ids: Tensor;
  /** f32 [B, L]: 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
};

/** Token ids with some masked, to be predicted. */
export type MaskedTensors = {
  /** u32 [B, L]: ids with the masked ones replaced. */
  readonly mlmIds: Tensor;
  /** i32 [B, L]: the original ids where some are to be predicted, else -100. */
  readonly mlmLabels: Tensor;
};

/** The tokenizer of a collate function, which knows its shapes without one. @throws {TypeError} If there is none. */
export function givenTokenizer(tokenizer: Tokenizer | undefined): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new TypeError('Cannot collate: "tokenizer" must be given; without it there are shapes only');
}

/** Shape of `count` images of a view. @throws {RangeError} If the view's resolution is odd. */
export function imageShape(view: ImageOptions, count: number): Aval {
  return { shape: [count, imageWords(view)], dtype: "u32" };
}

/** Shapes of what {@linkcode tokenTensors} gives for `count` texts. */
export function tokenShapes(count: number, maxLength: number): Avals<TokenTensors> {
  const shape = [count, maxLength];
  return { ids: { shape, dtype: "u32" }, mask: { shape, dtype: "f32" } };
}

/** Texts, taken as they are, as token ids; L = `maxLength`: longer ones are truncated, shorter ones padded. */
export function tokenTensors(tokenizer: Tokenizer, texts: readonly string[], maxLength: number): TokenTensors {
  const { ids, mask } = tokenizer.encodeBatch(texts, maxLength), shape = [texts.length, maxLength];
  return { ids: tensor(ids, shape), mask: tensor(mask, shape) };
}

/** Shapes of what {@linkcode maskedTokens} gives for `count` texts. */
export function maskedShapes(count: number, maxLength: number): Avals<MaskedTensors> {
  const shape = [count, maxLength];
  return { mlmIds: { shape, dtype: "u32" }, mlmLabels: { shape, dtype: "i32" } };
}

/**
 * Masks token ids for MLM; {@linkcode maskTokens} says how.
 *
 * @param tokens Values on the host, as {@linkcode tokenTensors} gives them.
 * @param probability Probability that a token is to be predicted.
 * @param random The stream of a row.
 * @throws {RangeError} If the probability is none.
 */
export function maskedTokens(
  { ids, mask }: TokenTensors,
  { vocabularySize, maskId, padId, clsId }: Tokenizer,
  probability: number,
  random: (row: number) => Random,
): MaskedTensors {
  const [rows, length] = ids.shape as [number, number], options = { probability, vocabularySize, maskId, padId, clsId };
  const hostIds = hostValues(ids), hostMask = hostValues(mask);
  const mlmIds = new Uint32Array(ids.size), mlmLabels = new Int32Array(ids.size);
  for (let row = 0; row < rows; row++) {
    const from = row * length, to = from + length;
    const masked = maskTokens(hostIds.subarray(from, to), hostMask.subarray(from, to), options, random(row));
    mlmIds.set(masked.ids, from);
    mlmLabels.set(masked.labels, from);
  }
  return { mlmIds: tensor(mlmIds, ids.shape), mlmLabels: tensor(mlmLabels, ids.shape) };
}

/** The values that a tensor was made of. */
function hostValues(values: Tensor): HostArray {
  if (values.node.host) return values.node.host;
  throw new TypeError(`Cannot mask tokens: their values must be on the host: ${values} has none there`);
}
