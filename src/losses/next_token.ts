/**
 * The loss of language models: the cross-entropy of each next token.
 *
 * @module
 */
import { type Decoder, decoderHead } from "../models/decoder.ts";
import type { DecoderBatch } from "../data/sequences/decoder_batch.ts";
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

/** What each token of B * T rows says of the one that follows it, [B * T]. */
export type NextTokenLosses = {
  /** Cross-entropy of the next token, in nats; 0 where the mini-batch's `lossMask` is 0. */
  readonly losses: Tensor;
  /** Log-sum-exp of the logits. */
  readonly logSumExp: Tensor;
};

/** The losses of states [B, T, width] (see `decoderStates`), unweighted. The logits of B * T tokens exist in tiles only. */
export function nextTokenLosses(
  p: Pick<Decoder, "output" | "tok_embeddings">,
  states: Tensor,
  { tokens, lossMask }: Pick<DecoderBatch, "tokens" | "lossMask">,
): NextTokenLosses {
  const [batch, length] = tokens.shape as [number, number], rows = batch * length;
  const next = concat([slice(tokens, 1, 1, length), full([batch, 1], 0, "i32")], 1);
  const labels = reshape(where(lossMask, next, NOT_LEARNED), [rows]); // a placeholder may be no row of the head
  return softmaxLossAndNorm({
    queries: reshape(states, [rows, states.shape.at(-1)!]),
    keys: decoderHead(p as Decoder),
  }, { targets: { labels }, tile: TILE });
}

/** The loss of states [B, T, width], weighted by the mini-batch's `lossMask`; 0 if nothing counts. */
export function nextTokenLoss(
  p: Pick<Decoder, "output" | "tok_embeddings">,
  states: Tensor,
  batch: Pick<DecoderBatch, "tokens" | "lossMask">,
): NextTokenLoss {
  const { losses, logSumExp } = nextTokenLosses(p, states, batch);
  const weights = reshape(batch.lossMask, losses.shape), count = sum(weights);
  const mean = (x: Tensor): Tensor => divide(sum(multiply(x, weights)), maximum(count, 1e-6));
  return { crossEntropy: mean(losses), z: mean(square(logSumExp)), tokens: count };
}
