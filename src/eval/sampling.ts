/**
 * How a next token is drawn from its log-probabilities.
 *
 * @module
 */
import { divide, exp, less, where } from "../ops/elementwise.ts";
import { categorical } from "../ops/distributions.ts";
import { min } from "../ops/max.ts";
import type { Key } from "../ops/random.ts";
import { cumsum } from "../ops/scan.ts";
import { slice } from "../ops/shape.ts";
import { logSoftmax } from "../ops/softmax.ts";
import { sort } from "../ops/sort.ts";
import { topK as largest } from "../ops/top_k.ts";
import type { Tensor } from "../program/graph.ts";

/** Which tokens may come. */
export interface SamplingOptions {
  /** Logits are divided by it: below 1 likely tokens come more often, above 1 less. */
  readonly temperature: number;
  /** Only so many of the most likely tokens may come. Default: all. */
  readonly topK?: number | undefined;
  /** Only the most likely tokens whose probabilities together reach it may come (Holtzman et al. 2020). Default: 1, all. */
  readonly topP?: number | undefined;
}

/** The score of what may not come: below all others, and finite. */
const NEVER = -1e30;

/**
 * Log-probabilities [N, V] at a temperature, of the tokens that may come; the others are -1e30 or less. First the temperature acts, then top-k,
 * then top-p on what is left. Tokens as likely as the last one that may come may come too.
 */
export function restrict(next: Tensor, { temperature, topK, topP }: SamplingOptions): Tensor {
  const vocabulary = next.shape[1]!;
  let logits = divide(next, temperature);
  if (topK !== undefined && topK < vocabulary) {
    logits = atLeast(logits, slice(largest(logits, topK)[0], 1, topK - 1, topK));
  }
  if (topP !== undefined && topP < 1) {
    logits = logSoftmax(logits);
    const sorted = sort(logits, { descending: true }), before = cumsum(exp(sorted), { exclusive: true });
    const kept = where(less(before, topP), sorted, 0); // log-probabilities are at most 0
    logits = atLeast(logits, min(kept, { axes: [1], keepDims: true }));
  }
  return logSoftmax(logits);
}

/** `logits` that are not below `least`, [N, 1]; else -1e30. */
function atLeast(logits: Tensor, least: Tensor): Tensor {
  return where(less(logits, least), NEVER, logits);
}

/** A token of each row of log-probabilities [N, V], u32 [N]. */
export function sampleTokens(next: Tensor, options: SamplingOptions, key: Key): Tensor {
  return categorical(key, restrict(next, options));
}
