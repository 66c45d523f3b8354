/**
 * Elements around a tensor.
 *
 * @module
 */
import { sameShape, type Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { asF32 } from "./_float.ts";
import { putGrid, takeGrid, wholeGrid } from "./_grid.ts";
import { wordOf } from "./full.ts";
import { broadcastTo } from "./reduce.ts";
import { concat, slice } from "./shape.ts";

/** Options of {@linkcode pad}. */
export interface PadOptions {
  /**
   * What the new elements are: one number ("constant"), those at the edge ("edge"), or those inside, mirrored without the edge
   * itself ("reflect"), as in NumPy. Default "constant".
   */
  readonly mode?: "constant" | "edge" | "reflect";
  /** The number of mode "constant". Default 0. */
  readonly value?: number;
}

/** New elements before and behind an axis; one number if both are equal. */
export type PadAmount = number | readonly [before: number, behind: number];

/**
 * x with new elements before and behind each axis. Mode "constant" is one kernel, the others are some for each padded axis,
 * axis after axis, so that corners are as in NumPy.
 *
 * @param x f32, f16 (the result is f32), i32 or u32.
 * @param amounts One for each axis; in mode "reflect" below the length of the axis.
 */
export function pad(x: Tensor, amounts: readonly PadAmount[], options: PadOptions = {}): Tensor {
  const { mode = "constant", value = 0 } = checkOptions("pad", options, { value: "one", mode: "one" }), { shape } = x;
  const sides = amounts.map((n) => typeof n === "number" ? [n, n] as const : n);
  checkAmounts(shape, sides, mode);
  const y = asF32(x), padded = shape.map((n, i) => n + sides[i]![0] + sides[i]![1]);
  if (sameShape(padded, shape)) return y;
  if (mode === "constant") {
    const grid = wholeGrid(shape).map((axis, i) => ({ ...axis, start: sides[i]![0] }));
    return putGrid(y, padded, grid, wordOf(value, y.dtype));
  }
  const side = mode === "edge" ? edge : mirrored;
  return sides.reduce((all, [before, behind], axis) => {
    const parts = [before && side(all, axis, before, false), all, behind && side(all, axis, behind, true)];
    return concat(parts.filter((part) => part !== 0), axis);
  }, y);
}

/** The element at the start or the end of an axis, `count` times. */
function edge(x: Tensor, axis: number, count: number, end: boolean): Tensor {
  const at = end ? x.shape[axis]! - 1 : 0;
  return broadcastTo(slice(x, axis, at, at + 1), x.shape.with(axis, count));
}

/** The elements next to that at the start or the end of an axis, in reverse order. */
function mirrored(x: Tensor, axis: number, count: number, end: boolean): Tensor {
  const start = end ? x.shape[axis]! - 2 : count;
  return takeGrid(x, wholeGrid(x.shape).with(axis, { start, step: -1, count }));
}

function checkAmounts(
  shape: readonly number[],
  sides: readonly (readonly [number, number])[],
  mode: NonNullable<PadOptions["mode"]>,
): void {
  if (sides.length !== shape.length) {
    throw new RangeError(
      `Cannot apply pad: there must be an amount for each of ${shape.length} axes: there are ${sides.length}`,
    );
  }
  sides.forEach((amounts, axis) => {
    const most = mode === "reflect" ? shape[axis]! - 1 : Infinity;
    for (const n of amounts) {
      if (Number.isInteger(n) && n >= 0 && n <= most) continue;
      const range = mode === "reflect" ? `an integer from 0 to ${most}` : "an integer from 0 on";
      throw new RangeError(`Cannot apply pad: along axis ${axis} mode "${mode}" must have ${range}: it has ${n}`);
    }
  });
}
