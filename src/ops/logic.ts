/**
 * Logic on truth values: an element is true unless it is 0; NaN is true, as in NumPy.
 *
 * Operands may have any types, also two, and are broadcast. All give 1 for true and 0 for false, in f32, as the
 * comparisons do, and have no gradient.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { truth } from "./any.ts";
import { notEqual } from "./comparisons.ts";
import { maximum, multiply, type Operand, operand, subtract } from "./elementwise.ts";

function logical(combine: (a: Tensor, b: Tensor) => Tensor): (a: Operand, b: Operand) => Tensor {
  return (a, b) => combine(truth(operand(a, 0)), truth(operand(b, 0)));
}

/** 1 where a and b are not 0, else 0 (f32; no gradient). */
export const logicalAnd: (a: Operand, b: Operand) => Tensor = logical(multiply);
/** 1 where a or b is not 0, else 0 (f32; no gradient). */
export const logicalOr: (a: Operand, b: Operand) => Tensor = logical(maximum);
/** 1 where exactly one of a and b is not 0, else 0 (f32; no gradient). */
export const logicalXor: (a: Operand, b: Operand) => Tensor = logical(notEqual);
/** 1 where x is 0, else 0 (f32; no gradient). */
export function logicalNot(x: Tensor): Tensor {
  return subtract(1, truth(x));
}
