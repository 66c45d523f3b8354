/**
 * Merging the most frequent neighbours again and again: what byte-pair encoding and WordPiece vocabularies are learned by
 * (Sennrich et al. 2016, algorithm 1).
 *
 * @module
 */

/** A word as it is spelled so far. */
export interface Word {
  pieces: string[];
  readonly count: number;
}

interface Pair {
  readonly left: string;
  readonly right: string;
  count: number;
  /** Words that hold the pair, or held it. */
  readonly words: Set<Word>;
}

/** Two pieces that became one. */
export interface Merged {
  readonly left: string;
  readonly right: string;
  readonly piece: string;
}

/** Counts of neighbouring pieces, kept up to date while they are merged. */
export class Merges {
  readonly #pairs = new Map<string, Pair>();

  /** Spells what two pieces are together by `joined`. */
  constructor(words: readonly Word[], readonly joined: (left: string, right: string) => string) {
    for (const word of words) this.#count(word, 1);
  }

  /**
   * Merges the most frequent pair everywhere; undefined when nothing is left to merge. Ties go to the piece that is first in code-unit
   * order.
   */
  next(): Merged | undefined {
    let best: Pair | undefined, bestPiece = "";
    for (const pair of this.#pairs.values()) {
      if (best && pair.count < best.count) continue;
      const piece = this.joined(pair.left, pair.right);
      if (!best || pair.count > best.count || piece < bestPiece) [best, bestPiece] = [pair, piece];
    }
    if (!best) return undefined;
    for (const word of [...best.words]) {
      this.#count(word, -1);
      word.pieces = merge(word.pieces, best.left, best.right, bestPiece);
      this.#count(word, 1);
    }
    return { left: best.left, right: best.right, piece: bestPiece };
  }

  /** Adds (1) or takes away (-1) the pairs of a word. */
  #count(word: Word, sign: 1 | -1): void {
    for (let i = 1; i < word.pieces.length; i++) {
      const left = word.pieces[i - 1]!, right = word.pieces[i]!, key = `${left} ${right}`;
      let pair = this.#pairs.get(key);
      if (!pair) this.#pairs.set(key, pair = { left, right, count: 0, words: new Set() });
      pair.count += sign * word.count;
      if (sign > 0) pair.words.add(word);
      if (pair.count === 0) this.#pairs.delete(key);
    }
  }
}

function merge(pieces: readonly string[], left: string, right: string, piece: string): string[] {
  const result: string[] = [];
  for (let i = 0; i < pieces.length; i++) {
    if (pieces[i] === left && pieces[i + 1] === right) {
      result.push(piece);
      i++;
    } else result.push(pieces[i]!);
  }
  return result;
}
