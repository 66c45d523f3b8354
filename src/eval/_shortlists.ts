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
  readonly cosines: Float32Array;
  /** Logits of "match". */
  readonly scores: Float32Array;
  /** Logits of "match" less those of "no match": log-odds. */
  readonly odds: Float32Array;
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

/** Ranks of all queries by scores of their shortlists; infinite where no own candidate is listed. */
export function ranksIn(
  { k, candidates }: Pick<Shortlists, "k" | "candidates">,
  scores: Float32Array,
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

/** An image with some texts of a block. */
export interface Group {
  readonly image: number;
  /** Rows of the block. */
  readonly texts: number[];
  /** Numbers of these pairs. */
  readonly pairs: number[];
}

/** Texts, and the pairs that they are in. */
export interface Block {
  readonly texts: readonly number[];
  readonly groups: readonly Group[];
}

/** The different pairs that two shortlists ask for, each with its place in both. */
export class PairList {
  readonly #images: number[] = [];
  readonly #texts: number[] = [];
  /** Where a pair is in both shortlists; -1 where it is not. */
  readonly #places = { i2t: [] as number[], t2i: [] as number[] };

  constructor(readonly i2t: Shortlists, readonly t2i: Shortlists) {}

  /** Adds an image's pairs, as number `image`: those of its own shortlist and those at `asked`, ascending places in the texts'. */
  add(image: number, row: number, asked: readonly number[]): void {
    const { i2t, t2i } = this, end = (row + 1) * i2t.k;
    for (let p = row * i2t.k, a = 0; p < end || a < asked.length;) {
      const own = p < end ? i2t.candidates[p]! : Infinity;
      const other = a < asked.length ? Math.floor(asked[a]! / t2i.k) : Infinity;
      this.#images.push(image);
      this.#texts.push(Math.min(own, other));
      this.#places.i2t.push(own <= other ? p++ : -1);
      this.#places.t2i.push(other <= own ? asked[a++]! : -1);
    }
  }

  /** All pairs: the texts that occur in blocks of `size`, the pairs of a block in groups of at most `most` with one image. */
  blocks(size: number, most: number): Block[] {
    const texts = [...new Set(this.#texts)].sort((a, b) => a - b), place = new Map(texts.map((text, i) => [text, i]));
    const blocks = Array.from({ length: Math.ceil(texts.length / size) }, (_, i) => ({
      texts: texts.slice(i * size, (i + 1) * size),
      groups: [] as Group[],
    }));
    for (const [pair, image] of this.#images.entries()) {
      const at = place.get(this.#texts[pair]!)!, { groups } = blocks[Math.floor(at / size)]!;
      let group = groups.at(-1);
      if (group?.image !== image || group.pairs.length === most) groups.push(group = { image, texts: [], pairs: [] });
      group.texts.push(at % size), group.pairs.push(pair);
    }
    return blocks;
  }

  /** Writes what the matching head says of a pair into the shortlists that it is on; returns their number. */
  deliver(pair: number, noMatch: number, match: number): number {
    const places = [[this.i2t, this.#places.i2t[pair]!], [this.t2i, this.#places.t2i[pair]!]] as const;
    const listed = places.filter(([, place]) => place >= 0);
    for (const [{ scores, odds }, place] of listed) [scores[place], odds[place]] = [match, match - noMatch];
    return listed.length;
  }
}
