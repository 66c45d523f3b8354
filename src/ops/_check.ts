/**
 * What ops say about inputs that do not fit.
 *
 * @module
 */
import type { Aval, DType } from "../program/graph.ts";

/** Axes that an input must have: lengths, names for any length, and "..." for any number of axes (once). */
export type Axes = readonly (number | string)[];

/** All element types. */
export const ANY_TYPE: readonly DType[] = ["f32", "i32", "u32", "f16"];

/** Element types of floats. */
export const FLOATS: readonly DType[] = ["f32", "f16"];

/**
 * Throws unless an input of the op is there and has one of the element types and these axes (default: any).
 *
 * @throws {TypeError} if its type does not fit or it is missing, {@linkcode RangeError} if its shape does not fit.
 */
export function checkInput(
  op: string,
  role: string,
  given: Aval | undefined,
  dtype: DType | readonly DType[],
  axes?: Axes,
): void {
  const typed = given !== undefined &&
    (typeof dtype === "string" ? dtype === given.dtype : dtype.includes(given.dtype));
  if (typed && (!axes || hasAxes(given.shape, axes))) return;
  const required = typesText(dtype, axes !== undefined) + (axes ? `[${axes}]` : "");
  const found = given ? given.dtype + (axes ? `[${given.shape}]` : "") : "missing";
  throw new (typed ? RangeError : TypeError)(`Cannot apply ${op}: ${role} must be ${required}: it is ${found}`);
}

function typesText(dtype: DType | readonly DType[], axesFollow: boolean): string {
  if (typeof dtype === "string") return dtype;
  const text = dtype.join(" or ");
  return !axesFollow ? text : dtype === ANY_TYPE ? "" : `(${text})`;
}

function hasAxes(shape: readonly number[], axes: Axes): boolean {
  const gap = axes.indexOf("...");
  if (gap < 0) return shape.length === axes.length && startsWith(shape, axes);
  const after = axes.length - gap - 1;
  return shape.length >= gap + after && startsWith(shape, axes.slice(0, gap)) &&
    startsWith(shape.slice(shape.length - after), axes.slice(gap + 1));
}

function startsWith(shape: readonly number[], axes: Axes): boolean {
  return axes.every((axis, i) => typeof axis === "string" || axis === shape[i]);
}

/** `axis` counted from the front; negative ones count from the end. */
export function checkAxis(op: string, axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(at) || at < 0 || at >= rank) {
    throw new RangeError(`Cannot apply ${op}: axis must be an integer from ${-rank} to ${rank - 1}: axis is ${axis}`);
  }
  return at;
}

/** Throws unless a parameter of the op is an integer of 32 bits, and `least` or more. */
export function checkInteger(op: string, role: string, value: number, least: number = -(2 ** 31)): void {
  if (Number.isInteger(value) && value >= least && value < 2 ** 31) return;
  throw new RangeError(
    `Cannot apply ${op}: ${role} must be an integer from ${least} to ${2 ** 31 - 1}: it is ${value}`,
  );
}

/** `axes` (default: all) counted from the front, each once, in order. */
export function checkAxes(op: string, axes: readonly number[] | undefined, rank: number): number[] {
  const all = axes?.map((axis) => checkAxis(op, axis, rank)) ?? Array.from({ length: rank }, (_, i) => i);
  return [...new Set(all)].sort((a, b) => a - b);
}
