/**
 * A decoder that writes token by token and keeps the keys and values of the tokens so far: a token costs the products of one row.
 *
 * @module
 */
import { attention } from "../ops/attention.ts";
import { lessEqual } from "../ops/comparisons.ts";
import { add, cast, equal, iota, maximum, multiply, subtract, where } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { gather } from "../ops/gather.ts";
import { broadcastTo } from "../ops/reduce.ts";
import { concat, reshape } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { type KeysAndValues, unseen } from "./bert_layer.ts";
import {
  type Decoder,
  decoderLayer,
  decoderNorm,
  decoderRotations,
  decoderStates,
  documentMask,
  embedTokens,
} from "./decoder.ts";
import type { DecoderConfig } from "./decoder_config.ts";

/** Of each layer, [N, M, width], the keys turned; 0 behind the last token so far. */
export type DecoderCache = readonly KeysAndValues[];

/** N texts that end at the same place: shorter ones begin later, behind padding. */
export type Begun = {
  /** i32 [N]: the place of the first token of each. */
  readonly first: Tensor;
};

/** Documents and positions of texts that begin at different places, [N, L]. */
export function placesOf({ first }: Begun, length: number): { documents: Tensor; positions: Tensor } {
  const shape = [first.size, length], from = reshape(first, [first.size, 1]);
  const place = cast(iota(shape, 1), "i32"), begun = lessEqual(from, place);
  return {
    documents: where(begun, full(shape, 0, "i32"), -1),
    positions: maximum(subtract(place, broadcastTo(from, shape)), 0),
  };
}

/** The cache of texts of L tokens, x [N, L, width], with room for `length` tokens. */
export function fillCache(p: Decoder, x: Tensor, texts: Begun, length: number, config: DecoderConfig): DecoderCache {
  const [rows, given, width] = x.shape as [number, number, number], { documents, positions } = placesOf(texts, given);
  const mask = documentMask(documents), turns = decoderRotations(positions, config), kept: KeysAndValues[] = [];
  const room = (t: Tensor): Tensor => given === length ? t : concat([t, full([rows, length - given, width], 0)], 1);
  for (const layer of p.layers) {
    x = decoderLayer(layer, x, turns, config, ({ q, k, v }) => {
      kept.push({ keys: room(k), values: room(v) });
      return attention(q, k, v, { heads: config.heads, causal: true, mask });
    });
  }
  return kept;
}

/**
 * One more token of each text: its states after the last norm, [N, width], and the cache with its keys and values.
 *
 * @param tokens u32 or i32 [N].
 * @param place u32 [1]: where these tokens stand, the same for all texts, below the length of the cache.
 */
export function decodeNext(
  p: Decoder,
  tokens: Tensor,
  place: Tensor,
  { first }: Begun,
  cache: DecoderCache,
  config: DecoderConfig,
): { states: Tensor; cache: DecoderCache } {
  const rows = tokens.size,
    length = cache[0]!.keys.shape[1]!,
    at = cast(place, "i32"),
    from = reshape(first, [rows, 1]);
  const places = cast(iota([1, length], 1), "i32"), isHere = reshape(equal(places, at), [1, length, 1]);
  const seen = multiply(lessEqual(from, places), lessEqual(places, at)), mask = unseen(seen);
  const turns = decoderRotations(subtract(at, from), config), next: KeysAndValues[] = [];
  let x = reshape(embedTokens(p, tokens), [rows, 1, config.width]);
  for (const [i, layer] of p.layers.entries()) {
    x = decoderLayer(layer, x, turns, config, ({ q, k, v }) => {
      const { keys, values } = cache[i]!;
      const all = { keys: where(isHere, k, keys), values: where(isHere, v, values) };
      next.push(all);
      return attention(q, all.keys, all.values, { heads: config.heads, mask });
    });
  }
  return { states: reshape(decoderNorm(p.norm, x, config), [rows, config.width]), cache: next };
}

/**
 * The same without keeping keys and values: all layers on all tokens again. What is kept are the embeddings, x [N, M, width].
 *
 * @param place u32 [1]: where these tokens stand.
 */
export function decodeAgain(
  p: Decoder,
  tokens: Tensor,
  place: Tensor,
  texts: Begun,
  x: Tensor,
  config: DecoderConfig,
): { states: Tensor; x: Tensor } {
  const [rows, length, width] = x.shape as [number, number, number];
  const isHere = reshape(equal(cast(iota([1, length], 1), "i32"), cast(place, "i32")), [1, length, 1]);
  const all = where(isHere, reshape(embedTokens(p, tokens), [rows, 1, width]), x);
  const states = reshape(decoderStates(p, all, placesOf(texts, length), { config }), [rows * length, width]);
  return { states: gather(states, add(multiply(iota([rows], 0), length), place)), x: all };
}
