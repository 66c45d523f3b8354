/**
 * Masking of tokens for masked language modelling (MLM).
 *
 * @module
 */
import type { Random } from "../random/random.ts";

/** Label of a token that is not to be predicted. */
export const IGNORED_LABEL: number = -100;

const MASKED_SHARE = 0.8;
const RANDOM_SHARE = 0.5;

/** Options of {@linkcode maskTokens}; a `Tokenizer` has all but the first. */
export interface MaskOptions {
  /** Probability that a token is to be predicted: 0.5 in GRIT-VLP, 0.15 in ALBEF and BERT. */
  readonly probability: number;
  /** Number of ids that a random one is drawn from. */
  readonly vocabularySize: number;
  /** Id of `[MASK]`. */
  readonly maskId: number;
  /** Id of `[PAD]`. */
  readonly padId: number;
  /** Id of `[CLS]`. */
  readonly clsId: number;
}

/** Ids to be given to the model and what it is to predict. */
export interface MaskedTokens {
  /** The ids with the masked ones replaced. */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** The original id where a prediction is asked for, else {@linkcode IGNORED_LABEL}. */
  readonly labels: Int32Array<ArrayBuffer>;
}

/**
 * Chooses tokens, each for itself, and replaces 80 % of them by `[MASK]` and 10 % by any id of the vocabulary; 10 % stay.
 * Padding and `[CLS]` are never chosen. It may happen that no token is.
 *
 * @param ids Token ids of any number of rows.
 * @param mask As long as `ids`: 0 at padding.
 */
export function maskTokens(
  ids: ArrayLike<number>,
  mask: ArrayLike<number>,
  options: MaskOptions,
  random: Random,
): MaskedTokens {
  const { probability, vocabularySize, maskId, padId, clsId } = options;
  checkProbability(probability);
  const masked = Uint32Array.from(ids), labels = new Int32Array(ids.length).fill(IGNORED_LABEL);
  for (let i = 0; i < masked.length; i++) {
    const id = masked[i]!;
    if (mask[i] === 0 || id === padId || id === clsId || random.uniform() >= probability) continue;
    labels[i] = id;
    if (random.uniform() < MASKED_SHARE) masked[i] = maskId;
    else if (random.uniform() < RANDOM_SHARE) masked[i] = random.below(vocabularySize);
  }
  return { ids: masked, labels };
}

/** Checks a probability that a token is to be predicted. @throws {RangeError} If it is none. */
export function checkProbability(probability: number): void {
  if (probability >= 0 && probability <= 1) return;
  throw new RangeError(`Cannot mask tokens: the probability must be from 0 to 1: it is ${probability}`);
}
