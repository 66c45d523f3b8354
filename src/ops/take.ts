/**
 * Elements along any axis by index, as in NumPy, and the sums of elements by index that are the gradient.
 *
 * Indices are from -length to length - 1, negative ones counting from the end. The GPU does not refuse others, but reads
 * nothing for them: their results are NaN or another number that is given, and their gradients are left out (JAX's rule).
 *
 * @module
 */
import source from "../../kernels/take.wgsl" with { type: "text" };
import { apply, type DType, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { type BatchRule, firstAxis, leadingAxis, nextAxis } from "./_batch.ts";
import { rowsAlong } from "./_axis.ts";
import { checkAxis, checkInput } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { flatKernel } from "./_rows.ts";
import { checkIds, lowerSums } from "./_sums_by_id.ts";
import { takeColumns } from "./_take_columns.ts";
import { wordOf } from "./full.ts";
import { takeOrFill } from "./gather.ts";
import { broadcastTo } from "./reduce.ts";
import { argsortOp } from "./sort.ts";

/** Options of {@linkcode take} and {@linkcode takeAlongAxis}. */
export interface TakeOptions {
  /** The result for an index out of range. Default: NaN for floats, -2^31 for i32, 2^32 - 1 for u32. */
  readonly fill?: number;
}

const defaultFill: Readonly<Record<DType, number>> = { f32: NaN, f16: NaN, i32: -(2 ** 31), u32: 2 ** 32 - 1 };

const fromFrontOp: Op<{ readonly length: number }> = {
  name: "indicesFromFront",
  infer: ([indices]) => [{ shape: indices!.shape, dtype: "u32" }],
  batch: leadingAxis,
  expression: ({ length }) => ({
    text: "select(bitcast<U>($0), bitcast<U>($0) + U(#0), $0 < I(0))", // what is too low stays beyond the length
    uniforms: [length],
  }),
  vjp: () => [null],
};

/** Indices counted from the front of an axis, u32; those out of range are not below its length. */
function fromFront(op: string, indices: Tensor, length: number): Tensor {
  checkInput(op, "indices", indices, ["i32", "u32"]);
  return indices.dtype === "u32" ? indices : apply(fromFrontOp, [indices], { length });
}

const alongOp: Op<{ readonly axis: number; readonly fill: number }> = {
  name: "takeAlongAxis",
  batch: nextAxis as BatchRule<{ readonly axis: number; readonly fill: number }>,
  infer: ([x, indices]) => [{ shape: indices!.shape, dtype: x!.dtype }],
  lower(ctx, { inputs: [x, indices], attrs: { axis, fill } }): void {
    const kernel = flatKernel("takeAlongAxis", source, { device: ctx.device, consts: { VECTOR: false, EACH: true } });
    const { shape } = indices!, count = sizeOf(shape), inner = sizeOf(shape.slice(axis + 1));
    const u = { count, length: x!.shape[axis]!, many: shape[axis]!, inner, fill };
    ctx.dispatch(kernel.over(count, { x: ctx.inputs[0], indices: ctx.inputs[1], y: ctx.outputs[0], u }));
  },
  vjp: ({ inputs: [x, indices], attrs: { axis } }, [ct]) => [sumsAlong(ct!, indices!, x!.shape[axis]!, axis), null],
};

/** Rows x and indices, both [rows, many], indices in order and where each was, to sums [rows, length]. */
const sumsOp: Op<{ readonly length: number }> = {
  name: "scatterAddAlongAxis",
  batch: firstAxis,
  infer: ([x], { length }) => [{ shape: [x!.shape[0]!, length], dtype: "f32" }],
  lower(ctx, { inputs: [x], attrs: { length } }): void {
    const [outer, ids] = x!.shape as [number, number], [, , sorted, order] = ctx.inputs;
    checkIds("scatterAddAlongAxis", ctx, ids);
    lowerSums("scatterAddAlongAxis", ctx, { sorted: sorted!, order: order! }, {
      outer,
      ids,
      rows: length,
      width: 1,
      own: true,
    });
  },
  vjp: ({ inputs: [, indices] }, [ct]) => [apply(alongOp, [ct!, indices!], { axis: 1, fill: 0 }), null, null, null],
};

/** Of u32 indices of the shape of x. */
function sumsAlong(x: Tensor, indices: Tensor, length: number, axis: number): Tensor {
  const { rows: keys } = rowsAlong("scatterAddAlongAxis", indices, axis);
  const { rows, restore } = rowsAlong("scatterAddAlongAxis", x, axis);
  const order = apply(argsortOp, [keys], { descending: false });
  return restore(apply(sumsOp, [rows, keys, takeColumns(keys, order), order], { length }));
}

/**
 * Slices of x along an axis by index, as `numpy.take`: the axis is replaced by the axes of the indices. The gradient is a
 * sum by index, in the order of the indices, so that it is the same in every run. See `gather` for tables of embeddings.
 *
 * @param x f32, f16 (the result is f32), i32 or u32, of at least one axis.
 * @param indices i32 or u32, any shape, from -length to length - 1; others give `fill` and get no gradient.
 * @param axis Negative ones count from the end.
 */
export function take(x: Tensor, indices: Tensor, axis: number, options: TakeOptions = {}): Tensor {
  checkOptions("take", options, { fill: "one" });
  const at = checkAxis("take", axis, x.shape.length), y = asF32(x);
  const fill = wordOf(options.fill ?? defaultFill[y.dtype], y.dtype);
  return takeOrFill(y, fromFront("take", indices, x.shape[at]!), at, fill);
}

/**
 * Elements of x along an axis, each by an index of its own, as `numpy.take_along_axis`: for axis 1 of three,
 * y[i, n, j] = x[i, indices[i, n, j], j]. The gradient is {@linkcode scatterAddAlongAxis}.
 *
 * @param x f32, f16 (the result is f32), i32 or u32, of at least one axis.
 * @param indices i32 or u32, from -length to length - 1; others give `fill` and get no gradient. As many axes as x, the others
 * of the same lengths, or broadcast where one is 1.
 * @param axis Negative ones count from the end.
 */
export function takeAlongAxis(x: Tensor, indices: Tensor, axis: number, options: TakeOptions = {}): Tensor {
  checkOptions("takeAlongAxis", options, { fill: "one" });
  const rank = x.shape.length, at = checkAxis("takeAlongAxis", axis, rank), y = asF32(x), length = x.shape[at]!;
  const fits = indices.shape.length === rank &&
    indices.shape.every((n, i) => i === at || n === x.shape[i] || n === 1 || x.shape[i] === 1);
  if (!fits) {
    throw new RangeError(
      `Cannot apply takeAlongAxis: x and the indices must have equal axes but axis ${at}, or 1: they are ${x} and ${indices}`,
    );
  }
  const shape = x.shape.map((n, i) => Math.max(n, indices.shape[i]!));
  const places = broadcastTo(fromFront("takeAlongAxis", indices, length), shape.with(at, indices.shape[at]!));
  const fill = wordOf(options.fill ?? defaultFill[y.dtype], y.dtype);
  return apply(alongOp, [broadcastTo(y, shape.with(at, length)), places], { axis: at, fill });
}

/**
 * Sums of elements along an axis, each by an index of its own: for axis 1 of three, y[i, v, j] is the sum of x[i, n, j] over
 * all n with indices[i, n, j] === v, in the order of n; 0 where there is none. Sorts the indices, which costs as `argsort` does.
 *
 * @param x f32 or f16 (the result is f32), of at least one axis.
 * @param indices i32 or u32 of the shape of x, from -length to length - 1; others are left out.
 * @param length Of the axis in the result.
 * @param axis Negative ones count from the end.
 */
export function scatterAddAlongAxis(x: Tensor, indices: Tensor, length: number, axis: number): Tensor {
  const op = "scatterAddAlongAxis", at = checkAxis(op, axis, x.shape.length), y = asF32(x);
  checkInput(op, "x", y, "f32");
  checkInput(op, "indices", indices, ["i32", "u32"], x.shape);
  if (!Number.isInteger(length) || length < 1) {
    throw new RangeError(`Cannot apply ${op}: the length must be a positive integer: it is ${length}`);
  }
  return sumsAlong(y, fromFront(op, indices, length), length, at);
}
