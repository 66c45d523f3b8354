/**
 * The two metrics of NLVR (Suhr et al. 2017): how many statements are judged rightly, and how many sentences are about
 * all of their images.
 *
 * @module
 */

/** A sentence about an image, or about a pair of them. */
export interface NlvrStatement {
  /** "1572-0", sentence and image, in NLVR; "dev-850-0-1", split, set, pair of images and sentence, in NLVR2. */
  readonly identifier: string;
  /** Whether it is true. */
  readonly label: boolean;
}

/** Shares, from 0 to 1. */
export interface NlvrAccuracy {
  /** Of the statements whose prediction is right. */
  readonly precision: number;
  /** Of the sentences for which every prediction is right. */
  readonly consistency: number;
}

/**
 * Precision and consistency of predictions.
 *
 * @param statements What is true, no identifier twice.
 * @param predictions What is thought to be true, by identifier.
 * @throws {RangeError} If there is no statement, one comes twice, or the statements that are predicted are not those
 * that are given.
 */
export function nlvrAccuracy(
  statements: readonly NlvrStatement[],
  predictions: ReadonlyMap<string, boolean>,
): NlvrAccuracy {
  if (!statements.length) throw new RangeError("Cannot evaluate: there must be at least one statement");
  const seen = new Set<string>(), sentences = new Map<string, boolean>();
  let right = 0;
  for (const { identifier, label } of statements) {
    const prediction = predictions.get(identifier);
    if (seen.has(identifier)) throw new RangeError(`Cannot evaluate: statement "${identifier}" must come once`);
    if (prediction === undefined) {
      throw new RangeError(`Cannot evaluate: statement "${identifier}" must have a prediction`);
    }
    seen.add(identifier);
    const isRight = prediction === label, sentence = sentenceOf(identifier);
    if (isRight) right++;
    sentences.set(sentence, isRight && (sentences.get(sentence) ?? true));
  }
  for (const identifier of predictions.keys()) {
    if (!seen.has(identifier)) throw new RangeError(`Cannot evaluate: "${identifier}" is predicted but no statement`);
  }
  const consistent = [...sentences.values()].filter((allRight) => allRight).length;
  return { precision: right / statements.length, consistency: consistent / sentences.size };
}

/** What the statements of one sentence have in common: all but the image in NLVR, all but the pair of images in NLVR2. */
function sentenceOf(identifier: string): string {
  const parts = identifier.split("-");
  return parts.length === 4 ? [parts[0], parts[1], parts[3]].join("-") : parts.slice(0, -1).join("-") || identifier;
}
