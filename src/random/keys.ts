/**
 * Keys of the random numbers that kernels draw: one key for a training step, many streams within it.
 *
 * @module
 */
import { philox } from "./philox.ts";

/** The last but one counter word of blocks that give keys of training steps. */
const STEP = 0x7A11;

/**
 * The two key words of a training step: a function of the run's seed (its low 32 bits), the step and the micro-batch, all
 * whole numbers from 0 on.
 */
export function stepKey(seed: number, step: number, micro: number): Uint32Array<ArrayBuffer> {
  return philox([step, micro, STEP, 0], [seed >>> 0, 1]).slice(0, 2);
}

/**
 * The stream that belongs to `data` below `stream`: a bijective mix of 32 bits (Murmur3's finaliser), so that streams of short
 * paths of small numbers do not meet.
 *
 * @throws {RangeError} unless `data` is a whole number from 0 to 2^32 - 2.
 */
export function foldStream(stream: number, data: number): number {
  if (!Number.isInteger(data) || data < 0 || data > 2 ** 32 - 2) {
    throw new RangeError(`Cannot fold ${data} into a key: it must be a whole number from 0 to ${2 ** 32 - 2}`);
  }
  let h = (Math.imul(stream, 0x9E3779B1) + data + 1) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85EBCA6B);
  h = Math.imul(h ^ (h >>> 13), 0xC2B2AE35);
  return (h ^ (h >>> 16)) >>> 0;
}
