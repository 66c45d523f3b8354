/**
 * Axes added, dropped, joined, exchanged and moved: views where no number moves.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { checkAxis } from "./_check.ts";
import { reshape } from "./shape.ts";
import { transpose } from "./transpose.ts";

/** One axis or several, negative ones from the end. */
export type AxisOrAxes = number | readonly number[];

/** Axes counted from the front, in the order given; each may be there once. */
export function distinctAxes(op: string, axes: AxisOrAxes, rank: number): number[] {
  const all = [axes].flat().map((axis) => checkAxis(op, axis, rank));
  if (new Set(all).size !== all.length) {
    throw new RangeError(`Cannot apply ${op}: every axis must be given once: axes are [${axes}]`);
  }
  return all;
}

/**
 * x without axes of length 1. A view.
 *
 * @param axes Axes to drop, each of length 1. Default: all that have this length.
 */
export function squeeze(x: Tensor, axes?: AxisOrAxes): Tensor {
  const dropped = axes === undefined ? undefined : distinctAxes("squeeze", axes, x.shape.length);
  for (const axis of dropped ?? []) {
    if (x.shape[axis] !== 1) {
      throw new RangeError(`Cannot apply squeeze: axis ${axis} must be of length 1: the shape is [${x.shape}]`);
    }
  }
  return reshape(x, x.shape.filter((n, i) => dropped ? !dropped.includes(i) : n !== 1));
}

/**
 * x with new axes of length 1. A view.
 *
 * @param axes Where the new axes are in the result, as in NumPy.
 */
export function expandDims(x: Tensor, axes: AxisOrAxes): Tensor {
  const rank = x.shape.length + [axes].flat().length;
  const shape = [...x.shape];
  for (const axis of distinctAxes("expandDims", axes, rank).sort((a, b) => a - b)) shape.splice(axis, 0, 1);
  return reshape(x, shape);
}

/** x with the axes from `start` to `end`, both included, joined to one; a scalar becomes [1]. A view. */
export function flatten(x: Tensor, start = 0, end = -1): Tensor {
  const { shape } = x;
  if (shape.length === 0) return reshape(x, [1]);
  const from = checkAxis("flatten", start, shape.length), to = checkAxis("flatten", end, shape.length);
  if (from > to) {
    throw new RangeError(
      `Cannot apply flatten: the first axis must not lie behind the last: they are ${start}, ${end}`,
    );
  }
  return reshape(x, [...shape.slice(0, from), -1, ...shape.slice(to + 1)]);
}

/** x with two axes exchanged; see {@linkcode transpose}. */
export function swapAxes(x: Tensor, a: number, b: number): Tensor {
  const [i, j] = [a, b].map((axis) => checkAxis("swapAxes", axis, x.shape.length)) as [number, number];
  return transpose(x, x.shape.map((_, k) => k === i ? j : k === j ? i : k));
}

/** x with the axes `from` at the places `to` of the result, the others in their order; see {@linkcode transpose}. */
export function moveAxis(x: Tensor, from: AxisOrAxes, to: AxisOrAxes): Tensor {
  const rank = x.shape.length;
  const moved = distinctAxes("moveAxis", from, rank), places = distinctAxes("moveAxis", to, rank);
  if (moved.length !== places.length) {
    throw new RangeError(
      `Cannot apply moveAxis: there must be a place for every axis: axes are [${from}], places are [${to}]`,
    );
  }
  const others = x.shape.map((_, i) => i).filter((i) => !moved.includes(i));
  return transpose(x, x.shape.map((_, i) => places.includes(i) ? moved[places.indexOf(i)]! : others.shift()!));
}
