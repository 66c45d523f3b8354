/**
 * Element-wise ops with NumPy broadcasting. Each is a WGSL expression and a gradient rule; the planner makes kernels of chains of them.
 *
 * Operands have one element type; mixed ones are refused, but f16 counts as f32, which the result then is. Integers are
 * exact modulo 2^32.
 *
 * NaN operands give NaN. WGSL may assume that there are none, and min, max and clamp drop them, so that functions made
 * of these look at the bits (`kernels/elementwise.wgsl`). Comparisons with NaN, sign() and gradients at NaN promise
 * nothing.
 *
 * @module
 */
import { apply, type Aval, type DType, type Node, type Op, Tensor } from "../program/graph.ts";
import { elementwise } from "./_batch.ts";
import { broadcastShapes } from "./_broadcast.ts";
import { ANY_TYPE, checkAxis, checkInput } from "./_check.ts";
import { full } from "./full.ts";
import { sumTo } from "./reduce.ts";

/** A tensor, or a number that is broadcast to the other operand. */
export type Operand = Tensor | number;

/** What differs between uses of one element-wise op. */
export interface Attrs {
  readonly uniforms?: readonly number[];
  readonly shape?: readonly number[];
  readonly dtype?: DType;
}

/** A gradient rule; what it gives is summed to the shapes of the inputs. */
export type Rule = (ct: Tensor, inputs: readonly Tensor[], result: Tensor, attrs: Attrs) => (Tensor | null)[];

/** WGSL for the element types of the first input. */
interface Texts {
  readonly float?: string;
  readonly i32: string;
  readonly u32: string;
}

/** An element-wise op of a WGSL expression; without `dtype` its type is that of its inputs. */
export function define(name: string, text: string | Texts, rule?: Rule, dtype?: DType): Op<Attrs> {
  return {
    name,
    infer: (inputs, attrs) => {
      const common = commonType(name, inputs), shape = attrs.shape ?? broadcastShapes(name, inputs.map((i) => i.shape));
      return [{ shape, dtype: attrs.dtype ?? dtype ?? common }];
    },
    batch: elementwise,
    expression: ({ uniforms }, [x]) => ({ text: textFor(text, x), ...(uniforms ? { uniforms } : {}) }),
    ...(rule
      ? {
        vjp: (node: Node<Attrs>, [ct]: readonly (Tensor | null)[]) =>
          rule(ct!, node.inputs, new Tensor(node as Node), node.attrs)
            .map((g, i) => g && sumTo(g, node.inputs[i]!.shape)),
      }
      : {}),
  };
}

function textFor(text: string | Texts, x: Aval | undefined): string {
  if (typeof text === "string") return text;
  return x!.dtype === "i32" || x!.dtype === "u32" ? text[x!.dtype] : text.float!;
}

function commonType(name: string, inputs: readonly Aval[]): DType {
  const types = new Set(inputs.map((i) => i.dtype === "f16" ? "f32" : i.dtype));
  if (types.size > 1) {
    throw new TypeError(
      `Cannot apply ${name}: operands must have one element type: they are ${inputs.map((i) => i.dtype).join(" and ")}`,
    );
  }
  return [...types][0]!;
}

/** A number as a tensor of the type of the other operand. */
export function operand(x: Operand, like: Operand): Tensor {
  return x instanceof Tensor ? x : full([], x, like instanceof Tensor ? like.dtype : "f32");
}

/** A function that applies `op` to tensors and numbers. */
export function binary(op: Op<Attrs>, ofIntegers = op): (a: Operand, b: Operand) => Tensor {
  return (a, b) => {
    const x = operand(a, b);
    return apply(isFloat(x) ? op : ofIntegers, [x, operand(b, a)], {});
  };
}

const floats: readonly DType[] = ["f32", "f16"];
const isFloat = (x: Aval): boolean => floats.includes(x.dtype);

/** A function that applies `op` to a tensor of one of the types. */
export function unary(op: Op<Attrs>, accepted: readonly DType[] = floats): (x: Tensor) => Tensor {
  return (x) => {
    checkInput(op.name, "the operand", x, accepted);
    return apply(op, [x], {});
  };
}

/** WGSL for 1 where a condition holds, else 0. */
export const truth = (condition: string): string => `select(V(0.0), V(1.0), ${condition})`;

const addOp = define("add", "($0 + $1)", (ct) => [ct, ct]);
const subtractOp = define("subtract", "($0 - $1)", (ct) => [ct, negate(ct)]);
const multiplyOp = define("multiply", "($0 * $1)", (ct, [a, b]) => [multiply(ct, b!), multiply(ct, a!)]);
/** WGSL's quotient of integers by 0 is a: here it is 0, as that of floorDivide. */
const quotients: Texts = {
  float: "($0 / $1)",
  i32: "integer_divide($0, $1)",
  u32: "select($0 / max($1, U(1u)), U(0u), $1 == U(0u))",
};
const divideOp = define("divide", quotients, (ct, [, b], y) => [divide(ct, b!), negate(multiply(ct, divide(y, b!)))]);
const maximumRule: Rule = (ct, [a, b]) => [multiply(ct, share(a!, b!)), multiply(ct, share(b!, a!))];
const maximumOp = define("maximum", "maximum($0, $1)", maximumRule);
const maximumOfIntegers = define("maximum", "max($0, $1)", maximumRule);
const minimumRule: Rule = (ct, [a, b]) => [multiply(ct, share(b!, a!)), multiply(ct, share(a!, b!))];
const minimumOp = define("minimum", "minimum($0, $1)", minimumRule);
const minimumOfIntegers = define("minimum", "min($0, $1)", minimumRule);
/** What a takes of the gradient of the larger one: all where it is larger, half where both are equal. */
const share = binary(
  define("share", "select(select(V(0.0), V(1.0), $0 > $1), V(0.5), $0 == $1)", () => [null, null], "f32"),
);
const lessOp = define("less", truth("$0 < $1"), () => [null, null], "f32");
const greaterEqualOp = define("greaterEqual", truth("$0 >= $1"), () => [null, null], "f32");
const equalOp = define("equal", truth("$0 == $1"), () => [null, null], "f32");
const choice = (zero: string): string => `select($2, $1, $0 != ${zero})`;
const whereOp: Op<Attrs> = {
  ...define(
    "where",
    { float: choice("V(0.0)"), i32: choice("I(0)"), u32: choice("U(0u)") },
    (ct, [c]) => [null, where(c!, ct, 0), where(c!, 0, ct)],
  ),
  infer: (inputs) => [{
    shape: broadcastShapes("where", inputs.map((i) => i.shape)),
    dtype: commonType("where", inputs.slice(1)),
  }],
};

/** a + b. */
export const add: (a: Operand, b: Operand) => Tensor = binary(addOp);
/** a - b. */
export const subtract: (a: Operand, b: Operand) => Tensor = binary(subtractOp);
/** a * b. */
export const multiply: (a: Operand, b: Operand) => Tensor = binary(multiplyOp);
/** a / b; of integers rounded towards zero, and 0 where b is 0. */
export const divide: (a: Operand, b: Operand) => Tensor = binary(divideOp);
/**
 * The larger of a and b, NaN if either is, as in NumPy; where they are equal each takes half of the gradient, as in
 * PyTorch and JAX.
 */
export const maximum: (a: Operand, b: Operand) => Tensor = binary(maximumOp, maximumOfIntegers);
/**
 * The smaller of a and b, NaN if either is, as in NumPy; where they are equal each takes half of the gradient, as in
 * PyTorch and JAX.
 */
export const minimum: (a: Operand, b: Operand) => Tensor = binary(minimumOp, minimumOfIntegers);
/** 1 where a < b, else 0 (f32; no gradient). */
export const less: (a: Operand, b: Operand) => Tensor = binary(lessOp);
/** 1 where a >= b, else 0 (f32; no gradient). */
export const greaterEqual: (a: Operand, b: Operand) => Tensor = binary(greaterEqualOp);
/** 1 where a equals b, else 0 (f32; no gradient). Works on integers too. */
export const equal: (a: Operand, b: Operand) => Tensor = binary(equalOp);

/**
 * `a` where `condition` is not 0, else `b`. The gradient goes to the one that was taken; none to the condition.
 *
 * Both are computed, and so are their gradients: what was not taken gets the gradient 0, and 0 times an infinite slope is
 * NaN. `where(c, sqrt(x), 0)` has a NaN gradient at x = 0 even where c is 0, as in JAX. The remedy is to keep such x out
 * of the function with a second `where` inside: `where(c, sqrt(where(c, x, 1)), 0)`.
 *
 * @param condition Any type; where it is NaN either may be taken.
 * @param a Any type; a number has the type of b, and of two numbers f32.
 * @param b The type of a (f16 counts as f32).
 */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  return apply(whereOp, [condition, operand(a, b), operand(b, a)], {});
}

/** The largest f16. */
const LARGEST_F16 = "65504.0";

/** -x; of u32, 2^32 - x. */
export const negate: (x: Tensor) => Tensor = unary(
  define("negate", { float: "(-$0)", i32: "(-$0)", u32: "(U(0u) - $0)" }, (ct) => [negate(ct)]),
  ANY_TYPE,
);
/** e to the x: infinity beyond 88.72283, where it is larger than any f32, and 0 at -infinity; NaN stays NaN. */
export const exp: (x: Tensor) => Tensor = unary(define("exp", "exponential($0)", (ct, _, y) => [multiply(ct, y)]));
/** Natural logarithm of x: -infinity at 0, infinity at infinity, NaN below 0 and at NaN. */
export const log: (x: Tensor) => Tensor = unary(define("log", "natural_logarithm($0)", (ct, [x]) => [divide(ct, x!)]));
/** Square root of x; NaN below 0 and at NaN. */
export const sqrt: (x: Tensor) => Tensor = unary(
  define("sqrt", "sqrt($0)", (ct, _, y) => [divide(multiply(ct, 0.5), y)]),
);
/** x * x. */
export const square: (x: Tensor) => Tensor = unary(
  define("square", "($0 * $0)", (ct, [x]) => [multiply(multiply(ct, 2), x!)]),
);
/** Absolute value; gradient 0 at 0. The smallest i32, -2^31, stays as it is, since 2^31 is no i32. */
export const abs: (x: Tensor) => Tensor = unary(
  define("abs", { float: "abs($0)", i32: "abs($0)", u32: "$0" }, (ct, [x]) => [multiply(ct, sign(x!))]),
  ANY_TYPE,
);
/** -1, 0 or 1; no gradient. */
export const sign: (x: Tensor) => Tensor = unary(
  define("sign", { float: "sign($0)", i32: "sign($0)", u32: "min($0, U(1u))" }, () => [null]),
  ANY_TYPE,
);
/** Hyperbolic tangent, to a relative error of 1e-6; -1 and 1 at the infinities, NaN stays NaN. */
export const tanh: (x: Tensor) => Tensor = unary(
  define("tanh", "hyperbolic_tangent($0)", (ct, _, y) => [multiply(ct, subtract(1, square(y)))]),
);
/** 1 / (1 + e^-x), 0 below -88; 0 and 1 at the infinities, NaN stays NaN. */
export const sigmoid: (x: Tensor) => Tensor = unary(
  define("sigmoid", "logistic($0)", (ct, _, y) => [multiply(ct, multiply(y, subtract(1, y)))]),
);
/** max(x, 0), NaN at NaN; gradient 0 at 0, as in PyTorch and JAX. */
export const relu: (x: Tensor) => Tensor = unary(
  define("relu", "keep_nan(max($0, V(0.0)), $0)", (ct, _, y) => [reluGrad(ct, y)]),
);
/** A gradient where the result is positive. One op, so that nothing is kept for it but that result. */
const reluGrad = binary(define("reluGrad", "select(V(0.0), $0, $1 > V(0.0))", (ct, [, y]) => [reluGrad(ct, y!), null]));
/** The error function; -1 and 1 at the infinities, NaN stays NaN. */
export const erf: (x: Tensor) => Tensor = unary(
  define("erf", "erf($0)", (ct, [x]) => [multiply(ct, multiply(2 / Math.sqrt(Math.PI), exp(negate(square(x!)))))]),
);

/**
 * x limited to [low, high]; infinities too, and NaN stays NaN. The gradient is that of x from `low` to `high`, both
 * included as in PyTorch, and 0 beyond.
 */
export function clamp(x: Tensor, low: number, high: number): Tensor {
  return apply(isFloat(x) ? clampOp : clampOfIntegers, [x, operand(low, x), operand(high, x)], {});
}
const clampRule: Rule = (ct, [x, low, high]) => [
  multiply(ct, multiply(greaterEqual(x!, low!), greaterEqual(high!, x!))),
  null,
  null,
];
const clampOp = define("clamp", "keep_nan(min(max($0, $1), $2), $0)", clampRule);
const clampOfIntegers = define("clamp", "min(max($0, $1), $2)", clampRule);

const castOps: Record<DType, Op<Attrs>> = {
  f32: define("cast", "V($0)", (ct, [x]) => [isFloat(x!) ? ct : null], "f32"),
  f16: define(
    "cast",
    `keep_nan(quantizeToF16(clamp(V($0), V(-${LARGEST_F16}), V(${LARGEST_F16}))), V($0))`, // the same number whether it is stored or stays in a kernel
    (ct, [x]) => [isFloat(x!) ? ct : null],
    "f16",
  ),
  i32: define("cast", "I($0)", () => [null], "i32"),
  u32: define("cast", "U($0)", () => [null], "u32"),
};

/**
 * x converted to another element type: from floats to integers towards zero, to f16 rounded and limited to +-65504,
 * infinities too, and NaN stays NaN; what infinities and NaN become as integers is the adapter's choice.
 * Gradients flow between float types only.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : apply(castOps[dtype], [x], {});
}

const iotaOp: Op<Attrs> = {
  name: "iota",
  infer: (_, { shape }) => [{ shape: shape!, dtype: "u32" }],
  expression: (attrs) => ({ text: "index_along(@, #0, #1)", uniforms: attrs.uniforms!, indexed: true }),
  recompute: true,
};

/** The position along `axis` (negative: from the end) of each element of `shape`, u32. */
export function iota(shape: readonly number[], axis: number): Tensor {
  const at = checkAxis("iota", axis, shape.length);
  const inner = shape.slice(at + 1).reduce((a, b) => a * b, 1);
  return apply(iotaOp, [], { shape, uniforms: [inner, shape[at]!] });
}
