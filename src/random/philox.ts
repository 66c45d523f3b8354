/**
 * Philox 4x32-10 of Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011): a block of random words is a
 * function of a counter and a key. The same algorithm is in `kernels/random.wgsl`.
 *
 * @module
 */

const ROUNDS = 10;
const MULTIPLIERS = [0xD2511F53, 0xCD9E8D57] as const;
const WEYL = [0x9E3779B9, 0xBB67AE85] as const;

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
