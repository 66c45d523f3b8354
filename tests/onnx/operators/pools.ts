/** Pools of any number of axes: by our kernels where they can, else by the elements under the window. */
import * as ops from "../../../mod.ts";
import type { Call, Operator, Operators } from "../call.ts";
import { dtypeOf, sizeOf } from "../types.ts";
import { Value } from "../value.ts";
import { scattered } from "./indexing.ts";
import { indices, placesOf, stridesOf, takeFlat } from "./shared.ts";
import { countsUnder, exactPads, pair, placesUnder, type Window, windowOf } from "./windows.ts";

type Tensor = ops.Tensor;

const windowOver = (call: Call): Window => windowOf(call, call.value(0).shape.slice(2), call.ints("kernel_shape")!);

/** The elements under each position: [batch, channels, positions, elements]. */
const elementsUnder = (x: Tensor, w: Window, fill: number): Tensor =>
  takeFlat(x, w.from.length, placesUnder(w), [sizeOf(w.to), sizeOf(w.kernel)], fill);

/** x with two spatial axes. */
const as2d = (x: Tensor): Tensor => x.shape.length === 3 ? ops.expandDims(x, 2) : x;

const maxPool: Operator = (call) => {
  const x = ops.cast(call.x(0), "f32"),
    w = windowOver(call),
    shape = [...x.shape.slice(0, 2), ...w.to],
    padding = exactPads(w);
  const result = (y: Tensor): Value => Value.from(call.type, ops.cast(ops.reshape(y, shape), dtypeOf(call.type)));
  if (padding && !call.asked[1]) {
    const moves = { stride: pair(w.strides), dilation: pair(w.dilations), padding };
    return result(ops.maxPool2d(as2d(x), pair(w.kernel), moves));
  }
  const under = elementsUnder(x, w, -Infinity), best = ops.argmax(under, { axis: 3 });
  return [
    result(ops.max(under, { axes: [3] })),
    Value.from("int64", ops.reshape(placesOfBest(call, best, w, x.shape), shape)),
  ];
};

/** Where the largest elements are in the whole tensor, by rows or, with `storage_order` 1, by columns. */
function placesOfBest(call: Call, best: Tensor, w: Window, [batch, channels]: readonly number[]): Tensor {
  const columns = call.int("storage_order", 0) === 1, positions = placesOf(w.from);
  const strides = columns ? stridesOf(w.from.toReversed()).toReversed() : stridesOf(w.from), area = sizeOf(w.kernel);
  const numbers = placesUnder(w).map((p) =>
    p < 0 ? 0 : positions[p]!.reduce((sum, at, i) => sum + at * strides[i]!, 0)
  );
  const entry = ops.add(ops.cast(best, "i32"), ops.multiply(ops.cast(ops.iota([1, 1, sizeOf(w.to)], 2), "i32"), area));
  const plane = ops.cast(ops.reshape(ops.iota([batch! * channels!], 0), [batch!, channels!, 1]), "i32");
  return ops.add(ops.take(indices(numbers), entry, 0), ops.multiply(plane, sizeOf(w.from)));
}

const averagePool: Operator = (call) => {
  const x = call.x(0), w = windowOver(call), shape = [...x.shape.slice(0, 2), ...w.to];
  const all = call.flag("count_include_pad"),
    padding = w.ceil || w.dilations.some((d) => d > 1) ? undefined : exactPads(w);
  if (padding) {
    const y = ops.avgPool2d(as2d(x), pair(w.kernel), { stride: pair(w.strides), padding, countIncludePad: all });
    return Value.from(call.type, ops.reshape(y, shape));
  }
  const area = sizeOf(w.kernel), places = placesUnder(w);
  const counts = all
    ? countsUnder(w)
    : Array.from({ length: sizeOf(w.to) }, (_, p) =>
      places.slice(p * area, (p + 1) * area).filter((at) => at >= 0).length);
  const sums = ops.sum(elementsUnder(x, w, 0), { axes: [3] });
  return Value.from(
    call.type,
    ops.reshape(ops.divide(sums, ops.tensor(Float32Array.from(counts), [counts.length])), shape),
  );
};

/** The p-norm of elements along the last axis. */
function pNorm(x: Tensor, p: number): Tensor {
  return ops.pow(ops.sum(ops.pow(ops.abs(x), p), { axes: [-1] }), 1 / p);
}

const lpPool: Operator = (call) => {
  const x = call.x(0), w = windowOver(call);
  const y = pNorm(elementsUnder(x, w, 0), call.has("p") ? call.int("p", 2) || call.float("p", 2) : 2);
  return Value.from(call.type, ops.reshape(y, [...x.shape.slice(0, 2), ...w.to]));
};

/** One position for each plane. */
const globally = (f: (planes: Tensor, call: Call) => Tensor): Operator => (call) => {
  const { shape } = call.value(0), [batch, channels, ...rest] = shape as [number, number];
  const y = f(ops.reshape(call.x(0), [batch, channels, sizeOf(rest)]), call);
  return Value.from(call.type, ops.reshape(y, [batch, channels, ...rest.map(() => 1)]));
};

/** Largest elements back at their places; a larger result than that of the window is filled with 0 behind. */
const maxUnpool: Operator = async (call) => {
  const x = call.value(0),
    kernel = call.ints("kernel_shape")!,
    rank = kernel.length,
    [batch, channels] = x.shape as [number, number];
  const strides = call.ints("strides") ?? kernel.map(() => 1), pads = call.ints("pads") ?? Array(2 * rank).fill(0);
  const own = kernel.map((k, i) => (x.shape[i + 2]! - 1) * strides[i]! + k - pads[i]! - pads[i + rank]!);
  const shape = [batch, channels, ...own], flat = (t: Tensor): Tensor => ops.reshape(t, [t.size]);
  const zeros = ops.zeros([sizeOf(shape)], x.tensor.dtype);
  const y = ops.reshape(scattered(zeros, flat(call.x(1)), flat(x.tensor), "none"), shape),
    wanted = await call.numbers(2);
  return Value.from(x.type, wanted ? ops.pad(y, shape.map((n, i) => [0, Math.max(0, wanted[i]! - n)] as const)) : y);
};

/** The table. */
export const pools: Operators = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  LpPool: lpPool,
  GlobalAveragePool: globally((x) => ops.mean(x, { axes: [2] })),
  GlobalMaxPool: globally((x) => ops.max(x, { axes: [2] })),
  GlobalLpPool: globally((x, call) => pNorm(x, call.int("p", 2))),
  MaxUnpool: maxUnpool,
};
