/**
 * Comparisons beside those of elementwise.ts, and what kind of number an element is.
 *
 * All give 1 for true and 0 for false, in f32, and have no gradient. Integers are compared exactly. Comparisons with NaN
 * promise nothing, since WGSL may assume that there is none; `isNaN`, `isFinite` and `isInf` look at the bits.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { binary, define, type Operand, truth, unary } from "./elementwise.ts";

const comparison = (name: string, condition: string): (a: Operand, b: Operand) => Tensor =>
  binary(define(name, truth(condition), () => [null, null], "f32"));

/** 1 where a > b, else 0 (f32; no gradient). */
export const greater: (a: Operand, b: Operand) => Tensor = comparison("greater", "$0 > $1");
/** 1 where a <= b, else 0 (f32; no gradient). */
export const lessEqual: (a: Operand, b: Operand) => Tensor = comparison("lessEqual", "$0 <= $1");
/** 1 where a is not equal to b, else 0 (f32; no gradient). */
export const notEqual: (a: Operand, b: Operand) => Tensor = comparison("notEqual", "$0 != $1");

/** A test of the bits without the sign: those of infinity are 0x7f800000, and larger ones are NaN. */
const bitTest = (name: string, condition: string): (x: Tensor) => Tensor =>
  unary(define(name, truth(`(bitcast<U>($0) & U(0x7fffffffu)) ${condition} U(0x7f800000u)`), () => [null]));

/** 1 where x is NaN, else 0 (f32; no gradient). x: f32 or f16. */
export const isNaN: (x: Tensor) => Tensor = bitTest("isNaN", ">");
/** 1 where x is infinite, else 0 (f32; no gradient). x: f32 or f16. */
export const isInf: (x: Tensor) => Tensor = bitTest("isInf", "==");
/** 1 where x is a number, 0 where it is infinite or NaN (f32; no gradient). x: f32 or f16. */
export const isFinite: (x: Tensor) => Tensor = bitTest("isFinite", "<");
