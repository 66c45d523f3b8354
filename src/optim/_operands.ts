/**
 * Arithmetic on numbers and on tensors alike, so that a schedule is written once for the host and for programs.
 *
 * @module
 */
import { add, divide, less, minimum, multiply, type Operand, subtract, where } from "../ops/elementwise.ts";
import { pow } from "../ops/math.ts";
import { cos } from "../ops/trigonometry.ts";

type Binary = (a: Operand, b: Operand) => Operand;

/** A function of two operands: `ofNumbers` if both are numbers, else `ofTensors`. */
const either = (ofNumbers: (a: number, b: number) => number, ofTensors: Binary): Binary => (a, b) =>
  typeof a === "number" && typeof b === "number" ? ofNumbers(a, b) : ofTensors(a, b);

/** a + b. */
export const plus: Binary = either((a, b) => a + b, add);
/** a - b. */
export const minus: Binary = either((a, b) => a - b, subtract);
/** a * b. */
export const times: Binary = either((a, b) => a * b, multiply);
/** a / b. */
export const over: Binary = either((a, b) => a / b, divide);
/** The smaller one. */
export const least: Binary = either(Math.min, minimum);
/** a to the b. */
export const power: Binary = either(Math.pow, pow);

/** The cosine of x. */
export function cosine(x: Operand): Operand {
  return typeof x === "number" ? Math.cos(x) : cos(x);
}

/** `yes` where a < b, else `no`. */
export function ifLess(a: Operand, b: number, yes: Operand, no: Operand): Operand {
  return typeof a === "number" ? (a < b ? yes : no) : where(less(a, b), yes, no);
}
