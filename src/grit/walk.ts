/**
 * The reference of the grouping search, in float64 on the CPU.
 *
 * @module
 */

import type { Grouping } from "./sampler.ts";

/** Rows of unit vectors, `[rows, width]`, row-major. */
export interface Features {
  /** Rows one after the other. */
  readonly data: Float32Array | Float64Array;
  /** Elements of a row. */
  readonly width: number;
}

/**
 * The walk over one sub-queue (GRIT-VLP, section 3.2, Eq. 5): from `start`, image-to-text to the most similar unvisited
 * pair, from that pair text-to-image, and so on in turn until every pair is visited.
 *
 * Works on raw similarities: the arg-max of a softmax row is that of the row itself, so the temperature has no part in it.
 * Visited pairs are left out, never given a weight. Of equal similarities the lowest position wins.
 *
 * @param rows Feature rows of the sub-queue's pairs; positions in the result are places in this list.
 * @param start Position of the first pair.
 * @returns Positions `0..rows.length-1` in walk order.
 */
export function walk(image: Features, text: Features, rows: ArrayLike<number>, start: number): Uint32Array {
  const size = rows.length;
  if (!Number.isInteger(start) || start < 0 || start >= size) {
    throw new RangeError(`Cannot walk over ${size} pairs: the start must be one of 0..${size - 1}: it is ${start}`);
  }
  const chain = new Uint32Array(size);
  const visited = new Uint8Array(size);
  let current = start;
  for (let step = 0; step < size; step++) {
    if (step > 0) {
      const [from, to] = step % 2 === 1 ? [image, text] : [text, image];
      current = mostSimilar(from, rows[current]!, to, rows, visited);
    }
    chain[step] = current;
    visited[current] = 1;
  }
  return chain;
}

/** The chains of all sub-queues, one {@linkcode walk} each: the reference of a `GroupingSearch` function on the GPU. */
export function groupOnCpu(image: Features, text: Features, grouping: Grouping): Uint32Array[] {
  let at = 0;
  return Array.from(grouping.subQueues, (size, g) => {
    const rows = grouping.permutation.subarray(at, at += size);
    return walk(image, text, rows, grouping.starts[g]!);
  });
}

/** Position of the unvisited row of `to` that is most similar to row `row` of `from`. */
function mostSimilar(from: Features, row: number, to: Features, rows: ArrayLike<number>, visited: Uint8Array): number {
  let best = -1;
  let bestValue = 0;
  for (let position = 0; position < rows.length; position++) {
    if (visited[position]) continue;
    const value = dot(from, row, to, rows[position]!);
    if (best < 0 || value > bestValue) [best, bestValue] = [position, value];
  }
  return best;
}

function dot(a: Features, rowA: number, b: Features, rowB: number): number {
  const { width } = a;
  let sum = 0;
  for (let k = 0, i = rowA * width, j = rowB * width; k < width; k++) sum += a.data[i + k]! * b.data[j + k]!;
  return sum;
}
