/**
 * Whole quotients and their remainders, of floats and integers, exact but where a float cannot hold the quotient.
 *
 * Both operands are floats, both i32 or both u32; f16 gives f32. For integers, a quotient or remainder by 0 is 0, as in
 * NumPy, and -2^31 over -1 is -2^31 with remainder 0. Of floats a remainder by 0 or of infinity is NaN, and one by
 * infinity leaves what is less: NumPy's rules.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { binary, define, divide, multiply, negate, type Operand, subtract } from "./elementwise.ts";
import { stopGradient } from "./shape.ts";

/**
 * The largest whole number not above a / b, for floats and integers, as Python's `//`; no gradient.
 *
 * Quotients of floats beyond 2^21 have the error of `divide`; by 0 it is that of `divide` too.
 */
export const floorDivide: (a: Operand, b: Operand) => Tensor = binary(
  define("floorDivide", {
    float: "float_floor_divide($0, $1)",
    i32: "integer_floor_divide($0, $1)",
    u32: "select($0 / max($1, U(1u)), U(0u), $1 == U(0u))",
  }, () => [null, null]),
);

const remainderOfUnsigned = "($0 % max($1, U(1u)))";

/**
 * a - b * floor(a / b), which is 0 or has the sign of b, as Python's `%`, NumPy's and JAX's `remainder`.
 *
 * The gradient for a is 1 and for b -floor(a / b), as if the quotient did not jump.
 */
export const remainder: (a: Operand, b: Operand) => Tensor = binary(
  define(
    "remainder",
    { float: "float_remainder($0, $1)", i32: "integer_remainder($0, $1)", u32: remainderOfUnsigned },
    (ct, [a, b]) => [ct, negate(multiply(ct, floorDivide(a!, b!)))],
  ),
);

/**
 * a - b * trunc(a / b), which is 0 or has the sign of a, as C's, NumPy's and JAX's `fmod`.
 *
 * The gradient for a is 1 and for b -trunc(a / b), as if the quotient did not jump.
 */
export const fmod: (a: Operand, b: Operand) => Tensor = binary(
  define(
    "fmod",
    { float: "float_mod($0, $1)", i32: "integer_mod($0, $1)", u32: remainderOfUnsigned },
    (ct, [a, b], y) => [ct, negate(multiply(ct, stopGradient(divide(subtract(a!, y), b!))))],
  ),
);
