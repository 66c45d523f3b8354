/**
 * Floats of 8 and 4 bits (Micikevicius et al. 2022; Noune et al. 2022; the microscaling formats of the Open Compute Project):
 * numbers by their bits, and rounding to them with our ops.
 */
import * as ops from "../../mod.ts";
import type { ElementType } from "./types.ts";

type Tensor = ops.Tensor;

/** How the bits are read. */
interface Format {
  readonly bits: number;
  readonly mantissa: number;
  readonly bias: number;
  /** The codes that are no numbers: those of infinity and NaN behind the finite ones; that of minus zero; none. */
  readonly special: "ieee" | "nan" | "minus zero" | "none";
}

const FORMATS: Partial<Record<ElementType, Format>> = {
  float8e4m3fn: { bits: 8, mantissa: 3, bias: 7, special: "nan" },
  float8e4m3fnuz: { bits: 8, mantissa: 3, bias: 8, special: "minus zero" },
  float8e5m2: { bits: 8, mantissa: 2, bias: 15, special: "ieee" },
  float8e5m2fnuz: { bits: 8, mantissa: 2, bias: 16, special: "minus zero" },
  float4e2m1: { bits: 4, mantissa: 1, bias: 1, special: "none" },
};

/** Whether a type is a float of at most 8 bits. */
export function isSmallFloat(type: ElementType): boolean {
  return type in FORMATS || type === "float8e8m0";
}

/** The number of a code; e8m0 has powers of 2 without a sign, and NaN. */
export function decodeSmallFloat(type: ElementType, code: number): number {
  if (type === "float8e8m0") return code === 255 ? NaN : 2 ** (code - 127);
  const { bits, mantissa, bias, special } = FORMATS[type]!, half = 2 ** (bits - 1), size = code % half;
  if (special === "minus zero" && code === half) return NaN;
  const exponent = size >> mantissa, fraction = (size % 2 ** mantissa) / 2 ** mantissa;
  const number = exponent ? (1 + fraction) * 2 ** (exponent - bias) : fraction * 2 ** (1 - bias);
  const highest = half / 2 ** mantissa - 1;
  if (special === "ieee" && exponent === highest) return fraction ? NaN : code < half ? Infinity : -Infinity;
  if (special === "nan" && size === half - 1) return NaN;
  return code < half ? number : -number;
}

/** All finite numbers from 0 on, in order. */
function magnitudes(type: ElementType): number[] {
  const codes = type === "float8e8m0" ? 256 : 2 ** (FORMATS[type]!.bits - 1);
  return Array.from({ length: codes }, (_, code) => decodeSmallFloat(type, code)).filter(Number.isFinite);
}

/** What lies beyond the largest number by half a step or more: that number, or what the type has in its place. */
function overflow(type: ElementType, largest: number, saturate: boolean): number {
  if (saturate || type === "float4e2m1") return largest;
  return type === "float8e5m2" ? Infinity : NaN;
}

/**
 * x rounded to the numbers of a type, of two equally near ones to the one with an even code: how many of the borders between
 * neighbours |x| has passed is its place among them. For e8m0 `mode` is "up", "down" or "nearest". e2m1 has no NaN, but 0 for it.
 */
export function roundToSmallFloat(x: Tensor, type: ElementType, saturate: boolean, mode: string): Tensor {
  const numbers = magnitudes(type), last = numbers.length - 1, scale = type === "float8e8m0";
  const next = [...numbers.slice(1), scale ? 2 ** 128 : 2 * numbers[last]! - numbers[last - 1]!];
  const borders = numbers.map((v, i) =>
    !scale || mode === "nearest" ? (v + next[i]!) / 2 : mode === "up" ? v : next[i]!
  );
  const upAtBorder = (i: number): boolean => scale ? mode !== "up" : i % 2 === 1;
  const size = ops.expandDims(ops.abs(x), x.shape.length);
  const passed = [true, false].map((closed) => {
    const own = borders.filter((_, i) => upAtBorder(i) === closed);
    if (!own.length) return ops.zerosLike(x);
    const row = ops.tensor(Float32Array.from(own));
    return ops.sum(closed ? ops.greaterEqual(size, row) : ops.greater(size, row), { axes: [-1] });
  });
  const table = ops.tensor(Float32Array.from([...numbers, overflow(type, numbers[last]!, saturate)]));
  const rounded = ops.take(table, ops.cast(ops.add(passed[0]!, passed[1]!), "u32"), 0);
  const signed = scale ? rounded : ops.where(ops.less(x, 0), ops.negate(rounded), rounded);
  return ops.where(ops.isNaN(x), type === "float4e2m1" ? 0 : NaN, signed);
}
