/**
 * A counter-based random number generator for the host: Philox 4x32-10 of Salmon et al., "Parallel Random Numbers: As Easy
 * as 1, 2, 3" (SC 2011), the algorithm that the kernels use too. A draw is a function of a key and a position, so a stream
 * can be split by words (seed, epoch, example), saved as three numbers and continued.
 *
 * @module
 */

const TWO_32 = 2 ** 32;
const ROUNDS = 10;
const MULTIPLIERS = [0xD2511F53, 0xCD9E8D57] as const;
const WEYL = [0x9E3779B9, 0xBB67AE85] as const;

/** The last counter word of blocks that give keys of forks; blocks that give numbers have 0 there. */
const FORK = 0x666F726B;

/** High 32 bits of the product of two unsigned 32-bit numbers. */
function highProduct(a: number, b: number): number {
  const aHigh = a >>> 16, aLow = a & 0xFFFF, bHigh = b >>> 16, bLow = b & 0xFFFF;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xFFFF);
  return (aHigh * bHigh + Math.floor(middle / 65536) + (other >>> 16)) >>> 0;
}

/**
 * One block of Philox 4x32-10: four random 32-bit words.
 *
 * @param counter Four 32-bit words.
 * @param key Two 32-bit words.
 */
export function philox(counter: ArrayLike<number>, key: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  let c0 = counter[0]! >>> 0, c1 = counter[1]! >>> 0, c2 = counter[2]! >>> 0, c3 = counter[3]! >>> 0;
  let k0 = key[0]! >>> 0, k1 = key[1]! >>> 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = highProduct(MULTIPLIERS[0], c0), low0 = Math.imul(MULTIPLIERS[0], c0);
    const high1 = highProduct(MULTIPLIERS[1], c2), low1 = Math.imul(MULTIPLIERS[1], c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL[0]) | 0;
    k1 = (k1 + WEYL[1]) | 0;
  }
  return Uint32Array.of(c0, c1, c2, c3);
}

/** A {@linkcode Random} as plain data, for JSON. */
export interface RandomState {
  /** The two key words of the stream. */
  readonly key: readonly [number, number];
  /** Number of 32-bit words drawn so far. */
  readonly position: number;
}

/**
 * A stream of random numbers.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const epoch = 3, example = 17;
 * const random = new Random(42).fork(epoch, example); // the same numbers whatever was drawn elsewhere
 * const flip = random.uniform() < 0.5;
 * assertEquals(flip, true);
 * ```
 */
export class Random {
  #key: readonly [number, number];
  #position = 0;
  #block: Uint32Array = new Uint32Array(4);
  #blockIndex = -1;

  /**
   * @param seed A whole number from 0 to 2^53 - 1.
   * @throws {RangeError} If the seed is none.
   */
  constructor(seed: number) {
    this.#key = split(seed, "seed");
  }

  /** A stream that continues where {@linkcode Random.state} was taken. */
  static from(state: RandomState): Random {
    const random = new Random(0);
    random.#key = [state.key[0] >>> 0, state.key[1] >>> 0];
    random.#position = state.position;
    return random;
  }

  /** What is needed to continue this stream, as plain data. */
  get state(): RandomState {
    return { key: this.#key, position: this.#position };
  }

  /**
   * The independent stream that belongs to these words. It does not depend on how much was drawn from this one.
   *
   * @param words Whole numbers from 0 to 2^53 - 1, such as an epoch and the index of an example.
   */
  fork(...words: readonly number[]): Random {
    let key = this.#key;
    for (const word of words) {
      const block = philox([...split(word, "fork word"), 0, FORK], key);
      key = [block[0]!, block[1]!];
    }
    return Random.from({ key, position: 0 });
  }

  /** A whole number from 0 to 2^32 - 1. */
  nextUint32(): number {
    const index = Math.floor(this.#position / 4);
    if (index !== this.#blockIndex) {
      this.#block = philox([index % TWO_32, Math.floor(index / TWO_32), 0, 0], this.#key);
      this.#blockIndex = index;
    }
    return this.#block[this.#position++ % 4]!;
  }

  /** A number in [0, 1), or in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.nextUint32() / TWO_32);
  }

  /**
   * A whole number from 0 to n - 1, each equally likely.
   *
   * @throws {RangeError} If `n` is not a whole number from 1 to 2^32.
   */
  below(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > TWO_32) {
      throw new RangeError(`Cannot draw a number below ${n}: the bound must be a whole number from 1 to 2^32`);
    }
    const limit = TWO_32 - TWO_32 % n;
    let draw = this.nextUint32();
    while (draw >= limit) draw = this.nextUint32();
    return draw % n;
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Shuffles in place (Fisher and Yates) and returns the same array. */
  shuffle<A extends { readonly length: number; [index: number]: unknown }>(items: A): A {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const item = items[i];
      (items as { [index: number]: unknown })[i] = items[j];
      (items as { [index: number]: unknown })[j] = item;
    }
    return items;
  }

  /** The numbers 0 to n - 1 in random order. */
  permutation(n: number): Int32Array<ArrayBuffer> {
    return this.shuffle(Int32Array.from({ length: n }, (_, i) => i));
  }
}

/** A number up to 2^53 - 1 as two 32-bit words, the low one first. */
function split(value: number, name: string): [number, number] {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`Cannot use ${value} as a ${name}: it must be a whole number from 0 to 2^53 - 1`);
  }
  return [value % TWO_32, Math.floor(value / TWO_32)];
}
