/** Shapes: elements move, none is computed. */
import * as ops from "../../../mod.ts";
import { axisOf, type Call, type Operator, type Operators } from "../call.ts";
import { sizeOf } from "../types.ts";
import { Value } from "../value.ts";
import { broadcastShape, indices, joined } from "./shared.ts";

type Tensor = ops.Tensor;

/** 0 keeps the length of the axis of the input, unless `allowzero`; -1 is what is left. */
const reshape: Operator = async (call) => {
  const x = call.value(0), wanted = (await call.list("shape", 1))!, zero = call.flag("allowzero");
  const shape = wanted.map((n, i) => n === 0 && !zero ? x.shape[i]! : n), known = sizeOf(shape.filter((n) => n !== -1));
  return x.reshaped(shape.map((n) => n === -1 ? x.size / Math.max(known, 1) : n), ops.reshape);
};

const flatten: Operator = (call) => {
  const x = call.value(0), axis = call.int("axis", 1), at = axis < 0 ? axis + x.shape.length : axis;
  return x.reshaped([sizeOf(x.shape.slice(0, at)), sizeOf(x.shape.slice(at))], ops.reshape);
};

const squeeze: Operator = async (call) => {
  const x = call.value(0), rank = x.shape.length;
  const axes = (await call.list("axes", 1))?.map((a) => axisOf(a, rank)) ??
    x.shape.flatMap((n, i) => n === 1 ? [i] : []);
  const wrong = axes.find((a) => x.shape[a] !== 1);
  if (wrong !== undefined) {
    throw new RangeError(`Cannot squeeze axis ${wrong}: its length must be 1: it is ${x.shape[wrong]}`);
  }
  return x.reshaped(x.shape.filter((_, i) => !axes.includes(i)), ops.reshape);
};

const unsqueeze: Operator = async (call) => {
  const x = call.value(0), given = (await call.list("axes", 1))!, rank = x.shape.length + given.length;
  const axes = new Set(given.map((a) => axisOf(a, rank))), rest = [...x.shape];
  return x.reshaped(Array.from({ length: rank }, (_, i) => axes.has(i) ? 1 : rest.shift()!), ops.reshape);
};

const transpose: Operator = (call) => {
  const x = call.value(0), order = call.ints("perm") ?? x.shape.map((_, i) => x.shape.length - 1 - i);
  const shape = order.map((i) => x.shape[i]!);
  return x.size ? Value.from(x.type, ops.transpose(x.tensor, order)) : Value.of(x.type, shape, []);
};

/** Parts without elements add nothing; before version 4 the axis is 1 by default. */
const concat: Operator = (call) => {
  const parts = call.inputs.filter((v) => v !== undefined), first = parts[0]!;
  const axis = axisOf(call.int("axis", 1), first.shape.length), full = parts.filter((p) => p.size);
  if (full.length) return Value.from(first.type, joined(full.map((p) => p.tensor), axis));
  return Value.of(first.type, first.shape.with(axis, parts.reduce((n, p) => n + p.shape[axis]!, 0)), []);
};

/** Lengths of the parts, or equal parts, of which the last may be shorter; as many as there are results. */
const split: Operator = async (call) => {
  const x = call.value(0), axis = axisOf(call.int("axis", 0), x.shape.length), length = x.shape[axis]!;
  const parts = call.int("num_outputs", call.asked.length), each = Math.ceil(length / parts);
  const lengths = await call.list("split", 1) ??
    Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(each, length - i * each)));
  let start = 0;
  return lengths.map((n) => part(x, axis, start, start += n));
};

/** The elements from `start` to `end` along an axis. */
function part(x: Value, axis: number, start: number, end: number): Value {
  const shape = x.shape.with(axis, end - start);
  return sizeOf(shape) ? Value.from(x.type, ops.slice(x.tensor, axis, start, end)) : Value.of(x.type, shape, []);
}

/** Python's slices: bounds beyond the ends are cut to them. */
const slice: Operator = async (call) => {
  const x = call.value(0), rank = x.shape.length;
  const starts = (await call.list("starts", 1))!, ends = (await call.list("ends", 2))!;
  const axes = (await call.list("axes", 3) ?? starts.map((_, i) => i)).map((a) => axisOf(a, rank));
  const steps = await call.numbers(4) ?? starts.map(() => 1);
  const shape = [...x.shape];
  const ranges = axes.map((axis, i) => {
    const length = x.shape[axis]!, step = steps[i]!, [least, most] = step > 0 ? [0, length] : [-1, length - 1];
    const bound = (b: number): number => Math.min(Math.max(b < 0 ? b + length : b, least), most);
    const start = bound(starts[i]!), end = bound(ends[i]!), count = Math.max(0, Math.ceil((end - start) / step));
    shape[axis] = count;
    return { axis, start, step, count };
  });
  if (!sizeOf(shape)) return Value.of(x.type, shape, []);
  const stopped = ranges.map(({ axis, start, step, count }) => {
    const stop = start + step * (count - 1) + Math.sign(step);
    return { axis, start, step, ...(stop < 0 ? {} : { stop }) };
  });
  return Value.from(x.type, ops.strided(x.tensor, stopped));
};

const expand: Operator = async (call) => {
  const x = call.value(0), shape = broadcastShape(x.shape, (await call.numbers(1))!);
  return sizeOf(shape) ? Value.from(x.type, ops.broadcastTo(x.tensor, shape)) : Value.of(x.type, shape, []);
};

/** Before version 6: `tiles` times along one axis. */
const tile: Operator = async (call) => {
  const x = call.value(0), counts = (await call.numbers(1))!;
  const axis = call.inputs[2] && axisOf((await call.numbers(2))![0]!, x.shape.length);
  const times = axis === undefined ? counts : x.shape.map((_, i) => i === axis ? counts[0]! : 1);
  const shape = x.shape.map((n, i) => n * times[i]!);
  return sizeOf(shape) ? Value.from(x.type, ops.tile(x.tensor, times)) : Value.of(x.type, shape, []);
};

/** [start, end) of the lengths of the axes. */
const shape: Operator = (call) => {
  const { shape } = call.value(0);
  const part = shape.slice(call.int("start", 0), call.int("end", shape.length));
  return Value.of("int64", [part.length], part);
};

/** [batch, channels, height, width] to blocks of channels, `mode` says which axis of the channels is outside. */
const depthToSpace: Operator = (call) => {
  const x = call.x(0), b = call.int("blocksize", 1), [n, c, h, w] = x.shape as [number, number, number, number];
  const rest = c / b / b, columnRow = call.string("mode", "DCR") === "CRD";
  const blocks = ops.reshape(x, columnRow ? [n, rest, b, b, h, w] : [n, b, b, rest, h, w]);
  const moved = ops.transpose(blocks, columnRow ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2]);
  return Value.from(call.type, ops.reshape(moved, [n, rest, h * b, w * b]));
};

const spaceToDepth: Operator = (call) => {
  const x = call.x(0), b = call.int("blocksize", 1), [n, c, h, w] = x.shape as [number, number, number, number];
  const moved = ops.transpose(ops.reshape(x, [n, c, h / b, b, w / b, b]), [0, 3, 5, 1, 2, 4]);
  return Value.from(call.type, ops.reshape(moved, [n, c * b * b, h / b, w / b]));
};

const trilu: Operator = async (call) => {
  const x = call.value(0), [given = 0] = await call.numbers(1) ?? [];
  if (!x.size) return x;
  const most = Math.max(...x.shape.slice(-2)), k = Math.min(Math.max(given, -most), most);
  return Value.from(x.type, call.flag("upper", true) ? ops.triu(x.tensor, k) : ops.tril(x.tensor, k));
};

/** The first `lengths[b]` elements of each sequence in reverse order. */
const reverseSequence: Operator = async (call) => {
  const x = call.value(0), lengths = (await call.numbers(1))!;
  const time = call.int("time_axis", 0), batch = call.int("batch_axis", 1);
  const at = lengths.flatMap((n) => Array.from({ length: x.shape[time]! }, (_, t) => t < n ? n - 1 - t : t));
  const grid = ops.moveAxis(indices(at, [lengths.length, x.shape[time]!]), [0, 1], batch < time ? [0, 1] : [1, 0]);
  const aligned = ops.reshape(grid, x.shape.map((n, i) => i === time || i === batch ? n : 1));
  return Value.from(x.type, ops.takeAlongAxis(x.tensor, aligned, time));
};

/** The table. */
export const shapes: Operators = {
  Identity: (call: Call) => call.value(0),
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Expand: expand,
  Tile: tile,
  Shape: shape,
  Size: (call) => Value.of("int64", [], [call.value(0).size]),
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  Trilu: trilu,
  ReverseSequence: reverseSequence,
};
