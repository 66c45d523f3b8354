/**
 * Visual question answering: the question with its image is encoded by all layers, and a decoder writes the answer (Li et al. 2021,
 * section 5). Answers are ranked among given candidates.
 *
 * @module
 */
import { softmaxLoss } from "../losses/softmax_loss.ts";
import type { ParametersOf } from "../nn/spec.ts";
import { add, cast, equal, iota, log, multiply, negate, subtract, where } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { gather } from "../ops/gather.ts";
import { matmul } from "../ops/matmul.ts";
import { foldIn, type Key } from "../ops/random.ts";
import { broadcastTo, sum } from "../ops/reduce.ts";
import { reshape, slice, stopGradient } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { topK } from "../ops/top_k.ts";
import { transpose } from "../ops/transpose.ts";
import type { Tensor } from "../program/graph.ts";
import { firstToken } from "./albef.ts";
import { type BertConfig, type BertContext, bertMultimodal, type BertSpec, bertSpec, mlmTransform } from "./bert.ts";
import type { AlbefConfig } from "./config.ts";
import { vit, type VitSpec, vitSpec } from "./vit.ts";

/** Parameters under their official names. */
export type VqaSpec = {
  visual_encoder: VitSpec;
  text_encoder: BertSpec["bert"];
  text_decoder: BertSpec;
};

/** Parameters as tensors. */
export type Vqa = ParametersOf<VqaSpec>;

/** The decoder: as many layers as the fusion has, each with self-attention to earlier tokens and cross-attention to the question. */
export function decoderConfig({ text }: AlbefConfig): BertConfig {
  return { ...text, layers: text.layers - text.fusionLayer, fusionLayer: 0, encoderWidth: text.width };
}

/** Shapes and starting values. */
export function vqaSpec(config: AlbefConfig): VqaSpec {
  return {
    visual_encoder: vitSpec(config.vision),
    text_encoder: bertSpec(config.text).bert,
    text_decoder: bertSpec(decoderConfig(config)),
  };
}

/** Questions with their images: B of them, L token positions. */
export type Questions = {
  /** f32 [B, P, 3 * patch^2]. */
  readonly patches: Tensor;
  /** u32 [B, L]. */
  readonly ids: Tensor;
  /** f32 [B, L]: 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
};

/** Training answers of all questions, A rows of K token positions: [CLS], the answer, [SEP], padding. */
export type Answers = {
  /** u32 [A, K]. */
  readonly ids: Tensor;
  /** f32 [A, K]. */
  readonly mask: Tensor;
  /** f32 [A]: how often annotators gave it, as a share; 0 fills a batch up. */
  readonly weights: Tensor;
  /** u32 [A]: the question that it answers. */
  readonly questions: Tensor;
};

/** Soft targets from momentum copies. */
export interface VqaTeacher {
  /** The copies, already updated. */
  readonly teacher: Vqa;
  /** Weight of the soft targets. */
  readonly alpha: Tensor | number;
}

/** States of the questions with their images: [B, L, D]. */
export function encodeQuestions(
  p: Vqa,
  { patches, ids, mask }: Questions,
  config: AlbefConfig,
  context: Pick<BertContext, "key" | "remat"> = {},
): Tensor {
  const image = vit(p.visual_encoder, patches, config.vision, { remat: context.remat ?? false });
  return bertMultimodal({ bert: p.text_encoder }, ids, { ...context, mask, image }, config.text);
}

/** What the decoder reads: answers so far, and the question of each. */
interface Decoding {
  readonly ids: Tensor;
  readonly mask: Tensor;
  /** States and mask of the question of each row. */
  readonly question: Tensor;
  readonly questionMask: Tensor;
}

/** Decoder states before the vocabulary product, for the tokens that come next: [A, K, D]. */
function decode(
  p: Vqa,
  { ids, mask, question, questionMask }: Decoding,
  config: AlbefConfig,
  context: Pick<BertContext, "key" | "remat"> = {},
): Tensor {
  const own = decoderConfig(config);
  const seen = { mask, image: question, imageMask: questionMask, causal: true, ...context };
  return mlmTransform(p.text_decoder, bertMultimodal(p.text_decoder, ids, seen, own), own);
}

/** The vocabulary product of decoder states [..., D]: matrix and bias are the decoder's own. */
function vocabulary(p: Vqa): { columns: Tensor; bias: Tensor } {
  return { columns: p.text_decoder.bert.embeddings.word_embeddings.weight, bias: p.text_decoder.cls.predictions.bias };
}

/** States at all places but the last, as rows: [A, K, D] -> [A * (K - 1), D]. */
function placesWithNext(states: Tensor): Tensor {
  const [count, length, width] = states.shape as [number, number, number];
  return reshape(slice(states, 1, 0, length - 1), [count * (length - 1), width]);
}

/** Sum over its tokens of the cross-entropy of each answer, [A]; padding counts nothing. */
function answerLosses(
  p: Vqa,
  states: Tensor,
  ids: Tensor,
  padId: number,
  soft?: { teacher: Vqa; states: Tensor; alpha: Tensor | number },
): Tensor {
  const [count, length] = ids.shape as [number, number];
  const next = cast(reshape(slice(ids, 1, 1, length), [count * (length - 1)]), "i32");
  const isToken = subtract(1, equal(next, padId));
  const labels = cast(where(isToken, cast(next, "f32"), -100), "i32");
  const alpha = soft?.alpha ?? 0;
  const losses = softmaxLoss({ rows: placesWithNext(states), ...vocabulary(p) }, {
    targets: { labels },
    hard: typeof alpha === "number" ? 1 - alpha : subtract(1, alpha),
    ...(soft
      ? {
        soft: { logits: constants({ rows: placesWithNext(soft.states), ...vocabulary(soft.teacher) }), weight: alpha },
      }
      : {}),
  });
  return sum(reshape(multiply(losses, isToken), [count, length - 1]), { axes: [1] });
}

function constants(logits: { rows: Tensor; columns: Tensor; bias: Tensor }): typeof logits {
  return { rows: stopGradient(logits.rows), columns: stopGradient(logits.columns), bias: stopGradient(logits.bias) };
}

/** The sum of weight * loss over all answers, divided by the number of questions; a scalar. Without a key there is no dropout. */
export function vqaLoss(
  p: Vqa,
  questions: Questions,
  answers: Answers,
  config: AlbefConfig,
  options: { readonly key?: Key; readonly distill?: VqaTeacher; readonly remat?: boolean } = {},
): Tensor {
  const { key, distill, remat = false } = options, dropout = key && config.text.dropout > 0;
  const drop = (n: number): Pick<BertContext, "key" | "remat"> => ({
    key: dropout ? foldIn(key, n) : undefined,
    remat,
  });
  const states = (model: Vqa, stream: number): Tensor => {
    const encoded = encodeQuestions(model, questions, config, drop(stream));
    const question = gather(encoded, answers.questions), questionMask = gather(questions.mask, answers.questions);
    return decode(model, { ...answers, question, questionMask }, config, drop(stream + 1));
  };
  const soft = distill && { ...distill, states: states(distill.teacher, 2) };
  const losses = answerLosses(p, states(p, 0), answers.ids, config.text.padId, soft);
  return multiply(sum(multiply(losses, answers.weights)), 1 / questions.ids.shape[0]!);
}

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
  questions: Questions,
  candidates: Candidates,
  config: AlbefConfig,
  { k: most = 128, countFirstTokenTwice = false }: RankOptions = {},
): RankedAnswers {
  const count = questions.ids.shape[0]!, choices = candidates.ids.shape[0]!;
  const k = Math.min(most, choices);
  const states = encodeQuestions(p, questions, config);

  const begun = {
    ids: broadcastTo(slice(slice(candidates.ids, 0, 0, 1), 1, 0, 1), [count, 1]), // [CLS], with which all begin
    mask: full([count, 1], 1),
    question: states,
    questionMask: questions.mask,
  };
  const first = firstToken(decode(p, begun, config)); // [B, D]
  const { columns, bias } = vocabulary(p);
  const next = softmax(add(matmul(first, columns, { transposeB: true }), bias)); // [B, V]
  const tokens = reshape(slice(candidates.ids, 1, 1, 2), [choices]);
  const firstProbabilities = transpose(gather(transpose(next), tokens)); // [B, C]
  const [probabilities, shortlist] = topK(firstProbabilities, k);

  const flat = reshape(shortlist, [count * k]);
  const owner = iota([count, k], 0);
  const decoding = {
    ids: gather(candidates.ids, flat),
    mask: gather(candidates.mask, flat),
    question: gather(states, reshape(owner, [count * k])),
    questionMask: gather(questions.mask, reshape(owner, [count * k])),
  };
  const losses = reshape(
    answerLosses(p, decode(p, decoding, config), decoding.ids, config.text.padId),
    [count, k],
  );
  const scores = countFirstTokenTwice ? subtract(log(probabilities), losses) : negate(losses);
  const [best, order] = topK(scores, k);
  const answers = reshape(gather(flat, reshape(add(order, multiply(owner, k)), [count * k])), [count, k]);
  return { answers, probabilities: softmax(best), firstToken: firstProbabilities, losses, scores };
}
