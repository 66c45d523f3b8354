/**
 * The likelihood of every answer of a long list, for each question.
 *
 * @module
 */
import { nextTokenLogits, tokenLosses } from "../losses/answers.ts";
import type { PatchedPairs } from "../models/albef.ts";
import { cacheQuestions, decodeWhole, type QuestionCache, repeated } from "../models/answer_decoder.ts";
import type { AlbefConfig } from "../models/config.ts";
import type { Vqa } from "../models/vqa.ts";
import { add, negate } from "../ops/elementwise.ts";
import { sum } from "../ops/reduce.ts";
import { reshape, slice } from "../ops/shape.ts";
import { compile, type Compiled, toDevice, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { indicesFrom, release, textRows } from "./_batches.ts";

/** Answers to score, on the host. */
export interface AnswerList {
  /** Row-major [count, length]: [CLS], the answer, [SEP], padding. */
  readonly ids: ArrayLike<number>;
  /** The same shape: 1 at tokens, 0 at padding. */
  readonly mask: ArrayLike<number>;
  /** Tokens of a row. */
  readonly length: number;
}

/** How answers are scored. */
export interface AnswerScorerOptions {
  /** Sizes of the model. */
  readonly config: AlbefConfig;
  /** Answers that are scored at a time for all questions: memory grows with it. @default 128 */
  readonly tile?: number;
  /** As in `rankAnswers`. @default false */
  readonly countFirstTokenTwice?: boolean;
  /** Is told of the answers that have been scored, of how many. */
  readonly progress?: (done: number, total: number) => void;
}

/**
 * Scores all answers of a list, tile by tile. A question is encoded once, and so are its keys and values for the decoder; what the
 * decoder makes of an answer before it looks at a question is computed once for all questions.
 */
export class AnswerScorer {
  readonly #cache: Compiled<[Vqa & Tree, PatchedPairs], QuestionCache>;
  readonly #score: Compiled<[Vqa & Tree, QuestionCache, Tensor, Tensor], Tensor>;
  readonly #options: AnswerScorerOptions;

  /** A scorer for one model size; its programs are made when they are first needed. */
  constructor(options: AnswerScorerOptions) {
    const { config, countFirstTokenTwice = false } = this.#options = options;
    this.#cache = compile((p, questions) => cacheQuestions(p, questions, { config }));
    this.#score = compile((p, questions, ids, mask) => {
      const count = questions.mask.shape[0]!, rows = ids.shape[0]!;
      const logits = nextTokenLogits(p, decodeWhole(p, { ids, mask }, questions, config, { shared: true }));
      const losses = tokenLosses(logits, repeated(ids, count), config.text.padId); // [B * T, K - 1]
      const whole = sum(losses, { axes: [1] });
      const first = reshape(slice(losses, 1, 0, 1), [count * rows]);
      return reshape(negate(countFirstTokenTwice ? add(whole, first) : whole), [count, rows]);
    });
  }

  /**
   * Log-likelihood of every answer, row-major [questions, answers].
   *
   * @throws {RangeError} If the list is empty or its sizes do not fit together.
   */
  async score(params: Vqa, questions: PatchedPairs, answers: AnswerList): Promise<Float32Array> {
    const total = countOf(answers), count = questions.ids.shape[0]!, tile = Math.min(this.#options.tile ?? 128, total);
    await toDevice(params as Tree);
    const cache = await this.#cache(params, questions), scores = new Float32Array(count * total);
    for (let from = 0; from < total; from += tile) {
      const [ids, mask] = textRows(answers, indicesFrom(from, tile, total)), done = Math.min(total, from + tile);
      const [own] = await toHost([await this.#score(params, cache, ids, mask)]) as [Float32Array];
      for (let question = 0; question < count; question++) {
        scores.set(own.subarray(question * tile, question * tile + done - from), question * total + from);
      }
      this.#options.progress?.(done, total);
    }
    release(cache);
    return scores;
  }

  /** Frees the memory of the programs. */
  destroy(): void {
    this.#cache.destroy();
    this.#score.destroy();
  }
}

function countOf({ ids, mask, length }: AnswerList): number {
  const count = ids.length / length;
  if (Number.isInteger(count) && count > 0 && mask.length === ids.length) return count;
  throw new RangeError(
    `Cannot score answers: ids and mask must hold one or more rows of ${length} tokens: they hold ${ids.length} and ${mask.length} elements`,
  );
}
