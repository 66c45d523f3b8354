/** Elements around a tensor. */
import * as ops from "../../../mod.ts";
import { axisOf, type Operator, type Operators } from "../call.ts";
import { sizeOf } from "../types.ts";
import { Value } from "../value.ts";
import { filled, indices } from "./shared.ts";

type Tensor = ops.Tensor;

/** Amounts below 0 cut elements off; mode "wrap" goes on at the other end. Amounts: all befores, then all behinds. */
const pad: Operator = async (call) => {
  const x = call.value(0), rank = x.shape.length, amounts = (await call.list("pads", 1) ?? call.ints("paddings"))!;
  const axes = (await call.numbers(3))?.map((a) => axisOf(a, rank)) ?? x.shape.map((_, i) => i);
  const value = call.has("value") ? call.float("value", 0) : (await call.numbers(2))?.[0] ?? 0;
  const sides = x.shape.map((_, axis): [number, number] => {
    const i = axes.indexOf(axis);
    return i < 0 ? [0, 0] : [amounts[i]!, amounts[i + axes.length]!];
  });
  return padded(x, sides, call.string("mode", "constant"), value);
};

function padded(x: Value, sides: readonly (readonly [number, number])[], mode: string, value: number): Value {
  const shape = x.shape.map((n, i) => n + sides[i]![0] + sides[i]![1]);
  if (!sizeOf(shape)) return Value.of(x.type, shape, []);
  if (mode === "constant") {
    if (!x.size) return filled(x.type, shape, value);
    const cut = sides.reduce(
      (y, [a, b], i) => ops.slice(y, i, Math.max(0, -a), y.shape[i]! - Math.max(0, -b)),
      x.tensor,
    );
    return Value.from(
      x.type,
      ops.pad(cut, sides.map(([a, b]) => [Math.max(0, a), Math.max(0, b)] as const), { value }),
    );
  }
  return Value.from(x.type, sides.reduce((y, [before], axis) => around(y, axis, before, shape[axis]!, mode), x.tensor));
}

/** Elements along an axis, which goes on at both ends as `mode` says. */
function around(x: Tensor, axis: number, before: number, length: number, mode: string): Tensor {
  const n = x.shape[axis]!, period = Math.max(1, 2 * (n - 1));
  if (before === 0 && length === n) return x;
  const at = Array.from({ length }, (_, i) => {
    const p = i - before, mirrored = ((p % period) + period) % period;
    if (mode === "edge") return Math.min(Math.max(p, 0), n - 1);
    return mode === "wrap" ? ((p % n) + n) % n : Math.min(mirrored, period - mirrored);
  });
  return ops.take(x, indices(at), axis);
}

/** Around the middle, cut or filled with 0. */
const centerCropPad: Operator = async (call) => {
  const x = call.value(0), rank = x.shape.length, wanted = (await call.numbers(1))!;
  const axes = call.ints("axes")?.map((a) => axisOf(a, rank)) ?? x.shape.map((_, i) => i);
  const sides = x.shape.map((n, axis): [number, number] => {
    const i = axes.indexOf(axis), more = i < 0 ? 0 : wanted[i]! - n;
    const before = more < 0 ? -Math.floor(-more / 2) : Math.floor(more / 2);
    return [before, more - before];
  });
  return padded(x, sides, "constant", 0);
};

/** The table. */
export const padding: Operators = { Pad: pad, CenterCropPad: centerCropPad };
