/** Numbers as integers with a scale and a zero point. */
import * as ops from "../../../mod.ts";
import { axisOf, type Call, type Operator, type Operators } from "../call.ts";
import { typeOf } from "../decode.ts";
import { dtypeOf, type ElementType, isFloat, rangeOf } from "../types.ts";
import { Value } from "../value.ts";
import { converted } from "./creation.ts";
import { convolution } from "./convolutions.ts";
import { windowOf } from "./windows.ts";

type Tensor = ops.Tensor;

const f32 = (x: Tensor): Tensor => ops.cast(x, "f32");

/** A scale or zero point for all of x, for each element of an axis, or for each block of elements of it. */
function overAxis(t: Tensor, x: readonly number[], axis: number, block: number): Tensor {
  if (t.size === 1) return ops.reshape(t, []);
  if (!block) return ops.reshape(t, x.map((n, i) => i === axis ? n : 1));
  return ops.slice(ops.repeat(t, block, axis), axis, 0, x[axis]!);
}

/** Rounded to even, and limited to the numbers of the type, an integer or a small float. */
function quantized(x: Tensor, scale: Tensor, zero: Tensor, type: ElementType): Value {
  if (isFloat(type)) return converted(Value.from("float", ops.add(ops.divide(x, scale), zero)), type);
  const y = ops.add(ops.round(ops.divide(x, scale)), zero);
  return Value.from(type, ops.cast(ops.clamp(y, ...rangeOf(type)), dtypeOf(type)));
}

const dequantized = (x: Tensor, scale: Tensor, zero: Tensor): Tensor => ops.multiply(ops.subtract(f32(x), zero), scale);

/** Scale and zero point in f32, as x broadcasts them. */
function spread(call: Call, scaleAt: number): [Tensor, Tensor] {
  const { shape } = call.value(0), axis = shape.length ? axisOf(call.int("axis", 1), Math.max(shape.length, 2)) : 0;
  const own = (t: Tensor): Tensor => overAxis(f32(t), shape, axis, call.int("block_size", 0));
  return [own(call.x(scaleAt)), call.inputs[scaleAt + 1] ? own(call.x(scaleAt + 1)) : ops.full([], 0)];
}

const quantize: Operator = (call) => {
  const asked = call.int("output_dtype", 0), type = call.inputs[2]?.type ?? (asked ? typeOf(asked) : "uint8");
  const [scale, zero] = spread(call, 1);
  return quantized(call.x(0), scale, zero, type);
};

const dequantize: Operator = (call) => {
  const asked = call.int("output_dtype", 0), [scale, zero] = spread(call, 1);
  return Value.from(asked ? typeOf(asked) : call.value(1).type, dequantized(call.x(0), scale, zero));
};

/** The range of x, with 0 in it, as the 256 numbers of uint8. */
const dynamic: Operator = (call) => {
  const x = call.x(0), low = ops.minimum(ops.min(x), 0), high = ops.maximum(ops.max(x), 0);
  const scale = ops.divide(ops.subtract(high, low), 255);
  const zero = ops.clamp(ops.round(ops.divide(ops.negate(low), scale)), 0, 255);
  return [quantized(x, scale, zero, "uint8"), Value.from("float", scale), Value.from("uint8", ops.cast(zero, "u32"))];
};

/** A zero point of each row of a left matrix, or each column of a right one. */
function zeroOf(t: Tensor | undefined, side: "rows" | "columns"): Tensor {
  if (!t) return ops.full([], 0);
  if (t.size === 1) return ops.reshape(f32(t), []);
  return t.shape.length === 1 && side === "rows" ? ops.reshape(f32(t), [t.size, 1]) : f32(t);
}

/** Sums are computed in f32: exact below 2^24. */
const matmulInteger: Operator = (call) => {
  const a = ops.subtract(f32(call.x(0)), zeroOf(call.maybe(2), "rows")),
    b = ops.subtract(f32(call.x(1)), zeroOf(call.maybe(3), "columns"));
  return Value.from("int32", ops.cast(ops.matmul(a, b), "i32"));
};

const matmulQuantized: Operator = (call) => {
  const side = (i: number, way: "rows" | "columns"): Tensor =>
    ops.multiply(ops.subtract(f32(call.x(i)), zeroOf(call.x(i + 2), way)), zeroOf(call.x(i + 1), way));
  const y = ops.matmul(side(0, "rows"), side(3, "columns"));
  return quantized(y, zeroOf(call.x(6), "rows"), zeroOf(call.x(7), "rows"), call.value(7).type);
};

/** A weight's scale or zero point, for all or for each output. */
const ofOutputs = (t: Tensor): Tensor =>
  t.size === 1 ? ops.reshape(f32(t), []) : ops.reshape(f32(t), [t.size, 1, 1, 1]);

function convOf(call: Call, x: Tensor, weight: Tensor): Tensor {
  return convolution(x, weight, windowOf(call, x.shape.slice(2), weight.shape.slice(2)), call.int("group", 1));
}

const convInteger: Operator = (call) => {
  const [zeroX, zeroW] = [call.maybe(2), call.maybe(3)];
  const x = zeroX ? ops.subtract(f32(call.x(0)), zeroOf(zeroX, "rows")) : f32(call.x(0));
  const weight = zeroW ? ops.subtract(f32(call.x(1)), ofOutputs(zeroW)) : f32(call.x(1));
  return Value.from("int32", ops.cast(convOf(call, x, weight), "i32"));
};

const convQuantized: Operator = (call) => {
  const x = ops.subtract(f32(call.x(0)), zeroOf(call.x(2), "rows")),
    weight = ops.subtract(f32(call.x(3)), ofOutputs(call.x(5)));
  const bias = call.maybe(8),
    channels = (t: Tensor): Tensor => t.size === 1 ? ops.reshape(t, []) : ops.reshape(t, [1, t.size, 1, 1]);
  const sums = convOf(call, x, weight), scale = ops.multiply(zeroOf(call.x(1), "rows"), channels(f32(call.x(4))));
  const y = ops.multiply(bias ? ops.add(sums, channels(f32(bias))) : sums, scale);
  return quantized(y, zeroOf(call.x(6), "rows"), zeroOf(call.x(7), "rows"), call.value(7).type);
};

/** The table. */
export const quantisation: Operators = {
  QuantizeLinear: quantize,
  DequantizeLinear: dequantize,
  DynamicQuantizeLinear: dynamic,
  MatMulInteger: matmulInteger,
  QLinearMatMul: matmulQuantized,
  ConvInteger: convInteger,
  QLinearConv: convQuantized,
};
