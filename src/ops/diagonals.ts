/**
 * Matrices by their diagonals. Diagonal k holds the elements whose column is k more than their row: 0 is the main one,
 * positive ones are above it. More axes in front are batches.
 *
 * @module
 */
import type { DType, Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { ANY_TYPE, checkInput, checkInteger } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { lessEqual } from "./comparisons.ts";
import { zeros } from "./creation.ts";
import { cast, equal, greaterEqual, iota, subtract, where } from "./elementwise.ts";
import { concat, reshape, slice } from "./shape.ts";

/** The diagonal that each element lies on: column less row, i32. */
function diagonalOf(shape: readonly number[]): Tensor {
  return subtract(cast(iota(shape, -1), "i32"), cast(iota(shape, -2), "i32"));
}

/** Options of {@linkcode eye}. */
export interface EyeOptions {
  /** Number of columns. Default: as many as rows. */
  readonly columns?: number;
  /** The diagonal that holds ones. Default 0. */
  readonly diagonal?: number;
  /** Element type. Default f32. */
  readonly dtype?: DType;
}

/** A matrix of `rows` rows that is 1 on a diagonal and 0 elsewhere. */
export function eye(rows: number, options: EyeOptions = {}): Tensor {
  const kinds = { columns: "one", diagonal: "one", dtype: "one" } as const;
  const { columns = rows, diagonal = 0, dtype = "f32" } = checkOptions("eye", options, kinds);
  checkInteger("eye", "rows", rows, 1);
  checkInteger("eye", "columns", columns, 1);
  checkInteger("eye", "diagonal", diagonal);
  return cast(equal(diagonalOf([rows, columns]), diagonal), dtype);
}

/**
 * The lower triangle of each matrix, up to diagonal `k`; 0, whatever x is, above it, and so is the gradient.
 *
 * @param x [..., rows, columns], any type; f16 gives f32.
 */
export function tril(x: Tensor, k: number = 0): Tensor {
  checkInput("tril", "the input", x, ANY_TYPE, ["...", "rows", "columns"]);
  checkInteger("tril", "k", k);
  return where(lessEqual(diagonalOf(x.shape), k), x, 0);
}

/**
 * The upper triangle of each matrix, from diagonal `k` on; 0, whatever x is, below it, and so is the gradient.
 *
 * @param x [..., rows, columns], any type; f16 gives f32.
 */
export function triu(x: Tensor, k: number = 0): Tensor {
  checkInput("triu", "the input", x, ANY_TYPE, ["...", "rows", "columns"]);
  checkInteger("triu", "k", k);
  return where(greaterEqual(diagonalOf(x.shape), k), x, 0);
}

/**
 * Diagonal `k` of each matrix over the last two axes: [..., length].
 *
 * @param x [..., rows, columns], any type; f16 gives f32.
 * @throws {RangeError} if the matrices have no such diagonal.
 */
export function diagonal(x: Tensor, k: number = 0): Tensor {
  checkInput("diagonal", "the input", x, ANY_TYPE, ["...", "rows", "columns"]);
  checkInteger("diagonal", "k", k);
  const [rows, columns] = x.shape.slice(-2) as [number, number], batch = x.shape.slice(0, -2);
  const top = Math.max(0, -k), left = Math.max(0, k), length = Math.min(rows - top, columns - left);
  if (length < 1) {
    throw new RangeError(`Cannot apply diagonal: k must be from ${1 - rows} to ${columns - 1}: it is ${k}`);
  }
  const square = slice(slice(asF32(x), -2, top, top + length), -1, left, left + length);
  const flat = concat([reshape(square, [...batch, length * length]), zeros([...batch, length], square.dtype)], -1);
  const first = slice(reshape(flat, [...batch, length, length + 1]), -1, 0, 1); // in rows one longer, a column
  return reshape(first, [...batch, length]);
}

/**
 * Of a vector, the square matrix with it as diagonal `k` and 0 elsewhere; of a matrix, its {@linkcode diagonal} `k`: NumPy's
 * `diag`.
 *
 * @param x [length] or [rows, columns], any type; f16 gives f32.
 */
export function diag(x: Tensor, k: number = 0): Tensor {
  if (x.shape.length === 2) return diagonal(x, k);
  if (x.shape.length !== 1) {
    throw new RangeError(`Cannot apply diag: the input must be a vector or a matrix: its shape is [${x.shape}]`);
  }
  checkInteger("diag", "k", k);
  const own = asF32(x), gap = k === 0 ? [] : [zeros([Math.abs(k)], own.dtype)];
  const row = concat(k > 0 ? [...gap, own] : [own, ...gap], 0); // what stands on the diagonal of each column
  return where(equal(diagonalOf([row.size, row.size]), k), row, 0);
}
