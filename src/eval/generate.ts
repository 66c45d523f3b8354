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
import type { AlbefConfig } from "../models/config.ts";
import { answerVocabulary, type Vqa } from "../models/vqa.ts";
import { floorDivide } from "../ops/division.ts";
import { add, divide, equal, iota, maximum, multiply, subtract, where } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { gather } from "../ops/gather.ts";
import { pow } from "../ops/math.ts";
import { matmul } from "../ops/matmul.ts";
import { broadcastTo } from "../ops/reduce.ts";
import { reshape } from "../ops/shape.ts";
import { logSoftmax } from "../ops/softmax.ts";
import { topK } from "../ops/top_k.ts";
import { compile, type Compiled, tensor, toDevice, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { release } from "./_batches.ts";

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

/** One answer. */
export interface GeneratedAnswer {
  /** Its tokens, without [CLS] and [SEP]. */
  readonly ids: readonly number[];
  /** Sum of the log-probabilities of its tokens, that of [SEP] included. */
  readonly logLikelihood: number;
  /** Whether [SEP] came; otherwise the answer was cut at `maxLength`. */
  readonly finished: boolean;
}

/** N = B * width answers in the making, question by question, those of a question the best first. */
type Beam = {
  readonly cache: AnswerCache;
  /** u32 [N]: the last token of each. */
  readonly tokens: Tensor;
  /** u32 [N]: the row that each goes on from, in the step before. */
  readonly parents: Tensor;
  /** f32 [N]: log-likelihoods. */
  readonly scores: Tensor;
  /** f32 [N]: tokens after [CLS]. */
  readonly lengths: Tensor;
  /** f32 [N]: 1 where [SEP] came. */
  readonly finished: Tensor;
};

/** The score of what is no answer: below all of them, and finite. */
const NONE = -1e30;

/** One token more for each answer; finished ones stay as they are. `position` is the place of the last tokens. */
function grow(
  p: Vqa,
  questions: QuestionCache,
  beam: Beam,
  position: Tensor,
  { config, sepId, width, lengthPenalty }: Required<GenerateOptions>,
): Beam {
  const { state, cache } = decodeToken(p, beam.tokens, position, beam.cache, questions, config);
  const { keys, bias } = answerVocabulary(p), rows = beam.tokens.shape[0]!, count = rows / width;
  const next = logSoftmax(add(matmul(state, keys, { transposeB: true }), bias)); // [N, V]
  const choices = Math.min(width, next.shape[1]!), shape = [rows, choices];
  const [best, tokens] = topK(next, choices), column = (x: Tensor): Tensor => reshape(x, [rows, 1]);
  // A finished answer goes on in one way only, by padding that costs nothing.
  const isFirst = equal(iota(shape, 1), 0), finished = broadcastTo(column(beam.finished), shape);
  const scores = add(column(beam.scores), where(finished, where(isFirst, 0, NONE), best));
  const lengths = add(beam.lengths, subtract(1, beam.finished));
  const compared = lengthPenalty === 0 ? scores : divide(scores, pow(column(lengths), lengthPenalty));
  const [, chosen] = topK(reshape(compared, [count, width * choices]), width); // [B, width]
  const flat = reshape(add(chosen, multiply(iota([count, width], 0), width * choices)), [rows]);
  const parents = floorDivide(flat, choices), pick = (x: Tensor): Tensor => gather(reshape(x, [rows * choices]), flat);
  const ended = gather(beam.finished, parents);
  const written = pick(where(finished, full(shape, config.text.padId, "u32"), tokens));
  return {
    cache: width === 1
      ? cache
      : cache.map(({ keys, values }) => ({ keys: gather(keys, parents), values: gather(values, parents) })),
    tokens: written,
    parents,
    scores: pick(scores),
    lengths: gather(lengths, parents),
    finished: maximum(ended, equal(written, sepId)),
  };
}

/** The start: every answer is [CLS], and only the first of a question counts. */
function begin(count: number, { config, clsId, width, maxLength }: Required<GenerateOptions>): Beam {
  const rows = count * width, zeros = (): Tensor => full([rows], 0);
  return {
    cache: emptyAnswerCache(rows, maxLength - 1, config),
    tokens: full([rows], clsId, "u32"),
    parents: full([rows], 0, "u32"),
    scores: reshape(where(equal(iota([count, width], 1), 0), 0, full([count, width], NONE)), [rows]),
    lengths: zeros(),
    finished: zeros(),
  };
}

/** What a step says on the host. */
interface Written {
  readonly tokens: ArrayLike<number>;
  readonly parents: ArrayLike<number>;
}

/** Writes answers; one program for the questions, and one for a token at any place, both made once per shape. */
export class AnswerGenerator {
  readonly #options: Required<GenerateOptions>;
  readonly #begin: Compiled<[Vqa & Tree, PatchedPairs], { questions: QuestionCache; beam: Beam }>;
  readonly #grow: Compiled<[Vqa & Tree, QuestionCache, Beam, Tensor], Beam>;

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
    this.#begin = compile((p, questions) => ({
      questions: cacheQuestions(p, questions, { config }),
      beam: begin(questions.ids.shape[0]!, options),
    }));
    this.#grow = compile((p, questions, beam, position) => grow(p, questions, beam, position, options), {
      donate: [2],
    });
  }

  /** The `width` best answers to each of B questions, the best first; fewer where the vocabulary has no more. */
  async generate(params: Vqa, questions: PatchedPairs): Promise<GeneratedAnswer[][]> {
    const { maxLength, width } = this.#options, steps: Written[] = [];
    await toDevice(params as Tree);
    const { questions: seen, beam: first } = await this.#begin(params, questions);
    let beam = first, finished: ArrayLike<number> = [];
    for (let place = 0; place < maxLength - 1; place++) {
      beam = await this.#grow(params, seen, beam, tensor(Uint32Array.of(place)));
      const [tokens, parents, ended] = await toHost([beam.tokens, beam.parents, beam.finished]);
      steps.push({ tokens: tokens!, parents: parents! });
      finished = ended!;
      if (Array.from(finished).every((x) => x === 1)) break;
    }
    const scores = await toHost(beam.scores);
    release([seen, beam] as Tree);
    return Array.from({ length: questions.ids.shape[0]! }, (_, question) => {
      const rows = Array.from({ length: width }, (_, i) => question * width + i);
      return rows.filter((row) => scores[row]! > NONE / 2).map((row) => ({
        ids: this.#trace(steps, row),
        logLikelihood: scores[row]!,
        finished: finished[row] === 1,
      }));
    });
  }

  /** The tokens of an answer, from the last step back. */
  #trace(steps: readonly Written[], row: number): number[] {
    const ids: number[] = [];
    for (const { tokens, parents } of steps.toReversed()) {
      ids.push(tokens[row]!);
      row = parents[row]!;
    }
    ids.reverse();
    const end = ids.indexOf(this.#options.sepId);
    return end < 0 ? ids : ids.slice(0, end);
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
