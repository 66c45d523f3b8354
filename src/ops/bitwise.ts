/**
 * Ops on the 32 bits of integers. Both operands are i32 or both u32; no gradients.
 *
 * @module
 */
import { apply, type DType, type Tensor } from "../program/graph.ts";
import { checkInput } from "./_check.ts";
import { define, type Operand, operand, unary } from "./elementwise.ts";

const integers: readonly DType[] = ["i32", "u32"];

function bitwise(name: string, text: Parameters<typeof define>[1]): (a: Operand, b: Operand) => Tensor {
  const op = define(name, text, () => [null, null]);
  return (a, b) => {
    const operands = [operand(a, b), operand(b, a)];
    for (const x of operands) checkInput(name, "the operand", x, integers);
    return apply(op, operands, {});
  };
}

/** The bits that are set in both a and b. */
export const bitwiseAnd: (a: Operand, b: Operand) => Tensor = bitwise("bitwiseAnd", "($0 & $1)");
/** The bits that are set in a or b. */
export const bitwiseOr: (a: Operand, b: Operand) => Tensor = bitwise("bitwiseOr", "($0 | $1)");
/** The bits that are set in exactly one of a and b. */
export const bitwiseXor: (a: Operand, b: Operand) => Tensor = bitwise("bitwiseXor", "($0 ^ $1)");
/** The bits that are not set in x. */
export const bitwiseNot: (x: Tensor) => Tensor = unary(define("bitwiseNot", "(~$0)", () => [null]), integers);

/** a * 2^b modulo 2^32: the bits of a moved up by b; 0 where b is not from 0 to 31, as in NumPy. */
export const leftShift: (a: Operand, b: Operand) => Tensor = bitwise("leftShift", {
  i32: "select(I(0), $0 << (bitcast<U>($1) & U(31u)), bitcast<U>($1) < U(32u))",
  u32: "select(U(0u), $0 << ($1 & U(31u)), $1 < U(32u))",
});
/**
 * floor(a / 2^b): the bits of a moved down by b, copies of the sign moved in for i32, zeros for u32. Where b is not from 0
 * to 31 all bits are what is moved in, as in NumPy.
 */
export const rightShift: (a: Operand, b: Operand) => Tensor = bitwise("rightShift", {
  i32: "($0 >> min(bitcast<U>($1), U(31u)))",
  u32: "select(U(0u), $0 >> ($1 & U(31u)), $1 < U(32u))",
});
