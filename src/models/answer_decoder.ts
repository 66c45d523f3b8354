/**
 * The decoder of visual question answering for many answers to each question: the keys and values that its cross-attention takes
 * of a question are computed once, and where answers are written token by token, so are those of the tokens so far.
 *
 * @module
 */
import { lessEqual } from "../ops/comparisons.ts";
import { equal, iota, where } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { gather } from "../ops/gather.ts";
import { broadcastTo } from "../ops/reduce.ts";
import { reshape } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import type { ModelContext, PatchedPairs, Tokens } from "./albef.ts";
import { bertEmbed, type CrossKeys, crossKeys, embedAt, mlmTransform } from "./bert.ts";
import {
  attend,
  type BertConfig,
  type BertLayer,
  feedForward,
  hidden,
  type KeysAndValues,
  keysAndValues,
  unseen,
} from "./bert_layer.ts";
import type { AlbefConfig } from "./config.ts";
import { decoderConfig, encodeQuestions, type Vqa } from "./vqa.ts";

/** What the decoder reads of B questions. */
export type QuestionCache = {
  /** Of each layer's cross-attention, [B, L, D]. */
  readonly layers: CrossKeys;
  /** f32 [B, L]: 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
};

/** Encodes B questions with their images and computes the keys and values that the decoder's layers take of them. */
export function cacheQuestions(p: Vqa, questions: PatchedPairs, context: ModelContext): QuestionCache {
  const states = encodeQuestions(p, questions, context);
  return { layers: crossKeys(p.text_decoder, states, decoderConfig(context.config)), mask: questions.mask };
}

/**
 * Decoder states before the vocabulary product of whole answers, R to each of B questions: [B * R, K, D], question by question.
 *
 * @param answers [B * R, K], question by question. With `shared`, [R, K]: the same for all questions; what does not depend on
 * the question is then computed once.
 */
export function decodeWhole(
  p: Vqa,
  { ids, mask }: Tokens,
  questions: QuestionCache,
  config: AlbefConfig,
  { shared = false }: { readonly shared?: boolean } = {},
): Tensor {
  const own = decoderConfig(config), count = questions.mask.shape[0]!;
  let x = bertEmbed(p.text_decoder, ids, {}, own);
  for (const [i, layer] of p.text_decoder.bert.encoder.layer.entries()) {
    const tokens = keysAndValues(layer.attention, { keys: x, values: x });
    x = attend(layer.attention, x, tokens, { mask: hidden(mask), causal: true }, own);
    if (i === 0 && shared) x = repeated(x, count), mask = repeated(mask, count);
    x = readQuestions(layer, x, i, questions, own);
  }
  return mlmTransform(p.text_decoder, x, own);
}

/** Rows [R, ...] once for each of `count` questions: [count * R, ...]. */
export function repeated(x: Tensor, count: number): Tensor {
  const [rows, ...rest] = x.shape as [number, ...number[]];
  return reshape(broadcastTo(reshape(x, [1, rows, ...rest]), [count, rows, ...rest]), [count * rows, ...rest]);
}

/** Cross-attention and MLP of one layer. All rows of a question share its one set of keys and values. */
function readQuestions(
  layer: BertLayer,
  x: Tensor,
  number: number,
  { layers, mask }: QuestionCache,
  config: BertConfig,
): Tensor {
  const read = attend(layer.crossattention!, x, layers[number]!, { mask: unseen(mask) }, config);
  return feedForward(layer, read, undefined, config);
}

/** Keys and values of each layer's self-attention for N answers, [N, M, D]; 0 from the next token on. */
export type AnswerCache = readonly KeysAndValues[];

/** A cache for N answers of at most `length` tokens. */
export function emptyAnswerCache(rows: number, length: number, config: AlbefConfig): AnswerCache {
  const { layers, width } = decoderConfig(config), zeros = (): Tensor => full([rows, length, width], 0);
  return Array.from({ length: layers }, () => ({ keys: zeros(), values: zeros() }));
}

/**
 * One more token of N = B * R answers, question by question: its state before the vocabulary product, [N, D], and the cache with
 * its keys and values.
 *
 * @param tokens u32 [N].
 * @param position u32 [1]: the place of these tokens, from 0 on, below the length of the cache.
 */
export function decodeToken(
  p: Vqa,
  tokens: Tensor,
  position: Tensor,
  cache: AnswerCache,
  questions: QuestionCache,
  config: AlbefConfig,
): { state: Tensor; cache: AnswerCache } {
  const own = decoderConfig(config), rows = tokens.shape[0]!, length = cache[0]!.keys.shape[1]!;
  const isHere = equal(iota([1, length, 1], 1), position);
  const mask = hidden(lessEqual(iota([1, 1, 1, length], 3), position));
  const place = gather(p.text_decoder.bert.embeddings.position_embeddings.weight, position);
  const next: KeysAndValues[] = [];
  let x = embedAt(p.text_decoder, reshape(tokens, [rows, 1]), place, undefined, own); // [N, 1, D]
  for (const [i, layer] of p.text_decoder.bert.encoder.layer.entries()) {
    const { keys, values } = keysAndValues(layer.attention, { keys: x, values: x }), before = cache[i]!;
    const seen = { keys: where(isHere, keys, before.keys), values: where(isHere, values, before.values) };
    next.push(seen);
    x = attend(layer.attention, x, seen, { mask }, own);
    x = readQuestions(layer, x, i, questions, own);
  }
  return { state: reshape(mlmTransform(p.text_decoder, x, own), [rows, own.width]), cache: next };
}
