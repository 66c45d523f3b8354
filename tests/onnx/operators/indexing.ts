/** Elements by index. */
import * as ops from "../../../mod.ts";
import { axisOf, type Operator, type Operators } from "../call.ts";
import { sizeOf } from "../types.ts";
import { Value } from "../value.ts";
import { placesOf, stridesOf } from "./shared.ts";

type Tensor = ops.Tensor;

const gather: Operator = (call) => {
  const x = call.value(0), at = call.value(1), axis = axisOf(call.int("axis", 0), x.shape.length);
  const shape = x.shape.toSpliced(axis, 1, ...at.shape);
  return sizeOf(shape) ? Value.from(x.type, ops.take(x.tensor, at.tensor, axis)) : Value.of(x.type, shape, []);
};

/** Indices may be fewer than elements along the other axes, too: those come first. */
const gatherElements: Operator = (call) => {
  const x = call.value(0), at = call.value(1), axis = axisOf(call.int("axis", 0), x.shape.length);
  if (!at.size) return Value.of(x.type, at.shape, []);
  const first = x.shape.reduce((y, _, i) => i === axis ? y : ops.slice(y, i, 0, at.shape[i]!), x.tensor);
  return Value.from(x.type, ops.takeAlongAxis(first, at.tensor, axis));
};

/** Places in row-major order of tuples of indices along the last axis, negative ones from the end: i32. */
function flatPlaces(tuples: Tensor, lengths: readonly number[]): Tensor {
  const strides = stridesOf(lengths), rank = tuples.shape.length - 1;
  const parts = lengths.map((n, i) => {
    const at = ops.cast(ops.squeeze(ops.slice(tuples, rank, i, i + 1), rank), "i32");
    return ops.multiply(ops.where(ops.less(at, 0), ops.add(at, n), at), strides[i]!);
  });
  return parts.reduce(ops.add);
}

const gatherND: Operator = (call) => {
  const x = call.value(0), at = call.x(1), shared = call.int("batch_dims", 0), depth = at.shape.at(-1)!;
  const batch = sizeOf(x.shape.slice(0, shared)),
    lengths = x.shape.slice(shared, shared + depth),
    rest = x.shape.slice(shared + depth);
  const own = flatPlaces(ops.reshape(at, [batch, at.size / batch / depth, depth]), lengths);
  const row = ops.add(own, ops.multiply(ops.cast(ops.iota([batch, 1], 0), "i32"), sizeOf(lengths)));
  const rows = ops.reshape(x.tensor, [batch * sizeOf(lengths), ...rest]);
  return Value.from(x.type, ops.take(rows, ops.reshape(row, at.shape.slice(0, -1)), 0));
};

/**
 * x [length] with updates at places, both [count]: put there, or added, multiplied, the larger or smaller one taken. What is put
 * twice to one place is not defined.
 */
export function scattered(x: Tensor, places: Tensor, updates: Tensor, reduction: string): Tensor {
  const length = x.size, count = places.size;
  if (reduction === "none") {
    const numbers = ops.add(ops.cast(ops.iota([count], 0), "f32"), 1); // exact below 2^24; 0 where nothing is put
    const source = ops.scatterAdd(numbers, places, length);
    const taken = ops.take(updates, ops.cast(ops.maximum(ops.subtract(source, 1), 0), "u32"), 0);
    return ops.where(source, taken, x);
  }
  if (reduction === "add" && x.dtype === "f32") return ops.add(x, ops.scatterAdd(updates, places, length));
  const hits = ops.equal(ops.reshape(places, [1, count]), ops.cast(ops.iota([length, 1], 0), "i32"));
  const kinds = { add: [ops.sum, 0], mul: [ops.prod, 1], max: [ops.max, 0], min: [ops.min, 0] } as const;
  const [reduce, neutral] = kinds[reduction as keyof typeof kinds];
  const column = ops.reshape(x, [length, 1]), row = ops.reshape(updates, [1, count]);
  // Largest and smallest of an element and its updates: the element itself stands where there is none.
  const other = reduction === "max" || reduction === "min" ? column : ops.full([], neutral, x.dtype);
  const reduced = reduce(ops.where(hits, row, other), { axes: [1] });
  if (reduction === "add") return ops.add(x, reduced);
  return reduction === "mul" ? ops.multiply(x, reduced) : (reduction === "max" ? ops.maximum : ops.minimum)(x, reduced);
}

/** Scattering into a value, in its shape and type. */
function scatter(x: Value, places: Tensor, updates: Tensor, reduction: string): Value {
  const flat = (t: Tensor): Tensor => ops.reshape(t, [t.size]);
  return Value.from(x.type, ops.reshape(scattered(flat(x.tensor), flat(places), flat(updates), reduction), x.shape));
}

const scatterElements: Operator = (call) => {
  const x = call.value(0), at = call.value(1), axis = axisOf(call.int("axis", 0), x.shape.length);
  if (!at.size) return x;
  const strides = stridesOf(x.shape), given = ops.cast(at.tensor, "i32"), n = x.shape[axis]!;
  const places = at.shape.map((_, i) => {
    const along = i === axis
      ? ops.where(ops.less(given, 0), ops.add(given, n), given)
      : ops.cast(ops.iota(at.shape, i), "i32");
    return ops.multiply(along, strides[i]!);
  }).reduce(ops.add);
  return scatter(x, places, call.x(2), call.string("reduction", "none"));
};

const scatterND: Operator = (call) => {
  const x = call.value(0), at = call.value(1), depth = at.shape.at(-1)!, rest = sizeOf(x.shape.slice(depth));
  if (!at.size) return x;
  const row = ops.reshape(flatPlaces(at.tensor, x.shape.slice(0, depth)), [at.size / depth, 1]);
  const places = ops.add(ops.multiply(row, rest), ops.cast(ops.iota([at.size / depth, rest], 1), "i32"));
  return scatter(x, places, call.x(2), call.string("reduction", "none"));
};

/** Updates of a cache [batch, ...] along an axis, from an index of each example on; circular ones begin again at 0. */
const tensorScatter: Operator = async (call) => {
  const cache = call.value(0), update = call.value(1), axis = axisOf(call.int("axis", -2), cache.shape.length);
  const from = await call.numbers(2), circular = call.string("mode", "linear") === "circular", n = cache.shape[axis]!;
  const strides = stridesOf(cache.shape);
  const places = placesOf(update.shape).map((p) => {
    const along = p[axis]! + (from?.[p[0]!] ?? 0);
    return p.with(axis, circular ? along % n : along).reduce((sum, at, i) => sum + at * strides[i]!, 0);
  });
  return scatter(cache, ops.tensor(Int32Array.from(places), [places.length]), update.tensor, "none");
};

/** The elements of an axis, or of all, whose condition is true. */
const compress: Operator = async (call) => {
  const x = call.value(0), chosen = (await call.numbers(1))!.flatMap((c, i) => c ? [i] : []);
  const axis = call.has("axis") ? axisOf(call.int("axis", 0), x.shape.length) : undefined;
  const from = axis === undefined ? x.reshaped([x.size], ops.reshape) : x,
    shape = from.shape.with(axis ?? 0, chosen.length);
  if (!sizeOf(shape)) return Value.of(x.type, shape, []);
  return Value.from(x.type, ops.take(from.tensor, ops.tensor(Int32Array.from(chosen), [chosen.length]), axis ?? 0));
};

/** The first `count` of the indices that sort a condition, true ones first. */
const truePlaces = (flags: Tensor, count: number): Tensor =>
  ops.slice(ops.argsort(flags, { descending: true }), 0, 0, count);

/** [rank, count]: how many there are is read on the host. */
const nonZero: Operator = async (call) => {
  const x = call.value(0), rank = x.shape.length;
  if (!x.size) return Value.of("int64", [rank, 0], []);
  const flags = ops.notEqual(ops.reshape(x.tensor, [x.size]), ops.full([], 0, x.tensor.dtype)),
    count = await ops.item(ops.sum(flags));
  if (!count) return Value.of("int64", [rank, 0], []);
  const flat = truePlaces(flags, count), strides = stridesOf(x.shape);
  const rows = x.shape.map((n, i) => ops.remainder(ops.floorDivide(flat, strides[i]!), n));
  return Value.from("int64", rank ? ops.stack(rows) : ops.zeros([0, count]));
};

/** Slices that differ, the first place of each, to which each slice belongs, how many of each there are. */
const unique: Operator = async (call) => {
  const x = call.value(0), axis = call.has("axis") ? axisOf(call.int("axis", 0), x.shape.length) : undefined;
  const moved = axis === undefined ? ops.reshape(x.tensor, [x.size]) : ops.moveAxis(x.tensor, axis, 0);
  const n = moved.shape[0]!, rows = ops.reshape(moved, [n, x.size / n]), order = lexicographic(rows);
  const sorted = ops.take(rows, order, 0);
  const starts = n === 1 ? ops.ones([1]) : ops.concat([
    ops.ones([1]),
    ops.any(ops.notEqual(ops.slice(sorted, 0, 1, n), ops.slice(sorted, 0, 0, n - 1)), { axes: [1] }),
  ], 0);
  const groups = await ops.item(ops.sum(starts)), first = ops.take(order, truePlaces(starts, groups), 0);
  const group = ops.cast(ops.subtract(ops.cumsum(starts), 1), "u32"); // of each sorted row
  const back = ops.argsort(order), counts = ops.scatterAdd(ops.ones([n]), group, groups);
  const rank = call.flag("sorted", true) ? ops.iota([groups], 0) : ops.argsort(first);
  const place = ops.take(ops.argsort(rank), ops.take(group, back, 0), 0), firsts = ops.take(first, rank, 0);
  const y = ops.take(moved, firsts, 0);
  return [
    Value.from(x.type, axis === undefined ? y : ops.moveAxis(y, 0, axis)),
    ...[firsts, place, ops.take(counts, rank, 0)].map((t) => Value.from("int64", t)),
  ];
};

/** The order of rows by their first column, then the second, ...: stable sorts from the last column on. */
function lexicographic(rows: Tensor): Tensor {
  const [n, columns] = rows.shape as [number, number];
  let order: Tensor = ops.iota([n], 0);
  for (let c = columns - 1; c >= 0; c--) {
    const column = ops.reshape(ops.slice(rows, 1, c, c + 1), [n]);
    order = ops.take(order, ops.argsort(ops.take(column, order, 0)), 0);
  }
  return order;
}

/** Columns of the last axis. */
const arrayFeatureExtractor: Operator = (call) => {
  const x = call.value(0), y = ops.take(x.tensor, ops.reshape(call.x(1), [call.value(1).size]), -1);
  return Value.from(x.type, x.shape.length === 1 ? ops.reshape(y, [1, y.size]) : y);
};

/** The table. */
export const indexing: Operators = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  Scatter: scatterElements,
  ScatterElements: scatterElements,
  ScatterND: scatterND,
  TensorScatter: tensorScatter,
  Compress: compress,
  NonZero: nonZero,
  Unique: unique,
  "ai.onnx.ml.ArrayFeatureExtractor": arrayFeatureExtractor,
};
