/** Results whose elements are elements of inputs, as float64 references. */
import type { Values } from "./check_op.ts";

/** All places of a shape in row-major order. */
export function places(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (all, n) => all.flatMap((front) => Array.from({ length: n }, (_, i) => [...front, i])),
    [[]],
  );
}

/** The element of `x` at a place. */
export function elementAt({ data, shape }: Values, place: readonly number[]): number {
  return data[place.reduce((at, i, axis) => at * shape[axis]! + i, 0)]!;
}

/** The elements of a result of `shape`: at each place that of the input `of` at `from`. */
export function indexed(
  shape: readonly number[],
  of: (place: number[]) => Values,
  from: (place: number[]) => readonly number[],
): number[] {
  return places(shape).map((place) => elementAt(of(place), from(place)));
}
