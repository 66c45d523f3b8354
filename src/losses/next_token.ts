/**
 * The loss of language models: the cross-entropy of each next token.
 *
 * @module
 */
import { type Decoder, decoderHead } from "../models/decoder.ts";
import type { DecoderBatch } from "../models/decoder_batch.ts";
import { divide, maximum, multiply, square, where } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { sum } from "../ops/reduce.ts";
import { concat, reshape, slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { softmaxLossAndNorm } from "./softmax_loss.ts";

/** Means over the tokens that count, scalars. */
export type NextTokenLoss = {
  /** Cross-entropy of the next token, in nats. */
  readonly crossEntropy: Tensor;
  /** Square of the logits' log-sum-exp: what z-loss keeps small (de Brébisson and Vincent 2016; 1e-4 of it in OpenLM and PaLM). */
  readonly z: Tensor;
  /** How many tokens count: the sum of their weights. */
  readonly tokens: Tensor;
};

/** Label of a place whose next token is not learned. */
const NOT_LEARNED = -100;

/** Logits that exist at a time: 64 MiB. Each cut of the rows keeps a gradient of the whole head, so that there should be few. */
const TILE = 2 ** 24;

/**
 * The loss of states [B, T, width] (see `decoderStates`), weighted by the mini-batch's `lossMask`; 0 if nothing counts. The logits of
 * B * T tokens exist in tiles only.
 */
export function nextTokenLoss(
  p: Pick<Decoder, "output" | "tok_embeddings">,
  states: Tensor,
  { tokens, lossMask }: Pick<DecoderBatch, "tokens" | "lossMask">,
): NextTokenLoss {
  const [batch, length] = tokens.shape as [number, number], rows = batch * length;
  const next = concat([slice(tokens, 1, 1, length), full([batch, 1], 0, "i32")], 1);
  const weights = reshape(lossMask, [rows]);
  const labels = where(weights, reshape(next, [rows]), NOT_LEARNED);
  const { losses, logSumExp } = softmaxLossAndNorm({
    queries: reshape(states, [rows, states.shape.at(-1)!]),
    keys: decoderHead(p as Decoder),
  }, { targets: { labels }, tile: TILE });
  const count = sum(weights), mean = (x: Tensor): Tensor => divide(sum(multiply(x, weights)), maximum(count, 1e-6));
  return { crossEntropy: mean(losses), z: mean(square(logSumExp)), tokens: count };
}
