/**
 * The likelihood of answers that a decoder writes.
 *
 * @module
 */
import { answerVocabulary, decodeAnswers, type Decoding, type Vqa } from "../models/vqa.ts";
import type { ModelContext } from "../models/albef.ts";
import { predicted } from "../nn/attack.ts";
import { cast, equal, multiply, subtract, where } from "../ops/elementwise.ts";
import { sum } from "../ops/reduce.ts";
import { reshape, slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import type { SoftTargets } from "./mlm.ts";
import { distilled, type Logits, softmaxLoss } from "./softmax_loss.ts";

/** Label of a place that no token follows. */
const NO_TOKEN = -100;

/** Vocabulary logits at all places of the answers but the last, A * (K - 1) rows that are never whole. */
export function answerLogits(p: Vqa, decoding: Decoding, context: ModelContext): Logits {
  return nextTokenLogits(p, decodeAnswers(p, decoding, context));
}

/** The same from the decoder's states [A, K, D]. */
export function nextTokenLogits(p: Pick<Vqa, "text_decoder">, states: Tensor): Logits {
  const [count, length, width] = states.shape as [number, number, number];
  return {
    queries: reshape(slice(states, 1, 0, length - 1), [count * (length - 1), width]),
    ...answerVocabulary(p),
  };
}

/**
 * Sum over its tokens of the cross-entropy of each answer, u32 [A, K] -> [A]; padding counts nothing. With soft targets those are
 * mixed in.
 */
export function answerLosses(logits: Logits, ids: Tensor, padId: number, soft?: SoftTargets): Tensor {
  return sum(tokenLosses(logits, ids, padId, soft), { axes: [1] });
}

/** The cross-entropy of each token but the first, [A, K - 1]; 0 at padding. */
export function tokenLosses(logits: Logits, ids: Tensor, padId: number, soft?: SoftTargets): Tensor {
  const [count, length] = ids.shape as [number, number];
  const next = cast(reshape(slice(ids, 1, 1, length), [count * (length - 1)]), "i32");
  const isToken = subtract(1, equal(next, padId));
  const labels = cast(where(isToken, cast(next, "f32"), NO_TOKEN), "i32");
  predicted(logits, isToken);
  const losses = softmaxLoss(logits, { targets: { labels }, ...distilled(soft?.logits, soft?.alpha ?? 0) });
  return reshape(multiply(losses, isToken), [count, length - 1]);
}
