/**
 * Shortlists of retrieval and the pairs that they ask for.
 *
 * @module
 */
import { rank, UNSCORED } from "./recall.ts";

/** Best candidates of each query, row-major [queries, k], in the order of their numbers. */
export interface Shortlists {
  readonly k: number;
  readonly candidates: Uint32Array;
  readonly scores: Float32Array;
}

/** Numbers of the k largest scores, ascending; of equal ones the lower. */
export function best(scores: Float32Array, k: number): Uint32Array {
  const out = new Uint32Array(k);
  if (k === 0) return out;
  const limit = scores.slice().sort()[scores.length - k]!;
  const above = scores.reduce((n, s) => s > limit ? n + 1 : n, 0);
  let at = 0, equal = k - above;
  scores.forEach((s, i) => {
    if (s > limit || (s === limit && equal-- > 0)) out[at++] = i;
  });
  return out;
}

/** For each candidate the places in the shortlists that name it. */
export function positionsByCandidate({ candidates }: Shortlists, count: number): number[][] {
  const out = Array.from({ length: count }, (): number[] => []);
  candidates.forEach((candidate, position) => out[candidate]!.push(position));
  return out;
}

/** Ranks of all queries by the scores of their shortlists; infinite where no own candidate is listed. */
export function ranksIn(
  { k, candidates, scores }: Shortlists,
  isOwn: (row: number, column: number) => boolean,
): number[] {
  return Array.from(
    { length: candidates.length / k },
    (_, row) => rank(scores.subarray(row * k, (row + 1) * k), (p) => isOwn(row, candidates[row * k + p]!)),
  );
}

/** The scores as a matrix [queries, columns]; {@linkcode UNSCORED} off the shortlists. */
export function whole({ k, candidates, scores }: Shortlists, columns: number): Float32Array {
  const out = new Float32Array(candidates.length / k * columns).fill(UNSCORED);
  candidates.forEach((c, p) => out[Math.floor(p / k) * columns + c] = scores[p]!);
  return out;
}

/** Different pairs of an image of the batch and a text, and the places that wait for their scores. */
export class PairList {
  readonly images: number[] = [];
  readonly texts: number[] = [];
  readonly #waiting: { list: Shortlists; position: number; pair: number }[] = [];
  readonly #known = new Map<number, number>();
  readonly #textCount: number;

  constructor(textCount: number) {
    this.#textCount = textCount;
  }

  add(image: number, text: number, list: Shortlists, position: number): void {
    const key = image * this.#textCount + text;
    let pair = this.#known.get(key);
    if (pair === undefined) {
      this.#known.set(key, pair = this.images.push(image) - 1);
      this.texts.push(text);
    }
    this.#waiting.push({ list, position, pair });
  }

  deliver(score: (pair: number) => number): void {
    for (const { list, position, pair } of this.#waiting) list.scores[position] = score(pair);
  }
}
