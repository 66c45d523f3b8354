/** Values out of numbers: constants, ranges, conversions. */
import * as ops from "../../../mod.ts";
import type { Call, Operator, Operators } from "../call.ts";
import { typeOf } from "../decode.ts";
import { dtypeOf, type ElementType, isFloat, isInteger, NotExpressible } from "../types.ts";
import { Value } from "../value.ts";
import { isSmallFloat, roundToSmallFloat } from "../float8.ts";
import { filled } from "./shared.ts";

const constant: Operator = (call) => {
  const t = call.tensor("value");
  if (t) return t;
  const floats = call.floats("value_floats"), ints = call.ints("value_ints");
  if (call.has("value_float")) return Value.of("float", [], [call.float("value_float", 0)]);
  if (call.has("value_int")) return Value.of("int64", [], [call.int("value_int", 0)]);
  if (call.has("value_floats")) return Value.of("float", [floats!.length], floats!);
  if (call.has("value_ints")) return Value.of("int64", [ints!.length], ints!);
  throw new NotExpressible("constants that are strings or sparse");
};

const constantOfShape: Operator = async (call) => {
  const value = call.tensor("value"), [x = 0] = value ? Array.from(await value.numbers()) : [];
  return filled(value?.type ?? "float", (await call.numbers(0))!, x);
};

/** max(0, ceil((limit - start) / delta)) numbers. */
const range: Operator = async (call) => {
  const [start, limit, delta] = await Promise.all([0, 1, 2].map(async (i) => (await call.numbers(i))![0]!));
  const count = Math.max(0, Math.ceil((limit! - start!) / delta!)), type = call.type;
  if (!count) return Value.of(type, [0], []);
  const steps = ops.cast(ops.iota([count], 0), dtypeOf(type));
  return Value.from(type, ops.add(ops.multiply(steps, call.x(2)), call.x(0)));
};

const eyeLike: Operator = (call) => {
  const { type, shape: [rows, columns] } = call.value(0);
  const to = call.has("dtype") ? typeOf(call.int("dtype", 1)) : type;
  const k = call.int("k", 0);
  return Value.from(to, ops.eye(rows!, { columns: columns!, diagonal: k, dtype: dtypeOf(to) }));
};

/** Indices from -depth to depth - 1; others give `off` everywhere. */
const oneHot: Operator = async (call) => {
  const [depth] = await call.numbers(1) ?? [], [off, on] = await call.numbers(2) ?? [], { type } = call.value(2);
  const given = ops.cast(call.x(0), "i32"),
    at = ops.where(ops.less(given, 0), ops.add(given, Math.trunc(depth!)), given);
  const y = ops.oneHot(at, Math.trunc(depth!), { axis: call.int("axis", -1) });
  return Value.from(type, ops.where(y, ops.full([], on!, dtypeOf(type)), ops.full([], off!, dtypeOf(type))));
};

/** To another element type, as NumPy does: floats towards zero, integers modulo the size of the type. */
export function converted(x: Value, to: ElementType, saturate = true, mode = "up"): Value {
  if (to === "string") throw new NotExpressible("strings");
  const dtype = dtypeOf(to);
  if (!x.size) return Value.of(to, x.shape, []);
  const t = x.tensor, float = isFloat(x.type);
  if (isSmallFloat(to)) return Value.from(to, roundToSmallFloat(ops.cast(t, "f32"), to, saturate, mode));
  if (to === "bool") {
    return Value.from(to, float ? ops.logicalOr(ops.notEqual(t, 0), ops.isNaN(t)) : ops.notEqual(t, 0));
  }
  if (!isInteger(to) || !float) return Value.from(to, ops.cast(t, dtype));
  // What is negative has no u32 but, modulo 2^32, one as i32.
  return Value.from(
    to,
    dtype === "u32"
      ? ops.where(ops.less(t, 0), ops.cast(ops.cast(t, "i32"), "u32"), ops.cast(t, "u32"))
      : ops.cast(t, dtype),
  );
}

const cast = (call: Call, to: ElementType): Value =>
  converted(call.value(0), to, call.flag("saturate", true), call.string("round_mode", "up"));

/** The table. */
export const creation: Operators = {
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Range: range,
  EyeLike: eyeLike,
  OneHot: oneHot,
  Cast: (call) => cast(call, typeOf(call.int("to", 1))),
  CastLike: (call) => cast(call, call.value(1).type),
};
