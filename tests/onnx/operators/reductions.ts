/** Reductions, sums along axes, order. */
import * as ops from "../../../mod.ts";
import { axisOf, type Call, type Operator, type Operators } from "../call.ts";
import { type ElementType, isInteger, rangeOf, sizeOf } from "../types.ts";
import { Value } from "../value.ts";
import { filled } from "./shared.ts";

type Tensor = ops.Tensor;
type Axes = { readonly axes: readonly number[]; readonly keepDims: boolean };

/** A reduction; `empty` is what it makes of no elements. */
function reduction(f: (x: Tensor, axes: Axes) => Tensor, empty: (type: ElementType) => number): Operator {
  return async (call) => {
    const x = call.value(0), given = await call.list("axes", 1), rank = x.shape.length;
    const none = !given?.length, keepDims = call.flag("keepdims", true);
    const axes = none
      ? call.flag("noop_with_empty_axes") ? [] : x.shape.map((_, i) => i)
      : given.map((a) => axisOf(a, rank));
    if (x.size) return Value.from(x.type, f(x.tensor, { axes, keepDims }));
    const shape = x.shape.flatMap((n, i) => !axes.includes(i) ? [n] : keepDims ? [1] : []);
    return filled(x.type, shape, empty(x.type));
  };
}

const lowest = (type: ElementType): number => isInteger(type) ? rangeOf(type)[0] : type === "bool" ? 0 : -Infinity;
const highest = (type: ElementType): number => isInteger(type) ? rangeOf(type)[1] : type === "bool" ? 1 : Infinity;

/** Means of integers are rounded towards zero. */
const mean = (x: Tensor, axes: Axes): Tensor => {
  if (x.dtype === "f32") return ops.mean(x, axes);
  return ops.divide(ops.sum(x, axes), sizeOf(axes.axes.map((a) => x.shape[a]!)));
};

/** Square roots of integers are computed in f32. */
const norm2 = (x: Tensor, axes: Axes): Tensor => ops.sqrt(ops.cast(ops.sum(ops.multiply(x, x), axes), "f32"));
const logSum = (x: Tensor, axes: Axes): Tensor => ops.log(ops.cast(ops.sum(x, axes), "f32"));
const logSumExp = (x: Tensor, axes: Axes): Tensor => axes.axes.length ? ops.logSumExp(ops.cast(x, "f32"), axes) : x;

function arg(f: typeof ops.argmax): Operator {
  return (call) => {
    const x = call.x(0), axis = axisOf(call.int("axis", 0), x.shape.length), keepDims = call.flag("keepdims", true);
    if (!call.flag("select_last_index")) return Value.from("int64", f(x, { axis, keepDims }));
    return Value.from(
      "int64",
      ops.subtract(x.shape[axis]! - 1, ops.cast(f(ops.flip(x, axis), { axis, keepDims }), "i32")),
    );
  };
}

/** Sums or products up to each element. Those of integers of 64 bits are taken modulo 2^32. */
function scan(f: (x: Tensor, options: ops.ScanOptions) => Tensor): Operator {
  return async (call) => {
    const x = call.value(0), [axis = 0] = await call.numbers(1) ?? [];
    const options = {
      axis: axisOf(axis, x.shape.length),
      exclusive: call.flag("exclusive"),
      reverse: call.flag("reverse"),
    };
    return Value.from(x.type, f(x.tensor, options));
  };
}

/** Products of integers are computed in f32, exact below 2^24. */
const cumprod = (x: Tensor, options: ops.ScanOptions): Tensor =>
  x.dtype === "f32" ? ops.cumprod(x, options) : ops.cast(ops.round(ops.cumprod(ops.cast(x, "f32"), options)), x.dtype);

/** The k largest or smallest along an axis and where they are; of equal ones the first. */
const topK: Operator = async (call) => {
  const x = call.value(0), axis = axisOf(call.int("axis", -1), x.shape.length);
  const k = call.has("k") ? call.int("k", 1) : (await call.numbers(1))![0]!;
  if (!k) return [Value.of(x.type, x.shape.with(axis, 0), []), Value.of("int64", x.shape.with(axis, 0), [])];
  if (call.flag("largest", true)) {
    const [values, at] = ops.topK(x.tensor, k, { axis });
    return [Value.from(x.type, values), Value.from("int64", at)];
  }
  const at = ops.slice(ops.argsort(x.tensor, { axis }), axis, 0, k);
  return [Value.from(x.type, ops.takeAlongAxis(x.tensor, at, axis)), Value.from("int64", at)];
};

/** Norms along an axis divide it; where the norm is 0 the result is 0. */
const lpNormalization: Operator = (call) => {
  const x = call.x(0), axis = axisOf(call.int("axis", -1), x.shape.length), axes = { axes: [axis], keepDims: true };
  const norm = call.int("p", 2) === 1 ? ops.sum(ops.abs(x), axes) : ops.sqrt(ops.sum(ops.square(x), axes));
  return Value.from(call.type, ops.where(ops.greater(norm, 0), ops.divide(x, norm), 0));
};

/** (x - mean) / standard deviation over axes. */
const meanVariance: Operator = (call: Call) => {
  const x = call.x(0), axes = { axes: call.ints("axes") ?? [0, 2, 3], keepDims: true };
  const d = ops.subtract(x, ops.mean(x, axes)), deviation = ops.sqrt(ops.mean(ops.square(d), axes));
  return Value.from(call.type, ops.divide(d, ops.add(deviation, 1e-9)));
};

/** The table. */
export const reductions: Operators = {
  ReduceSum: reduction(ops.sum, () => 0),
  ReduceMean: reduction(mean, () => NaN),
  ReduceProd: reduction(ops.prod, () => 1),
  ReduceMax: reduction(ops.max, lowest),
  ReduceMin: reduction(ops.min, highest),
  ReduceL1: reduction((x, axes) => ops.sum(ops.abs(x), axes), () => 0),
  ReduceL2: reduction(norm2, () => 0),
  ReduceSumSquare: reduction((x, axes) => ops.sum(ops.multiply(x, x), axes), () => 0),
  ReduceLogSum: reduction(logSum, () => -Infinity),
  ReduceLogSumExp: reduction(logSumExp, () => -Infinity),
  ArgMax: arg(ops.argmax),
  ArgMin: arg(ops.argmin),
  CumSum: scan(ops.cumsum),
  CumProd: scan(cumprod),
  TopK: topK,
  LpNormalization: lpNormalization,
  MeanVarianceNormalization: meanVariance,
};
