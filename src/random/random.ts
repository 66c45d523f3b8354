/**
 * A counter-based random number generator for the host, over the algorithm that the kernels use too (see philox.ts). A draw is
 * a function of a key and a position, so a stream can be split by words (seed, epoch, example), saved as three numbers and
 * continued.
 *
 * @module
 */
import { philox } from "./philox.ts";

const TWO_32 = 2 ** 32;

/** The last counter word of blocks that give keys of forks; blocks that give numbers have 0 there. */
const FORK = 0x666F726B;

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
   * Starts a stream.
   *
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

  /** A number of the standard normal distribution (Box and Muller's transform; it takes two words). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** A number of the standard normal distribution cut at 2 deviations: draws beyond are thrown away. */
  truncatedNormal(): number {
    for (;;) {
      const x = this.normal();
      if (Math.abs(x) <= 2) return x;
    }
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
