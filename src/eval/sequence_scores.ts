/**
 * Log-likelihoods of documents, texts with or without images, under a language model: for perplexity and for ranking ways to go on.
 *
 * @module
 */
import type { Sequence } from "../data/sequences/sequence.ts";
import type { DecoderBatch } from "../data/sequences/decoder_batch.ts";
import { SequenceBatcher, type SequenceBatchOptions } from "../data/sequences/stream.ts";
import { nextTokenLosses } from "../losses/next_token.ts";
import { type VisionLanguage, type VisionLanguageConfig, visionLanguageStates } from "../models/vision_language.ts";
import { multiply } from "../ops/elementwise.ts";
import { sum } from "../ops/reduce.ts";
import { reshape } from "../ops/shape.ts";
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
  readonly #score: Compiled<[VisionLanguage & Tree, DecoderBatch], Tensor>;
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
function logLikelihoods(p: VisionLanguage, batch: DecoderBatch, config: VisionLanguageConfig): Tensor {
  const { losses } = nextTokenLosses(p.llm_backbone.llm.model, visionLanguageStates(p, batch, { config }), batch);
  return multiply(sum(multiply(reshape(losses, batch.tokens.shape), batch.lossMask), { axes: [1] }), -1);
}
