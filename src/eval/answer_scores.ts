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
import { gather } from "../ops/gather.ts";
import { sum } from "../ops/reduce.ts";
import { reshape, slice } from "../ops/shape.ts";
import { compile, type Compiled, tensor, toDevice, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { indicesFrom, release } from "./_batches.ts";
import type { Candidates } from "./answers.ts";

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
  readonly #score: Compiled<[Vqa & Tree, QuestionCache, Candidates, Tensor], Tensor>;
  readonly #options: AnswerScorerOptions;

  /** A scorer for one model size; its programs are made when they are first needed. */
  constructor(options: AnswerScorerOptions) {
    const { config, countFirstTokenTwice = false } = this.#options = options;
    this.#cache = compile((p, questions) => cacheQuestions(p, questions, { config }));
    this.#score = compile((p, questions, answers, tile) => {
      const count = questions.mask.shape[0]!, rows = tile.size;
      const ids = gather(answers.ids, tile), mask = gather(answers.mask, tile);
      const logits = nextTokenLogits(p, decodeWhole(p, { ids, mask }, questions, config, { shared: true }));
      const losses = tokenLosses(logits, repeated(ids, count), config.text.padId); // [B * T, K - 1]
      const whole = sum(losses, { axes: [1] });
      const first = reshape(slice(losses, 1, 0, 1), [count * rows]);
      return reshape(negate(countFirstTokenTwice ? add(whole, first) : whole), [count, rows]);
    });
  }

  /** Log-likelihood of every answer, row-major [questions, answers]. */
  async score(params: Vqa, questions: PatchedPairs, answers: Candidates): Promise<Float32Array> {
    const count = questions.ids.shape[0]!, total = answers.ids.shape[0]!;
    const tile = Math.min(this.#options.tile ?? 128, total), scores = new Float32Array(count * total);
    await toDevice([params, answers] as Tree);
    const cache = await this.#cache(params, questions);
    for (let from = 0; from < total; from += tile) {
      const rows = tensor(Uint32Array.from(indicesFrom(from, tile, total))), done = Math.min(total, from + tile);
      const [own] = await toHost([await this.#score(params, cache, answers, rows)]) as [Float32Array];
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
