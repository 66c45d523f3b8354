/**
 * Answers to questions, ranked among given candidates (Li et al. 2021, section 5).
 *
 * @module
 */
import { answerLosses, nextTokenLogits } from "../losses/answers.ts";
import { firstToken, type ModelContext, type PatchedPairs } from "../models/albef.ts";
import { cacheQuestions, decodeWhole, type QuestionCache } from "../models/answer_decoder.ts";
import type { AlbefConfig } from "../models/config.ts";
import { answerVocabulary, type Vqa } from "../models/vqa.ts";
import { add, iota, log, multiply, negate, subtract } from "../ops/elementwise.ts";
import { gather } from "../ops/gather.ts";
import { matmul } from "../ops/matmul.ts";
import { reshape, slice } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { topK } from "../ops/top_k.ts";
import { transpose } from "../ops/transpose.ts";
import type { Tensor } from "../program/graph.ts";

/** Candidate answers, C rows of K token positions. */
export type Candidates = {
  /** u32 [C, K]: [CLS], the answer, [SEP], padding. */
  readonly ids: Tensor;
  /** f32 [C, K]. */
  readonly mask: Tensor;
};

/** How answers are ranked. */
export interface RankOptions {
  /** Candidates that are scored in full, those with the most probable first token. @default 128 */
  readonly k?: number;
  /**
   * Whether the first token's log-probability is added to the answer's, which has it already, as the official code does. For
   * comparison with it. @default false
   */
  readonly countFirstTokenTwice?: boolean;
}

/** The best candidates of each question. */
export type RankedAnswers = {
  /** u32 [B, k]: numbers of candidates, the best first. */
  readonly answers: Tensor;
  /** f32 [B, k]: softmax of the scores over the k. */
  readonly probabilities: Tensor;
  /** f32 [B, C]: probability of the first token of each candidate. */
  readonly firstToken: Tensor;
  /** f32 [B, k]: negative log-likelihood of each candidate of the shortlist, which is in the order of first tokens. */
  readonly losses: Tensor;
  /** f32 [B, k]: what the ranking is by, in the order of the shortlist. */
  readonly scores: Tensor;
};

/** Ranks candidates by their likelihood: a shortlist by the first token, then whole answers. All in one program. */
export function rankAnswers(
  p: Vqa,
  questions: PatchedPairs,
  candidates: Candidates,
  context: ModelContext,
  { k: most = 128, countFirstTokenTwice = false }: RankOptions = {},
): RankedAnswers {
  const count = questions.ids.shape[0]!, k = Math.min(most, candidates.ids.shape[0]!), { config } = context;
  const cache = cacheQuestions(p, questions, context);
  const firstTokens = firstTokenProbabilities(p, cache, candidates, config); // [B, C]
  const [probabilities, shortlist] = topK(firstTokens, k);

  const flat = reshape(shortlist, [count * k]), owner = iota([count, k], 0);
  const ids = gather(candidates.ids, flat), mask = gather(candidates.mask, flat);
  const logits = nextTokenLogits(p, decodeWhole(p, { ids, mask }, cache, config));
  const losses = reshape(answerLosses(logits, ids, config.text.padId), [count, k]);
  const scores = countFirstTokenTwice ? subtract(log(probabilities), losses) : negate(losses);
  const [best, order] = topK(scores, k);
  const answers = reshape(gather(flat, reshape(add(order, multiply(owner, k)), [count * k])), [count, k]);
  return { answers, probabilities: softmax(best), firstToken: firstTokens, losses, scores };
}

/** Probability of the first token of each candidate after [CLS], with which all begin: [B, C]. */
function firstTokenProbabilities(
  p: Vqa,
  cache: QuestionCache,
  { ids, mask }: Candidates,
  config: AlbefConfig,
): Tensor {
  const begun = { ids: slice(slice(ids, 0, 0, 1), 1, 0, 1), mask: slice(slice(mask, 0, 0, 1), 1, 0, 1) }; // [1, 1]
  const state = firstToken(decodeWhole(p, begun, cache, config, { shared: true })); // [B, D]
  const { keys, bias } = answerVocabulary(p);
  const next = softmax(add(matmul(state, keys, { transposeB: true }), bias)); // [B, V]
  return transpose(gather(transpose(next), reshape(slice(ids, 1, 1, 2), [ids.shape[0]!])));
}
