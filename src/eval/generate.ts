/**
 * Answers that a decoder writes freely, token by token: greedily or by beam search (Freitag and Al-Onaizan 2017).
 *
 * @module
 */
import type { PatchedPairs } from "../models/albef.ts";
import {
  type AnswerCache,
  cacheQuestions,
  decodeToken,
  emptyAnswerCache,
  type QuestionCache,
} from "../models/answer_decoder.ts";
import { reorderCache } from "../models/bert_layer.ts";
import type { AlbefConfig } from "../models/config.ts";
import { answerVocabulary, type Vqa } from "../models/vqa.ts";
import { add } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { matmul } from "../ops/matmul.ts";
import { logSoftmax } from "../ops/softmax.ts";
import { compile, type Compiled, tensor, toDevice } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { release } from "./_batches.ts";
import { type Beam, type BeamRules, growBeam, readTexts, startBeam, type WrittenText } from "./beam.ts";

/** How answers are written. */
export interface GenerateOptions {
  /** Sizes of the model. */
  readonly config: AlbefConfig;
  /** Id of the token that all answers begin with. */
  readonly clsId: number;
  /** Id of the token that ends an answer. */
  readonly sepId: number;
  /** Answers to a question that are written side by side; 1 is greedy. @default 1 */
  readonly width?: number;
  /** Most tokens of an answer, [CLS] and [SEP] included. @default 10 */
  readonly maxLength?: number;
  /**
   * Answers are compared by log-likelihood / tokens^lengthPenalty, [SEP] counted: 0 compares by the likelihood, 1 by the mean of the
   * tokens, more favours longer answers. @default 0
   */
  readonly lengthPenalty?: number;
}

/** One answer: its tokens without [CLS] and [SEP]. */
export type GeneratedAnswer = WrittenText;

/** N = B * width answers in the making, question by question, and what the decoder keeps of them. */
type Answers = { readonly beam: Beam; readonly cache: AnswerCache };

/** One token more for each answer; `position` is the place of the last tokens. */
function grow(
  p: Vqa,
  questions: QuestionCache,
  answers: Answers,
  position: Tensor,
  { config, ...rules }: BeamRules & { readonly config: AlbefConfig },
): Answers {
  const { state, cache } = decodeToken(p, answers.beam.tokens, position, answers.cache, questions, config);
  const { keys, bias } = answerVocabulary(p);
  const next = logSoftmax(add(matmul(state, keys, { transposeB: true }), bias)); // [N, V]
  const { beam, parents } = growBeam(answers.beam, next, position, rules);
  return { beam, cache: rules.width === 1 ? cache : reorderCache(cache, parents) };
}

/** The start: every answer is [CLS]. */
function begin(count: number, { config, clsId, width, maxLength }: Required<GenerateOptions>): Answers {
  const rows = count * width;
  return {
    cache: emptyAnswerCache(rows, maxLength - 1, config),
    beam: startBeam(full([rows], clsId, "u32"), maxLength - 1, { width }),
  };
}

/** Writes answers; one program for the questions, and one for a token at any place, both made once per shape. */
export class AnswerGenerator {
  readonly #options: Required<GenerateOptions>;
  readonly #rules: BeamRules;
  readonly #begin: Compiled<[Vqa & Tree, PatchedPairs], { questions: QuestionCache; answers: Answers }>;
  readonly #grow: Compiled<[Vqa & Tree, QuestionCache, Answers, Tensor], Answers>;

  /**
   * A generator for one model size.
   *
   * @throws {RangeError} If width or length is no whole number in its range.
   */
  constructor(given: GenerateOptions) {
    const options = this.#options = { width: 1, maxLength: 10, lengthPenalty: 0, ...given };
    const { config, width, maxLength, lengthPenalty } = options, most = config.text.maxPositions;
    if (!Number.isInteger(width) || width < 1) refuse("the width must be a whole number of at least 1", width);
    if (!Number.isInteger(maxLength) || maxLength < 2 || maxLength > most) {
      refuse(`the length must be a whole number from 2 to the ${most} positions of the model`, maxLength);
    }
    if (!Number.isFinite(lengthPenalty)) refuse("the length penalty must be a finite number", lengthPenalty);
    const rules = this.#rules = { width, lengthPenalty, endId: options.sepId, padId: config.text.padId };
    this.#begin = compile((p, questions) => ({
      questions: cacheQuestions(p, questions, { config }),
      answers: begin(questions.ids.shape[0]!, options),
    }));
    this.#grow = compile(
      (p, questions, answers, position) => grow(p, questions, answers, position, { config, ...rules }),
      { donate: [2] },
    );
  }

  /** The `width` best answers to each of B questions, the best first; fewer where the vocabulary has no more. */
  async generate(params: Vqa, questions: PatchedPairs): Promise<GeneratedAnswer[][]> {
    await toDevice(params as Tree);
    const { questions: seen, answers } = await this.#begin(params, questions);
    const { texts, state } = await readTexts(
      answers,
      this.#options.maxLength - 1,
      (answers, step) => this.#grow(params, seen, answers, tensor(Uint32Array.of(step))),
      this.#rules,
    );
    release([seen, state] as Tree);
    return texts;
  }

  /** Frees the memory of the programs. */
  destroy(): void {
    this.#begin.destroy();
    this.#grow.destroy();
  }
}

function refuse(rule: string, value: number): never {
  throw new RangeError(`Cannot generate answers: ${rule}: it is ${value}`);
}

/** Answers to a batch of questions, once. See {@linkcode AnswerGenerator}. */
export async function generateAnswers(
  params: Vqa,
  questions: PatchedPairs,
  options: GenerateOptions,
): Promise<GeneratedAnswer[][]> {
  const generator = new AnswerGenerator(options);
  try {
    return await generator.generate(params, questions);
  } finally {
    generator.destroy();
  }
}
