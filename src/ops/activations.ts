/**
 * Activations of neural networks, element by element, as in PyTorch.
 *
 * NaN gives NaN; gradients at NaN and infinities promise nothing. What is x times a function that is 0 at -infinity (gelu,
 * silu, mish, hardSwish) is NaN there, as in PyTorch.
 *
 * @module
 */
import { apply, type Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { checkInput, FLOATS } from "./_check.ts";
import {
  abs,
  add,
  type Attrs,
  clamp,
  define,
  divide,
  exp,
  less,
  minimum,
  multiply,
  negate,
  operand,
  type Rule,
  sigmoid,
  square,
  subtract,
  tanh,
  unary,
  where,
} from "./elementwise.ts";

/** A function of `x` and numbers that differ between uses. */
function withNumbers(op: ReturnType<typeof define>, x: Tensor, ...numbers: readonly number[]): Tensor {
  checkInput(op.name, "the operand", x, FLOATS);
  return apply(op, [x, ...numbers.map((n) => operand(n, x))], {} satisfies Attrs);
}

/** Options of {@linkcode gelu}. */
export interface GeluOptions {
  /** "none" (the default): x * Phi(x). "tanh": 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), as GPT-2 has it. */
  readonly approximate?: "none" | "tanh";
}

/**
 * GELU, x * Phi(x) (Hendrycks and Gimpel 2016), exact with the erf or in its tanh form. Infinity stays; -infinity gives
 * NaN, as in PyTorch.
 */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  const { approximate = "none" } = checkOptions("gelu", options, { approximate: "one" });
  return approximate === "tanh" ? geluTanh(x) : geluErf(x);
}

const geluErf = unary(define("gelu", "($0 * normal_cdf($0))", (ct, [x]) => [multiply(ct, geluDerivative(x!))]));
const geluDerivative = unary(
  define(
    "geluDerivative",
    "fma($0, normal_pdf($0), normal_cdf($0))",
    (ct, [x]) => [multiply(ct, multiply(subtract(2, square(x!)), normalPdf(x!)))],
  ),
);
const normalPdf = unary(define("normalPdf", "normal_pdf($0)", (ct, [x], y) => [multiply(ct, negate(multiply(x!, y)))]));

const CUBIC = 0.044715, SQRT_8_OVER_PI = Math.sqrt(8 / Math.PI);
const geluTanh = unary(
  define("gelu", "($0 * logistic(gelu_tanh_argument($0)))", (ct, [x]) => {
    const t = clamp(x!, -20, 20), squared = square(t); // beyond, the sigmoid is 0 or 1
    const y = sigmoid(multiply(SQRT_8_OVER_PI, multiply(t, add(1, multiply(CUBIC, squared)))));
    const slope = multiply(SQRT_8_OVER_PI, add(1, multiply(3 * CUBIC, squared)));
    return [multiply(ct, multiply(y, add(1, multiply(multiply(t, subtract(1, y)), slope))))];
  }),
);

/** SiLU or Swish, x / (1 + e^-x) (Elfwing, Uchibe and Doya 2017). */
export const silu: (x: Tensor) => Tensor = unary(
  define("silu", "($0 * logistic($0))", (ct, [x]) => {
    const y = sigmoid(x!);
    return [multiply(ct, multiply(y, add(1, multiply(x!, subtract(1, y)))))];
  }),
);
/** log(1 + e^x), without overflow; 0 at -infinity, infinity stays. */
export const softplus: (x: Tensor) => Tensor = unary(
  define("softplus", "softplus($0)", (ct, [x]) => [multiply(ct, sigmoid(x!))]),
);
/** log(sigmoid(x)) = -softplus(-x), without cancellation; -infinity stays, 0 at infinity. */
export const logSigmoid: (x: Tensor) => Tensor = unary(
  define("logSigmoid", "(-softplus(-$0))", (ct, [x]) => [multiply(ct, sigmoid(negate(x!)))]),
);
/** Mish, x * tanh(softplus(x)) (Misra 2019). */
export const mish: (x: Tensor) => Tensor = unary(
  define("mish", "mish($0)", (ct, [x]) => {
    const y = tanh(softplus(x!));
    return [multiply(ct, add(y, multiply(multiply(x!, sigmoid(x!)), subtract(1, square(y)))))];
  }),
);

const leakyReluOp = define(
  "leakyRelu",
  "keep_nan(select($0 * $1, $0, $0 > V(0.0)), $0)",
  (ct, [x, slope]) => [where(less(0, x!), ct, multiply(ct, slope!)), null],
);
/** x above 0, else `slope` x; gradient `slope` at 0. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  return withNumbers(leakyReluOp, x, slope);
}

/** The gradients at 0 are those of the left side. */
const eluRule: Rule = (ct, [x, alpha, scale]) => [
  multiply(multiply(ct, scale!), where(less(0, x!), 1, multiply(alpha!, exp(minimum(x!, 0))))),
  null,
  null,
];
const ELU = "keep_nan($2 * select($1 * exponential_minus_one(min($0, V(0.0))), $0, $0 > V(0.0)), $0)";
const eluOp = define("elu", ELU, eluRule), seluOp = define("selu", ELU, eluRule);
/** x above 0, else `alpha` (e^x - 1) (Clevert, Unterthiner and Hochreiter 2015); -`alpha` at -infinity. */
export function elu(x: Tensor, alpha = 1): Tensor {
  return withNumbers(eluOp, x, alpha, 1);
}
/** ELU with the scales that keep mean 0 and variance 1 (Klambauer et al. 2017, appendix A.1: 1.0507 and 1.6733). */
export function selu(x: Tensor): Tensor {
  return withNumbers(seluOp, x, 1.6732632423543772, 1.0507009873554805);
}

/** 1 where low < x < high, else 0. */
const between = (low: Tensor | number, x: Tensor, high: Tensor | number): Tensor =>
  multiply(less(low, x), less(x, high));
/** x / 6 + 1/2 limited to [0, 1]; gradient 0 at the limits. */
export const hardSigmoid: (x: Tensor) => Tensor = unary(
  define("hardSigmoid", "hard_sigmoid($0)", (ct, [x]) => [multiply(ct, divide(between(-3, x!, 3), 6))]),
);
/** x * hardSigmoid(x) (Howard et al. 2019); gradient 0 at -3, 1 at 3. */
export const hardSwish: (x: Tensor) => Tensor = unary(
  define("hardSwish", "($0 * hard_sigmoid($0))", (ct, [x]) => {
    const inside = divide(multiply(x!, between(-3, x!, 3)), 6);
    return [multiply(ct, add(hardSigmoid(x!), inside))];
  }),
);

const hardTanhOp = define(
  "hardTanh",
  "keep_nan(clamp($0, $1, $2), $0)",
  (ct, [x, low, high]) => [multiply(ct, between(low!, x!, high!)), null, null],
);
/**
 * x limited to [low, high]; as `clamp`, but with gradient 0 at the limits.
 *
 * @throws {RangeError} if `low` is above `high`.
 */
export function hardTanh(x: Tensor, low = -1, high = 1): Tensor {
  if (!(low <= high)) {
    throw new RangeError(`Cannot apply hardTanh: low must not be above high: they are ${low} and ${high}`);
  }
  return withNumbers(hardTanhOp, x, low, high);
}

/** x / (1 + |x|); -1 and 1 at the infinities. */
export const softsign: (x: Tensor) => Tensor = unary(
  define("softsign", "softsign($0)", (ct, [x]) => [divide(ct, square(add(1, abs(x!))))]),
);
