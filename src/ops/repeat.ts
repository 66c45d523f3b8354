/**
 * Elements and whole tensors several times, by broadcasting: what follows element by element reads the original.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { checkAxis } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { broadcastTo } from "./reduce.ts";
import { reshape } from "./shape.ts";

function checkCount(op: string, count: number): void {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`Cannot apply ${op}: a number of repeats must be a positive integer: it is ${count}`);
  }
}

/**
 * Every element `count` times in a row along an axis (negative: from the end), as `numpy.repeat`. Its gradient is the sum
 * over the copies.
 *
 * @param x f32, i32, u32, or f16 (the result is f32), of at least one axis.
 */
export function repeat(x: Tensor, count: number, axis: number): Tensor {
  const { shape } = x, at = checkAxis("repeat", axis, shape.length);
  checkCount("repeat", count);
  const copied = broadcastTo(reshape(asF32(x), shape.toSpliced(at + 1, 0, 1)), shape.toSpliced(at + 1, 0, count));
  return reshape(copied, shape.with(at, shape[at]! * count));
}

/**
 * x `counts[i]` times along axis i, as `numpy.tile`: if there are fewer counts than axes, they are those of the last axes; if
 * there are more, x gets axes in front. Its gradient is the sum over the copies.
 *
 * @param x f32, i32, u32, or f16 (the result is f32), any shape.
 */
export function tile(x: Tensor, counts: readonly number[]): Tensor {
  const rank = Math.max(counts.length, x.shape.length);
  const filled = (list: readonly number[]) => [...Array<number>(rank - list.length).fill(1), ...list];
  const times = filled(counts), lengths = filled(x.shape);
  for (const count of times) checkCount("tile", count);
  const copied = broadcastTo(
    reshape(asF32(x), lengths.flatMap((n) => [1, n])),
    lengths.flatMap((n, i) => [times[i]!, n]),
  );
  return reshape(copied, lengths.map((n, i) => n * times[i]!));
}
