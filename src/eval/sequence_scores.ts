/**
 * Log-likelihoods of documents, texts with or without images, under a language model: for perplexity and for ranking ways to go on.
 *
 * @module
 */
import type { Sequence } from "../data/sequences/sequence.ts";
import { type SequenceBatch, SequenceBatcher, type SequenceBatchOptions } from "../data/sequences/stream.ts";
import { softmaxLoss } from "../losses/softmax_loss.ts";
import { decoderHead } from "../models/decoder.ts";
import { type VisionLanguage, type VisionLanguageConfig, visionLanguageStates } from "../models/vision_language.ts";
import { multiply, where } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { sum } from "../ops/reduce.ts";
import { concat, reshape, slice } from "../ops/shape.ts";
import { compile, type Compiled, toDevice, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { release } from "./_batches.ts";

/** Options of a {@linkcode SequenceScorer}: sizes of the model, and of the mini-batches, in which each row has one document. */
export interface SequenceScorerOptions extends SequenceBatchOptions {
  /** Sizes of the model. */
  readonly config: VisionLanguageConfig;
}

/** What a model makes of a document. */
export interface SequenceScore {
  /** Sum of the log-probabilities of its learned tokens. */
  readonly logLikelihood: number;
  /** How many there are. */
  readonly tokens: number;
}

/** Scores documents; one program for all. It holds a Worker where there are images, until it is closed. */
export class SequenceScorer {
  readonly #score: Compiled<[VisionLanguage & Tree, SequenceBatch], Tensor>;
  readonly #batcher: SequenceBatcher;

  /** Starts the Worker. @throws {TypeError} If there may be images and `pixels` is not given. */
  constructor(readonly options: SequenceScorerOptions) {
    const { config } = options;
    this.#batcher = new SequenceBatcher(options);
    this.#score = compile((p, batch) => logLikelihoods(p, batch, config));
  }

  /**
   * The scores of documents, in their order.
   *
   * @param blank Images without content instead of theirs: a control.
   * @throws {RangeError} If a document is longer than a row, or a mini-batch of them has more images than it may have.
   */
  async score(params: VisionLanguage, sequences: readonly Sequence[], blank = false): Promise<SequenceScore[]> {
    const { batch } = this.options, scores: SequenceScore[] = [];
    await toDevice(params as Tree);
    for (let from = 0; from < sequences.length; from += batch) {
      const some = sequences.slice(from, from + batch),
        result = await this.#score(params, await this.#batcher.rowPerSequence(some, blank));
      const [rows] = await toHost([result]) as [Float32Array];
      release(result);
      some.forEach(({ learned }, row) => {
        scores.push({ logLikelihood: rows[row]!, tokens: learned.slice(1).reduce((a, b) => a + b, 0) });
      });
    }
    return scores;
  }

  /**
   * For each prompt, the index of the most likely of its ways to go on: a sum of log-probabilities, not divided by the number of tokens.
   *
   * @param prompts All as many ways, whose prompts are not learned.
   */
  async rank(params: VisionLanguage, prompts: readonly (readonly Sequence[])[], blank = false): Promise<number[]> {
    const scores = await this.score(params, prompts.flat(), blank);
    let at = 0;
    return prompts.map((ways) => {
      const own = scores.slice(at, at += ways.length).map(({ logLikelihood }) => logLikelihood);
      return own.indexOf(Math.max(...own));
    });
  }

  /** Frees the program and waits until the Worker has ended. */
  async close(): Promise<void> {
    this.#score.destroy();
    await this.#batcher.close();
  }
}

/** [B]: for each row the sum over the tokens that count. */
function logLikelihoods(p: VisionLanguage, batch: SequenceBatch, config: VisionLanguageConfig): Tensor {
  const { tokens, lossMask } = batch, [rows, length] = tokens.shape as [number, number], count = rows * length;
  const states = visionLanguageStates(p, batch, { config });
  const next = concat([slice(tokens, 1, 1, length), full([rows, 1], 0, "i32")], 1);
  const labels = reshape(where(lossMask, next, 0), [count]); // a placeholder may be no row of the head
  const queries = reshape(states, [count, states.shape[2]!]), keys = decoderHead(p.llm_backbone.llm.model);
  const losses = reshape(softmaxLoss({ queries, keys }, { targets: { labels } }), [rows, length]);
  return sum(multiply(losses, multiply(lossMask, -1)), { axes: [1] });
}
