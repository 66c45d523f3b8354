/**
 * Tensors made of a shape and a few numbers. Nothing is stored, and they are computed where they are used, unless an op needs
 * them in memory. Numbers must fit the element type, as those of `full`.
 *
 * @module
 */
import type { DType, Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { ANY_TYPE, checkAxis, checkInput, checkInteger } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { add, cast, equal, iota, less, multiply, subtract, where } from "./elementwise.ts";
import { full } from "./full.ts";
import { broadcastTo } from "./reduce.ts";
import { reshape } from "./shape.ts";

/** 0 everywhere. */
export function zeros(shape: readonly number[], dtype: DType = "f32"): Tensor {
  return full(shape, 0, dtype);
}

/** 1 everywhere. */
export function ones(shape: readonly number[], dtype: DType = "f32"): Tensor {
  return full(shape, 1, dtype);
}

/** `value` everywhere, in the shape and by default in the element type of x. */
export function fullLike(x: Tensor, value: number, dtype: DType = x.dtype): Tensor {
  return full(x.shape, value, dtype);
}

/** 0 everywhere, in the shape and by default in the element type of x. */
export function zerosLike(x: Tensor, dtype: DType = x.dtype): Tensor {
  return full(x.shape, 0, dtype);
}

/** 1 everywhere, in the shape and by default in the element type of x. */
export function onesLike(x: Tensor, dtype: DType = x.dtype): Tensor {
  return full(x.shape, 1, dtype);
}

/**
 * start, start + step, ... up to before `stop`: ceil((stop - start) / step) numbers. Integers are exact; floats are
 * start + i * step in f32. Where step is a fraction, the rounding of that count decides about the last one, as in NumPy:
 * `linspace` takes the count.
 *
 * @throws {RangeError} if a number is not finite, the step is 0, or there is no number.
 */
export function arange(start: number, stop: number, step: number = 1, dtype: DType = "f32"): Tensor {
  const count = Math.ceil((stop - start) / step);
  if (![start, stop, step].every(Number.isFinite) || !(count >= 1 && count < Infinity)) {
    throw new RangeError(
      `Cannot apply arange: steps of finite length must lead from start to stop: they are ${start} to ${stop} by ${step}`,
    );
  }
  const float = dtype === "f32" || dtype === "f16", type = float ? "f32" : dtype;
  full([], start + (count - 1) * step, type); // the last one must fit as well
  const way = cast(multiply(cast(iota([count], 0), float ? "f32" : "u32"), Math.abs(step)), type);
  const first = full([], start, type);
  return cast(step < 0 ? subtract(first, way) : add(first, way), dtype);
}

/**
 * `count` numbers at equal distances, the first `start` and the last `stop`, both exact in f32 (of one number, `start`).
 *
 * @throws {RangeError} if the count is no whole number from 1, or the numbers or their distance are not finite in f32.
 */
export function linspace(start: number, stop: number, count: number): Tensor {
  checkInteger("linspace", "count", count, 1);
  const step = count === 1 ? 0 : (stop - start) / (count - 1);
  if (![start, stop, step].every((v) => Number.isFinite(Math.fround(v)))) {
    throw new RangeError(
      `Cannot apply linspace: start, stop and their distance must be finite in f32: it is from ${start} to ${stop}`,
    );
  }
  const index = cast(iota([count], 0), "f32"), half = count / 2; // each half from its own end, which then is exact
  return where(
    less(index, half),
    add(start, multiply(index, step)),
    subtract(stop, multiply(subtract(count - 1, index), step)),
  );
}

/** Options of {@linkcode oneHot}. */
export interface OneHotOptions {
  /** Where the axis of classes is in the result; negative: from the end. Default: the last. */
  readonly axis?: number;
  /** The number at the index. Default 1. */
  readonly on?: number;
  /** The number elsewhere. Default 0. */
  readonly off?: number;
  /** Element type of the result. Default f32. */
  readonly dtype?: DType;
}

/**
 * `on` where the position along a new axis of `classes` elements is the index, else `off`. An index that is no class has `off`
 * everywhere, as in JAX. No gradient.
 *
 * @param indices i32 or u32, any shape.
 */
export function oneHot(
  indices: Tensor,
  classes: number,
  options: OneHotOptions = {},
): Tensor {
  const kinds = { axis: "one", on: "one", off: "one", dtype: "one" } as const;
  const { axis = -1, on = 1, off = 0, dtype = "f32" } = checkOptions("oneHot", options, kinds);
  checkInput("oneHot", "indices", indices, ["i32", "u32"]);
  checkInteger("oneHot", "classes", classes, 1);
  const at = checkAxis("oneHot", axis, indices.shape.length + 1), own = indices.shape;
  const position = cast(iota([...own.slice(0, at), classes, ...own.slice(at)], at), indices.dtype);
  const hits = equal(reshape(indices, [...own.slice(0, at), 1, ...own.slice(at)]), position);
  return cast(where(hits, full([], on, dtype), full([], off, dtype)), dtype);
}

/** Options of {@linkcode meshgrid}. */
export interface MeshgridOptions {
  /** "xy": the first vector runs along the second axis, and the second along the first; "ij": each along its own. Default "xy". */
  readonly indexing?: "xy" | "ij";
}

/**
 * The coordinates of a grid: one tensor for each vector, of a shape with an axis for each vector, as NumPy's `meshgrid`.
 *
 * @param vectors [length] each, any types; f16 gives f32.
 */
export function meshgrid(vectors: readonly Tensor[], options: MeshgridOptions = {}): Tensor[] {
  const { indexing = "xy" } = checkOptions("meshgrid", options, { indexing: "one" });
  vectors.forEach((v, i) => checkInput("meshgrid", `vector ${i}`, v, ANY_TYPE, ["length"]));
  const swapped = indexing === "xy" && vectors.length > 1;
  const axisOf = (i: number): number => swapped && i < 2 ? 1 - i : i;
  const shape = vectors.map((_, i) => vectors[axisOf(i)]!.size);
  return vectors.map((v, i) =>
    broadcastTo(reshape(asF32(v), shape.map((n, axis) => axis === axisOf(i) ? n : 1)), shape)
  );
}
