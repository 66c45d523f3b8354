/**
 * Slices with steps, and axes turned round.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { checkAxes, checkAxis } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { type GridAxis, takeGrid, wholeGrid } from "./_grid.ts";
import { slice } from "./shape.ts";

/** A range along an axis, as Python's `start:stop:step`. */
export interface StridedRange {
  /** The axis, negative ones from the end. */
  readonly axis: number;
  /** The first element, negative ones from the end. Default: the first of the axis, or the last where the step is negative. */
  readonly start?: number;
  /** Where to stop, itself not included, negative ones from the end. Default: behind the axis, or before it. */
  readonly stop?: number;
  /** From one element to the next, not 0. Default 1. */
  readonly step?: number;
}

/**
 * The elements of ranges along some axes, whole along the others: `strided(x, [{ axis: 0, stop: 8 }, { axis: 1, step: -2 }])`
 * is Python's `x[0:8, ::-2]`, but ranges that leave the axis or are empty are refused. A view where the elements are contiguous.
 *
 * @param x f32, f16 (the result is f32), i32 or u32.
 */
export function strided(x: Tensor, ranges: readonly StridedRange[]): Tensor {
  const { shape } = x, grid = wholeGrid(shape), seen = new Set<number>();
  for (const range of ranges) {
    const axis = checkAxis("strided", range.axis, shape.length);
    if (seen.has(axis)) {
      throw new RangeError(`Cannot apply strided: an axis must have one range: axis ${axis} has several`);
    }
    grid[axis] = gridAxis(range, axis, shape[axis]!);
    seen.add(axis);
  }
  let y = asF32(x), outer = 1;
  for (const [axis, { start, step, count }] of grid.entries()) {
    if (outer === 1 && step === 1) {
      y = slice(y, axis, start, start + count);
      grid[axis] = { start: 0, step, count };
    }
    outer *= y.shape[axis]!;
  }
  return isWhole(grid, y.shape) ? y : takeGrid(y, grid);
}

function gridAxis({ start, stop, step = 1 }: StridedRange, axis: number, length: number): GridAxis {
  if (!Number.isInteger(step) || step === 0) {
    throw new RangeError(
      `Cannot apply strided: a step must be an integer other than 0: along axis ${axis} it is ${step}`,
    );
  }
  const place = (name: string, at: number, most: number): number => {
    if (!Number.isInteger(at) || at < -length || at > most) {
      throw new RangeError(
        `Cannot apply strided: along axis ${axis} ${name} must be an integer from ${-length} to ${most}: it is ${at}`,
      );
    }
    return at < 0 ? at + length : at;
  };
  const first = start === undefined ? (step > 0 ? 0 : length - 1) : place("start", start, length - 1);
  const end = stop === undefined ? (step > 0 ? length : -1) : place("stop", stop, length);
  const count = Math.ceil((end - first) / step);
  if (count < 1) {
    throw new RangeError(
      `Cannot apply strided: a range must hold at least 1 element: along axis ${axis} it is ${first}:${end}:${step}`,
    );
  }
  return { start: first, step: count > 1 ? step : 1, count };
}

function isWhole(grid: readonly GridAxis[], shape: readonly number[]): boolean {
  return grid.every(({ step, count }, i) => step === 1 && count === shape[i]);
}

/**
 * x with the elements of some axes (default: all) in reverse order, as `numpy.flip`.
 *
 * @param x f32, f16 (the result is f32), i32 or u32.
 * @param axes Negative ones count from the end.
 */
export function flip(x: Tensor, axes?: number | readonly number[]): Tensor {
  const turned = new Set(checkAxes("flip", axes === undefined ? undefined : [axes].flat(), x.shape.length));
  const grid = wholeGrid(x.shape).map((axis, i) =>
    turned.has(i) && axis.count > 1 ? { ...axis, start: axis.count - 1, step: -1 } : axis
  );
  const y = asF32(x);
  return isWhole(grid, y.shape) ? y : takeGrid(y, grid);
}
