/**
 * Recall at 1, 5 and 10 from scores.
 *
 * @module
 */

/** Score of a pair that was not scored because it was on no shortlist. */
export const UNSCORED: number = -100;

/** Shares of the queries, in percent, with one of their own candidates among the best. */
export interface Recall {
  /** Among the best 1. */
  readonly r1: number;
  /** Among the best 5. */
  readonly r5: number;
  /** Among the best 10. */
  readonly r10: number;
  /** The mean of the three. */
  readonly mean: number;
}

/** Recall of both directions. */
export interface Recalls {
  /** Image queries, text candidates. */
  readonly i2t: Recall;
  /** Text queries, image candidates. */
  readonly t2i: Recall;
  /** The mean of all six figures. */
  readonly mean: number;
}

/**
 * The number of foreign candidates that score better than the best own one, and half of those that score the same (captions that
 * are equal do, and so does everything for a model that has collapsed); infinite if no own candidate was scored.
 *
 * @throws {RangeError} if a score is not a number.
 */
export function rank(scores: ArrayLike<number>, isOwn: (position: number) => boolean): number {
  let best = UNSCORED;
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!;
    if (Number.isNaN(score)) throw new RangeError(`Cannot rank: every score must be a number: candidate ${i} has NaN`);
    if (score > best && isOwn(i)) best = score;
  }
  if (best === UNSCORED) return Infinity;
  let better = 0;
  for (let i = 0; i < scores.length; i++) {
    if (scores[i]! >= best && !isOwn(i)) better += scores[i]! > best ? 1 : 0.5;
  }
  return better;
}

/** Recall from the rank of each query. */
export function recallOf(ranks: ArrayLike<number>): Recall {
  const within = (k: number): number => 100 * Array.from(ranks).filter((r) => r < k).length / ranks.length;
  const [r1, r5, r10] = [within(1), within(5), within(10)];
  return { r1, r5, r10, mean: (r1 + r5 + r10) / 3 };
}

/** Both directions together. */
export function recallsOf(i2t: ArrayLike<number>, t2i: ArrayLike<number>): Recalls {
  const images = recallOf(i2t), texts = recallOf(t2i);
  return { i2t: images, t2i: texts, mean: (images.mean + texts.mean) / 2 };
}

/**
 * Recall from whole matrices, row-major: `i2t` [images, texts], `t2i` [texts, images]. An image may have several texts: its best
 * one counts.
 *
 * @param imageOf The image of each text.
 */
export function recallFromScores(
  i2t: Float32Array,
  t2i: Float32Array,
  imageOf: ArrayLike<number>,
): Recalls {
  const texts = imageOf.length, images = i2t.length / texts;
  const imageRanks = Array.from(
    { length: images },
    (_, i) => rank(i2t.subarray(i * texts, (i + 1) * texts), (t) => imageOf[t] === i),
  );
  const textRanks = Array.from(
    { length: texts },
    (_, t) => rank(t2i.subarray(t * images, (t + 1) * images), (i) => imageOf[t] === i),
  );
  return recallsOf(imageRanks, textRanks);
}

/** Cosine / temperature + a matching head's log-odds, times the temperature, which changes no order and keeps the numbers small. */
export function jointScores(cosines: Float32Array, odds: Float32Array, temperature: number): Float32Array {
  return cosines.map((c, i) => c + temperature * odds[i]!);
}
