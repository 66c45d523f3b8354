/** Element types of ONNX, and which of ours hold them. */
import type { DType } from "../../mod.ts";

/** What cannot be computed with our ops, and why. */
export class NotExpressible extends Error {
  override readonly name = "NotExpressible";
}

/** Names of TensorProto.DataType by number. */
export const ELEMENT_TYPES = [
  "undefined",
  "float",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "int32",
  "int64",
  "string",
  "bool",
  "float16",
  "double",
  "uint32",
  "uint64",
  "complex64",
  "complex128",
  "bfloat16",
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
  "uint4",
  "int4",
  "float4e2m1",
  "float8e8m0",
  "uint2",
  "int2",
] as const;

/** An element type of ONNX. */
export type ElementType = typeof ELEMENT_TYPES[number];

/** Complex numbers and strings are what is left. */
const FLOATS = /^b?float|^double$/;

/** Whether a type is one of the integers. */
export function isInteger(type: ElementType): boolean {
  return /^u?int/.test(type);
}

/** Whether a type is one of the floats that are represented. */
export function isFloat(type: ElementType): boolean {
  return FLOATS.test(type);
}

/** Bits of an integer type. */
export function bitsOf(type: ElementType): number {
  return Number(/\d+$/.exec(type));
}

/** The least and the largest number of an integer type; those of 64 bits to the precision of a double. */
export function rangeOf(type: ElementType): [number, number] {
  const bits = bitsOf(type);
  return type.startsWith("u") ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}

/**
 * Our element type for one of ONNX.
 *
 * @throws {NotExpressible} for types that have none.
 */
export function dtypeOf(type: ElementType): DType {
  if (isFloat(type) || type === "bool") return "f32";
  if (!isInteger(type)) throw new NotExpressible(`elements of type ${type}`);
  return type.startsWith("u") ? "u32" : "i32";
}

/** Number of elements. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
