/**
 * Circular and hyperbolic functions and their inverses, element by element, in radians.
 *
 * The relative error is below 1e-6, sin, cos and tan of arguments of any size included: the kernels do not use WGSL's own
 * functions, which promise less. NaN gives NaN; gradients at NaN and infinities promise nothing.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import {
  abs,
  add,
  define,
  divide,
  equal,
  maximum,
  multiply,
  negate,
  type Operand,
  square,
  subtract,
  unary,
  where,
} from "./elementwise.ts";
import { binaryOfFloats, reciprocal, rsqrt } from "./math.ts";
import { stopGradient } from "./shape.ts";

/** 1 - x^2, exact near its zeros. */
const oneMinusSquare = (x: Tensor): Tensor => multiply(subtract(1, x), add(1, x));

/** Sine of x; NaN at the infinities. */
export const sin: (x: Tensor) => Tensor = unary(define("sin", "sine($0)", (ct, [x]) => [multiply(ct, cos(x!))]));
/** Cosine of x; NaN at the infinities. */
export const cos: (x: Tensor) => Tensor = unary(
  define("cos", "cosine($0)", (ct, [x]) => [multiply(ct, negate(sin(x!)))]),
);
/** Tangent of x; NaN at the infinities. */
export const tan: (x: Tensor) => Tensor = unary(
  define("tan", "tangent($0)", (ct, _, y) => [multiply(ct, add(1, square(y)))]),
);
/** The angle from -pi/2 to pi/2 whose sine is x; NaN beyond -1 and 1. */
export const asin: (x: Tensor) => Tensor = unary(
  define("asin", "arcsine($0)", (ct, [x]) => [multiply(ct, rsqrt(oneMinusSquare(x!)))]),
);
/** The angle from 0 to pi whose cosine is x; NaN beyond -1 and 1. */
export const acos: (x: Tensor) => Tensor = unary(
  define("acos", "arccosine($0)", (ct, [x]) => [negate(multiply(ct, rsqrt(oneMinusSquare(x!))))]),
);
/** The angle from -pi/2 to pi/2 whose tangent is x; these at the infinities. */
export const atan: (x: Tensor) => Tensor = unary(
  define("atan", "arctangent($0)", (ct, [x]) => [multiply(ct, reciprocal(add(1, square(x!))))]),
);

const atan2Op = define("atan2", "arctangent2($0, $1)", (ct, [y, x]) => {
  // x / (x^2 + y^2), which may neither overflow nor be 0 / 0: with both scaled by the larger
  const larger = maximum(abs(x!), abs(y!)), size = stopGradient(where(equal(larger, 0), 1, larger));
  const [v, u] = [divide(y!, size), divide(x!, size)];
  const scale = divide(ct, multiply(size, maximum(add(square(u), square(v)), 0.5)));
  return [multiply(scale, u), negate(multiply(scale, v))];
});
/**
 * The angle of the point (x, y), from -pi to pi, at zeros and infinities as in NumPy: the signs of zeros count. The gradient
 * at the origin is 0.
 */
export const atan2: (y: Operand, x: Operand) => Tensor = binaryOfFloats(atan2Op);

/** Hyperbolic sine of x; infinite beyond 89.41598. */
export const sinh: (x: Tensor) => Tensor = unary(
  define("sinh", "hyperbolic_sine($0)", (ct, [x]) => [multiply(ct, cosh(x!))]),
);
/** Hyperbolic cosine of x; infinite beyond 89.41598. */
export const cosh: (x: Tensor) => Tensor = unary(
  define("cosh", "hyperbolic_cosine($0)", (ct, [x]) => [multiply(ct, sinh(x!))]),
);
/** The number whose hyperbolic sine is x; the infinities stay. */
export const asinh: (x: Tensor) => Tensor = unary(
  define("asinh", "inverse_hyperbolic_sine($0)", (ct, [x]) => [multiply(ct, rsqrt(add(square(x!), 1)))]),
);
/** The number from 0 on whose hyperbolic cosine is x; NaN below 1. */
export const acosh: (x: Tensor) => Tensor = unary(
  define("acosh", "inverse_hyperbolic_cosine($0)", (ct, [x]) => [
    multiply(ct, multiply(rsqrt(subtract(x!, 1)), rsqrt(add(x!, 1)))),
  ]),
);
/** The number whose hyperbolic tangent is x; infinite at -1 and 1, NaN beyond. */
export const atanh: (x: Tensor) => Tensor = unary(
  define("atanh", "inverse_hyperbolic_tangent($0)", (ct, [x]) => [divide(ct, oneMinusSquare(x!))]),
);
