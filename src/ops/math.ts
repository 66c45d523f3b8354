/**
 * Powers, exponentials, logarithms and rounding, element by element.
 *
 * NaN gives NaN unless a function says otherwise; gradients at NaN promise nothing. Adapters may take subnormal numbers, those
 * below 1.2e-38, for 0.
 *
 * @module
 */
import { type Op, Tensor } from "../program/graph.ts";
import { checkInput, FLOATS } from "./_check.ts";
import {
  add,
  type Attrs,
  binary,
  define,
  divide,
  equal,
  exp,
  log,
  multiply,
  negate,
  type Operand,
  type Rule,
  square,
  subtract,
  unary,
  where,
} from "./elementwise.ts";

/** As `binary`, for floats alone. */
export function binaryOfFloats(op: Op<Attrs>): (a: Operand, b: Operand) => Tensor {
  const apply = binary(op);
  return (a, b) => {
    for (const x of [a, b]) if (x instanceof Tensor) checkInput(op.name, "the operand", x, FLOATS);
    return apply(a, b);
  };
}

const powOp: Op<Attrs> = define("pow", "power($0, $1)", (ct, [x, y], z) => {
  const undefinedSlope = multiply(equal(x!, 0), equal(y!, 0)); // of x^0 at 0, where 0 x^-1 is 0 times infinity
  return [
    multiply(ct, multiply(y!, pow(x!, subtract(where(undefinedSlope, 1, y!), 1)))),
    multiply(ct, multiply(z, logOrZero(x!))),
  ];
});

/** log x, but 0 at 0. */
function logOrZero(x: Tensor): Tensor {
  const zero = equal(x, 0);
  return where(zero, 0, log(where(zero, 1, x)));
}

/**
 * x to the y, to a relative error of 2e-6. As in NumPy a negative x needs a whole y, else it is NaN; 0 to a negative y is
 * infinity; x to the 0 and 1 to the y are 1, even of NaN, and other powers of NaN are NaN.
 *
 * The gradient of x is 0 where y is 0; that of y is 0 where x is 0, and NaN where x is negative, as in PyTorch.
 */
export const pow: (x: Operand, y: Operand) => Tensor = binaryOfFloats(powOp);

/** 1 / sqrt(x): infinity at 0, 0 at infinity, NaN below 0 and at NaN. */
export const rsqrt: (x: Tensor) => Tensor = unary(
  define("rsqrt", "inverseSqrt($0)", (ct, _, y) => [multiply(ct, multiply(-0.5, multiply(y, square(y))))]),
);
/** 1 / x: infinity at 0, with the sign of the zero, and 0 at the infinities. */
export const reciprocal: (x: Tensor) => Tensor = unary(
  define("reciprocal", "(1.0 / $0)", (ct, _, y) => [multiply(ct, negate(square(y)))]),
);

/** 2 to the x, exact for whole x; infinity from 128 on, and 0 at -infinity. */
export const exp2: (x: Tensor) => Tensor = unary(
  define("exp2", "exponential2($0)", (ct, _, y) => [multiply(ct, multiply(y, Math.LN2))]),
);
/** e to the x, minus 1, to a relative error of 1e-6 near 0; -1 at -infinity, and infinity beyond 88.72283. */
export const expm1: (x: Tensor) => Tensor = unary(
  define("expm1", "exponential_minus_one($0)", (ct, [x]) => [multiply(ct, exp(x!))]),
);
/** Logarithm of x to the base 2, exact for powers of 2: -infinity at 0, infinity at infinity, NaN below 0. */
export const log2: (x: Tensor) => Tensor = unary(
  define("log2", "logarithm2($0)", (ct, [x]) => [divide(multiply(ct, Math.LOG2E), x!)]),
);
/** log(1 + x), to a relative error of 1e-6 near 0: -infinity at -1, infinity at infinity, NaN below -1. */
export const log1p: (x: Tensor) => Tensor = unary(
  define("log1p", "logarithm_of_one_plus($0)", (ct, [x]) => [divide(ct, add(x!, 1))]),
);
/**
 * The inverse of the error function, to a relative error of 2e-6 for |x| up to 0.999999 (there x itself, an f32, is coarse);
 * the infinities at -1 and 1, NaN beyond.
 */
export const erfInv: (x: Tensor) => Tensor = unary(
  define(
    "erfInv",
    "inverse_error_function($0)",
    (ct, _, y) => [multiply(ct, multiply(Math.sqrt(Math.PI) / 2, exp(square(y))))],
  ),
);

const flat: Rule = () => [null];
/** The largest whole number that is not above x; no gradient. */
export const floor: (x: Tensor) => Tensor = unary(define("floor", "keep_nan(floor($0), $0)", flat));
/** The smallest whole number that is not below x; no gradient. */
export const ceil: (x: Tensor) => Tensor = unary(define("ceil", "keep_nan(ceil($0), $0)", flat));
/** The whole number next to x, of two the even one, as in NumPy; no gradient. */
export const round: (x: Tensor) => Tensor = unary(define("round", "keep_nan(round($0), $0)", flat));
/** x without what is behind the point; no gradient. */
export const trunc: (x: Tensor) => Tensor = unary(define("trunc", "keep_nan(trunc($0), $0)", flat));
