/** Element by element: arithmetic, comparisons, logic, bits. */
import * as ops from "../../../mod.ts";
import { axisOf, type Call, type Operator, type Operators } from "../call.ts";
import { bitsOf, type ElementType, isFloat, isInteger, NotExpressible } from "../types.ts";
import { Value } from "../value.ts";
import { broadcastShape } from "./shared.ts";

type Tensor = ops.Tensor;

/** An operator on tensors that are broadcast; without `type` results have that of the first input. */
export function elementwise(f: (call: Call, ...inputs: Tensor[]) => Tensor, type?: ElementType): Operator {
  return (call) => {
    const inputs = legacyBroadcast(call), result = type ?? call.type;
    const shape = broadcastShape(...inputs.map((v) => v.shape));
    if (shape.includes(0)) return Value.of(result, shape, []);
    return Value.from(result, f(call, ...inputs.map((v) => v.tensor)));
  };
}

/** Before version 7 the second input was broadcast from the axis `axis` of the first on. */
function legacyBroadcast(call: Call): Value[] {
  const inputs = call.inputs.filter((v) => v !== undefined), [a, b] = inputs;
  if (call.opset >= 7 || !call.flag("broadcast") || !call.has("axis") || !a || !b) return inputs;
  const behind = a.shape.length - axisOf(call.int("axis", 0), a.shape.length) - b.shape.length;
  return [a, b.reshaped([...b.shape, ...Array(behind).fill(1)], ops.reshape)];
}

/** An operator on one tensor. */
const unary = (f: (x: Tensor) => Tensor): Operator => elementwise((_, x) => f(x!));
/** An operator on two tensors. */
const binary = (f: (a: Tensor, b: Tensor) => Tensor, type?: ElementType): Operator =>
  elementwise((_, a, b) => f(a!, b!), type);
/** An operator on any number of tensors. */
const variadic = (f: (a: Tensor, b: Tensor) => Tensor): Operator => elementwise((_, ...xs) => xs.reduce(f));

/** WGSL may take NaN for anything in a comparison: each comparison with NaN is set to what IEEE 754 says. */
const ordered = (f: (a: Tensor, b: Tensor) => Tensor, ofNaN = 0): Operator =>
  elementwise((call, a, b) => {
    const y = f(a!, b!);
    return isFloat(call.type) ? ops.where(ops.logicalOr(ops.isNaN(a!), ops.isNaN(b!)), ofNaN, y) : y;
  }, "bool");

/** Powers have the type of the base. Those of integers are rounded: those beyond 2^24 are not exact. */
const power: Operator = elementwise((call, a, b) => {
  const y = ops.pow(ops.cast(a!, "f32"), ops.cast(b!, "f32"));
  return isInteger(call.type) ? isInteger(call.value(1).type) ? ops.round(y) : ops.trunc(y) : y;
});

/** Remainders have the sign of the divisor, with `fmod` that of the dividend. */
const modulo: Operator = elementwise((call, a, b) => call.flag("fmod") ? ops.fmod(a!, b!) : ops.remainder(a!, b!));

const bitShift: Operator = elementwise((call, a, b) => {
  const direction = call.string("direction", "");
  if (direction === "RIGHT") return ops.rightShift(a!, b!);
  if (direction !== "LEFT") throw new Error(`Cannot run BitShift: direction must be LEFT or RIGHT: it is ${direction}`);
  return ops.leftShift(a!, b!);
});

const isInfinite: Operator = elementwise((call, x) => {
  const side = (name: string, test: (x: Tensor, y: number) => Tensor): Tensor =>
    call.flag(name, true) ? ops.logicalAnd(ops.isInf(x!), test(x!, 0)) : ops.zerosLike(x!);
  return ops.logicalOr(side("detect_positive", ops.greater), side("detect_negative", ops.less));
}, "bool");

/** Limits are attributes before version 11. */
const clip: Operator = (call) => {
  const x = call.value(0),
    limit = (name: string, i: number): ops.Operand | undefined => call.has(name) ? call.float(name, 0) : call.maybe(i);
  if (!x.size) return x;
  const low = limit("min", 1), high = limit("max", 2);
  let y = x.tensor;
  if (low !== undefined) y = ops.maximum(y, low);
  if (high !== undefined) y = ops.minimum(y, high);
  return Value.from(x.type, y);
};

const where: Operator = (call) => {
  const [c, a, b] = [call.value(0), call.value(1), call.value(2)];
  const shape = broadcastShape(c.shape, a.shape, b.shape);
  if (shape.includes(0)) return Value.of(a.type, shape, []);
  return Value.from(a.type, ops.where(c.tensor, a.tensor, b.tensor));
};

/** Kinds of numbers in the order of what can be reinterpreted as what. */
const bitCast: Operator = async (call) => {
  const x = call.value(0), to = call.int("to", 0), { typeOf } = await import("../decode.ts"), type = typeOf(to);
  return Value.of(type, x.shape, reinterpreted(x.type, type, await x.numbers()));
};

const WORDS = {
  bool: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float: Float32Array,
  float16: Float16Array,
} as const;

/** The bits are looked at on the host, where our ops do not: WGSL cannot see those of types narrower than 32 bits. */
function reinterpreted(from: ElementType, to: ElementType, numbers: ArrayLike<number>): number[] {
  const [a, b] = [from, to].map((t) => WORDS[t as keyof typeof WORDS]);
  if (!a || !b) throw new NotExpressible(`bits of ${from} as ${to}`);
  return Array.from(new b(a.from(Array.from(numbers)).buffer));
}

/** Integers of type u32 or i32 that hold the bits of a narrower one: not() of unsigned ones is cut to their bits. */
const bitwiseNot: Operator = elementwise((call, x) =>
  bitsOf(call.type) < 32 && call.type.startsWith("u")
    ? ops.bitwiseXor(x!, 2 ** bitsOf(call.type) - 1)
    : ops.bitwiseNot(x!)
);

/** The table. */
export const elementwiseOperators: Operators = {
  Add: binary(ops.add),
  Sub: binary(ops.subtract),
  Mul: binary(ops.multiply),
  Div: binary(ops.divide),
  Mod: modulo,
  Pow: power,
  Min: variadic(ops.minimum),
  Max: variadic(ops.maximum),
  Sum: variadic(ops.add),
  Mean: elementwise((_, ...xs) => ops.divide(xs.reduce(ops.add), xs.length)),
  Neg: unary(ops.negate),
  Abs: unary(ops.abs),
  Sign: unary(ops.sign),
  Reciprocal: unary(ops.reciprocal),
  Sqrt: unary(ops.sqrt),
  Exp: unary(ops.exp),
  Log: unary(ops.log),
  Erf: unary(ops.erf),
  Sin: unary(ops.sin),
  Cos: unary(ops.cos),
  Tan: unary(ops.tan),
  Asin: unary(ops.asin),
  Acos: unary(ops.acos),
  Atan: unary(ops.atan),
  Sinh: unary(ops.sinh),
  Cosh: unary(ops.cosh),
  Tanh: unary(ops.tanh),
  Asinh: unary(ops.asinh),
  Acosh: unary(ops.acosh),
  Atanh: unary(ops.atanh),
  Floor: unary(ops.floor),
  Ceil: unary(ops.ceil),
  Round: unary(ops.round),
  Equal: ordered(ops.equal),
  Less: ordered(ops.less),
  LessOrEqual: ordered(ops.lessEqual),
  Greater: ordered(ops.greater),
  GreaterOrEqual: ordered(ops.greaterEqual),
  And: binary(ops.logicalAnd, "bool"),
  Or: binary(ops.logicalOr, "bool"),
  Xor: binary(ops.logicalXor, "bool"),
  Not: elementwise((_, x) => ops.logicalNot(x!), "bool"),
  IsNaN: elementwise((_, x) => ops.isNaN(x!), "bool"),
  IsInf: isInfinite,
  BitShift: bitShift,
  BitwiseAnd: binary(ops.bitwiseAnd),
  BitwiseOr: binary(ops.bitwiseOr),
  BitwiseXor: binary(ops.bitwiseXor),
  BitwiseNot: bitwiseNot,
  BitCast: bitCast,
  Clip: clip,
  Where: where,
};
