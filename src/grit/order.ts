/**
 * The order of an epoch: what the phases of GRIT (GRIT-VLP, section 3.2 and Algorithm 1) do to the indices of examples.
 *
 * With D examples, mini-batches of N and `T = floor(D / N) * N`, an epoch's order is a permutation of all D. Its first T
 * examples are trained, mini-batch by mini-batch; the last `R = D - T` are the epoch's tail. {@linkcode nextOrder} puts the
 * tail into the first mini-batch of the next epoch, so no example is left out twice in a row.
 *
 * @module
 */

/** Sizes of the sub-queues into which `count` collected examples are cut: M each, then a shorter rest if there is one. */
export function subQueueSizes(count: number, subQueue: number): Uint32Array {
  return Uint32Array.from({ length: Math.ceil(count / subQueue) }, (_, g) => Math.min(subQueue, count - g * subQueue));
}

/** `items[positions[0]], items[positions[1]], ...` */
export function take(items: Int32Array, positions: ArrayLike<number>): Int32Array {
  const out = new Int32Array(positions.length);
  for (let i = 0; i < out.length; i++) out[i] = items[positions[i]!]!;
  return out;
}

/**
 * Examples of shuffled sub-queues in the order of their chains.
 *
 * @param shuffled Collected examples after the example-level shuffle.
 * @param chains For each sub-queue a permutation of its positions. Throws RangeError if one is none.
 */
export function alongChains(
  shuffled: Int32Array,
  sizes: ArrayLike<number>,
  chains: readonly ArrayLike<number>[],
): Int32Array {
  const out = new Int32Array(shuffled.length);
  for (let g = 0, at = 0; g < sizes.length; at += sizes[g++]!) {
    checkPermutation(chains[g] ?? [], sizes[g]!, `the chain of sub-queue ${g}`);
    out.set(take(shuffled.subarray(at, at + sizes[g]!), chains[g]!), at);
  }
  return out;
}

/** Mini-batch-level shuffle: chunks of N examples in the order of `permutation`, each with its content as it is. */
export function shuffleChunks(grouped: Int32Array, miniBatch: number, permutation: ArrayLike<number>): Int32Array {
  const out = new Int32Array(grouped.length);
  for (let k = 0; k < permutation.length; k++) {
    const from = permutation[k]! * miniBatch;
    out.set(grouped.subarray(from, from + miniBatch), k * miniBatch);
  }
  return out;
}

/**
 * The next epoch's order, of the tail of this one (R < N examples that were not trained) and the T examples in whole chunks
 * of N. One chunk, the last, is cut so that all others stay mini-batches of their own:
 *
 *     tail, first N - R of the last chunk | chunk 0 | chunk 1 | ... | last R of the last chunk (the new tail)
 *
 * Without a tail the order is the chunks as they are.
 */
export function nextOrder(tail: Int32Array, chunks: Int32Array, miniBatch: number): Int32Array {
  if (tail.length === 0) return chunks.slice();
  const last = chunks.length - miniBatch;
  const cut = chunks.length - tail.length;
  return concat(tail, chunks.subarray(last, cut), chunks.subarray(0, last), chunks.subarray(cut));
}

/** One array after the other. */
export function concat(...parts: readonly Int32Array[]): Int32Array {
  const out = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Throws RangeError, naming the first wrong place, unless `items` holds each of `0..count-1` once. */
export function checkPermutation(items: ArrayLike<number>, count: number, name: string): void {
  const seen = new Uint8Array(count);
  if (items.length !== count) wrong(name, `it must have ${count} entries: it has ${items.length}`);
  for (let i = 0; i < count; i++) {
    const item = items[i]!;
    if (!(item >= 0 && item < count)) wrong(name, `entry ${i} must be one of 0..${count - 1}: it is ${item}`);
    if (seen[item]) wrong(name, `entry ${i} is ${item} a second time`);
    seen[item] = 1;
  }
}

function wrong(name: string, reason: string): never {
  throw new RangeError(`Cannot use ${name}: ${reason}`);
}
