/**
 * Hyper-dual numbers in float64, and arrays of them: a value with its derivatives in two directions and the mixed second derivative, exact
 * but for rounding (Fike and Alonso 2011).
 */
import { sizeOf } from "../../src/program/graph.ts";

/** a + b e1 + c e2 + d e1 e2, where e1^2 = e2^2 = 0. */
export type HyperDual = readonly [a: number, b: number, c: number, d: number];

/** An array in row-major order. */
export interface Duals {
  readonly shape: readonly number[];
  readonly data: readonly HyperDual[];
}

export const constant = (x: number): HyperDual => [x, 0, 0, 0];

export const plus = (x: HyperDual, y: HyperDual): HyperDual => [x[0] + y[0], x[1] + y[1], x[2] + y[2], x[3] + y[3]];

export const times = ([a, b, c, d]: HyperDual, [e, f, g, h]: HyperDual): HyperDual => [
  a * e,
  a * f + b * e,
  a * g + c * e,
  a * h + b * g + c * f + d * e,
];

/** A smooth function of a value, its first and its second derivative. */
export type Smooth = (x: number) => readonly [value: number, first: number, second: number];

/** A function applied to a number. */
export function smooth(f: Smooth, [a, b, c, d]: HyperDual): HyperDual {
  const [value, first, second] = f(a);
  return [value, first * b, first * c, first * d + second * b * c];
}

export const exponential: Smooth = (x) => [Math.exp(x), Math.exp(x), Math.exp(x)];
export const logarithm: Smooth = (x) => [Math.log(x), 1 / x, -1 / x ** 2];
export const reciprocal: Smooth = (x) => [1 / x, -1 / x ** 2, 2 / x ** 3];
export const inverseRoot: Smooth = (x) => [x ** -0.5, -0.5 * x ** -1.5, 0.75 * x ** -2.5];

export const total = (x: readonly HyperDual[]): HyperDual => x.reduce(plus, constant(0));
export const scaled = (x: HyperDual, factor: number): HyperDual => times(x, constant(factor));
export const minus = (x: HyperDual, y: HyperDual): HyperDual => plus(x, scaled(y, -1));

/** An array whose element at each place is `f` of the place. */
export function filled(shape: readonly number[], f: (place: readonly number[]) => HyperDual): Duals {
  const data = Array.from({ length: sizeOf(shape) }, (_, i) => {
    const place = shape.map(() => 0);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place[axis] = i % shape[axis]!, i = Math.floor(i / shape[axis]!);
    }
    return f(place);
  });
  return { shape, data };
}

/** The element at a place; axes of length 1, and those that are missing in front, are broadcast. */
export function elementOf({ shape, data }: Duals, place: readonly number[]): HyperDual {
  const extra = place.length - shape.length;
  return data[shape.reduce((at, n, axis) => at * n + (n === 1 ? 0 : place[axis + extra]!), 0)]!;
}

/** The elements along an axis that belong to a place of the other axes. */
export function lineOf(x: Duals, place: readonly number[], axis: number): HyperDual[] {
  return Array.from({ length: x.shape[axis]! }, (_, i) => elementOf(x, place.with(axis, i)));
}
