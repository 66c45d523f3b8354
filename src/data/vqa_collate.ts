/**
 * Mini-batches of questions about images and their answers.
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Avals } from "../program/tree.ts";
import { cleanQuestion } from "./captions.ts";
import { type Collate, givenTokenizer, imageShape, tokenShapes, type TokenTensors, tokenTensors } from "./collate.ts";
import type { Example, ImageFile } from "./dataset.ts";
import type { PairCollateOptions } from "./pair_collate.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A question about an image. */
export interface VqaExample extends Example {
  /** The image. */
  readonly images: readonly [ImageFile];
  /** As it was asked: {@linkcode vqaCollate} cleans it. */
  readonly question: string;
  /** Different answers, at least one in training; the weight is the share of the annotators who gave it. */
  readonly answers: readonly { readonly text: string; readonly weight: number }[];
}

/** Options of {@linkcode vqaCollate}: `maxLength` is that of questions. */
export interface VqaCollateOptions extends PairCollateOptions {
  /** Rows for the answers of a question; if it has more, the most frequent ones are taken. */
  readonly answersPerQuestion: number;
  /** Tokens per answer, `[CLS]` and `[SEP]` included: longer ones are truncated before `[SEP]`, shorter ones padded. */
  readonly answerLength: number;
}

/** Answers of B questions: A = B * answersPerQuestion rows of K tokens. Rows without an answer are padding and weigh 0. */
export type AnswerTensors = {
  /** u32 [A, K]: [CLS], the answer, [SEP], padding. */
  readonly answerIds: Tensor;
  /** f32 [A, K]: 1 at tokens, 0 at padding. */
  readonly answerMask: Tensor;
  /** f32 [A]. */
  readonly answerWeights: Tensor;
  /** u32 [A]: the row of the question. */
  readonly answerQuestions: Tensor;
};

/** B questions with their images and answers. */
export type VqaBatch = TokenTensors & AnswerTensors & {
  /** u32 [B, H * W * 3 / 4]: packed RGB bytes. */
  readonly images: Tensor;
};

/** Words of a question that the originals keep in training. */
const QUESTION_WORDS = 30;

/** Images, questions and answers. */
export function vqaCollate(options: VqaCollateOptions): Collate<VqaExample, VqaBatch> {
  const { view, maxLength, tokenizer } = options;
  return {
    views: [view],
    shapes: (count) => ({
      images: imageShape(view, count),
      ...tokenShapes(count, maxLength),
      ...answerShapes(count, options),
    }),
    collate(examples, [images]) {
      const own = givenTokenizer(tokenizer);
      const questions = examples.map(({ question }) => cleanQuestion(question, QUESTION_WORDS));
      return {
        images: images!,
        ...tokenTensors(own, questions, maxLength),
        ...answerTensors(own, examples, options),
      };
    },
  };
}

function answerShapes(count: number, { answersPerQuestion, answerLength }: VqaCollateOptions): Avals<AnswerTensors> {
  const rows = count * answersPerQuestion, { ids, mask } = tokenShapes(rows, answerLength);
  return {
    answerIds: ids,
    answerMask: mask,
    answerWeights: { shape: [rows], dtype: "f32" },
    answerQuestions: { shape: [rows], dtype: "u32" },
  };
}

function answerTensors(
  tokenizer: Tokenizer,
  examples: readonly VqaExample[],
  { answersPerQuestion: most, answerLength: length }: VqaCollateOptions,
): AnswerTensors {
  const rows = examples.length * most, weights = new Float32Array(rows);
  const ids = new Uint32Array(rows * length).fill(tokenizer.padId), mask = new Float32Array(rows * length);
  examples.forEach((example, question) => {
    for (const [i, { text, weight }] of mostFrequent(example, most).entries()) {
      const row = question * most + i, tokens = answerTokens(tokenizer, text, length);
      ids.set(tokens, row * length);
      mask.fill(1, row * length, row * length + tokens.length);
      weights[row] = weight;
    }
  });
  return {
    answerIds: tensor(ids, [rows, length]),
    answerMask: tensor(mask, [rows, length]),
    answerWeights: tensor(weights),
    answerQuestions: tensor(Uint32Array.from(weights, (_, row) => Math.floor(row / most))),
  };
}

/** Answers of the largest weights, those first. @throws {RangeError} If there is none. */
function mostFrequent({ question, answers }: VqaExample, most: number): VqaExample["answers"] {
  if (answers.length) return answers.toSorted((a, b) => b.weight - a.weight).slice(0, most);
  throw new RangeError(
    `Cannot collate: a question must have at least one answer: ${JSON.stringify(question)} has none`,
  );
}

/** Answers to be ranked, C rows as long as the longest of them: u32 ids [C, K] of [CLS], the answer, [SEP], padding, and their mask. */
export function listedAnswers(tokenizer: Tokenizer, texts: readonly string[]): TokenTensors {
  const rows = texts.map((text) => answerTokens(tokenizer, text, Number.MAX_SAFE_INTEGER));
  const length = Math.max(...rows.map((row) => row.length)), shape = [rows.length, length];
  const ids = new Uint32Array(rows.length * length).fill(tokenizer.padId), mask = new Float32Array(ids.length);
  rows.forEach((row, i) => {
    ids.set(row, i * length);
    mask.fill(1, i * length, i * length + row.length);
  });
  return { ids: tensor(ids, shape), mask: tensor(mask, shape) };
}

/** [CLS], the first tokens of an answer, and [SEP], which says that it ends; a tokenizer may have put it there. */
function answerTokens(tokenizer: Tokenizer, text: string, length: number): number[] {
  const tokens = tokenizer.encode(text, length - 1);
  return tokens.at(-1) === tokenizer.sepId ? tokens : [...tokens, tokenizer.sepId];
}
