/**
 * Sums over axes and broadcasting, each the gradient of the other; what other reductions share with sums.
 *
 * @module
 */
import columnsKernel from "../../kernels/reduce_columns.wgsl" with { type: "text" };
import rowsKernel from "../../kernels/reduce_rows.wgsl" with { type: "text" };
import { apply, type Aval, type Op, sameShape, sizeOf, type Tensor } from "../program/graph.ts";
import { type BufferRef, f32Bits, type Lowering } from "../program/lowering.ts";
import { broadcastShapes } from "./_broadcast.ts";
import { checkAxis, checkInput } from "./_check.ts";
import { flatKernel, rowKernel, widthOf } from "./_rows.ts";
import { reshape } from "./shape.ts";

/** Options of the reductions. */
export interface ReduceOptions {
  /** Axes to reduce, negative ones from the end; default: all. */
  readonly axes?: readonly number[];
  /** Keep the reduced axes with length 1. Default false. */
  readonly keepDims?: boolean;
}

/** A reduction of `count` neighbouring axes from `axis` on, kept with length 1; the result is multiplied by `scale`. */
export interface ReduceAttrs {
  readonly axis: number;
  readonly count: number;
  readonly scale: number;
}

/** What is reduced, as [outer, length, inner]. */
interface Extent {
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  readonly scale: number;
}

type Kind = "sum" | "max";

/**
 * `start(first)`: what to begin with, given an element that is reduced, for WGSL has no -Infinity; `combine(a, b)`. The
 * largest of something and NaN is NaN, found by its bits: WGSL's `max` may give either.
 */
const combine: Record<Kind, string> = {
  sum: `
fn start(first: F) -> F { return F(0.0); }
fn combine(a: F, b: F) -> F { return a + b; }`,
  max: `
fn start(first: F) -> F { return first; }
fn keep_nan(y: F, x: F) -> F { return select(y, x, (bitcast<C>(x) & C(0x7fffffffu)) > C(0x7f800000u)); }
fn combine(a: F, b: F) -> F { return keep_nan(keep_nan(max(a, b), a), b); }`,
};

/** `across(lane, v)`: over the elements of `v` and the lanes of a row. NaN reaches a maximum through a sum of 0 and NaN. */
const across: Record<Kind, string> = {
  sum: `
fn across(lane: u32, v: F) -> f32 { return row_sum(lane, total(v)); }`,
  max: `
fn across(lane: u32, v: F) -> f32 {
  let nan = row_sum(lane, total(keep_nan(F(0.0), v)));
  let top = row_max(lane, largest(v));
  return select(top, nan, (bitcast<u32>(nan) & 0x7fffffffu) > 0x7f800000u);
}`,
};

function inferReduce(name: string, [x]: readonly Aval[], { axis, count }: ReduceAttrs): Aval[] {
  checkInput(name, "the input", x, "f32");
  return [{ shape: x!.shape.map((n, i) => i >= axis && i < axis + count ? 1 : n), dtype: "f32" }];
}

function lowerReduce(kind: Kind, ctx: Lowering, { shape }: Aval, { axis, count, scale }: ReduceAttrs): void {
  const extent = {
    outer: sizeOf(shape.slice(0, axis)),
    length: sizeOf(shape.slice(axis, axis + count)),
    inner: sizeOf(shape.slice(axis + count)),
    scale,
  };
  (extent.inner === 1 ? reduceRows : reduceColumns)(kind, ctx, ctx.inputs[0]!, ctx.outputs[0]!, extent);
}

/** Loads of a row's part, where rows are cut into parts. */
const ROW_CHUNK = 1024;
/** Loads beyond which a row is cut: where there are enough rows to keep the device busy, only against too many turns. */
const LONG_ROW = { few: 2048, enough: 16_384 };
/** Rows that keep a device busy. */
const ENOUGH_ROWS = { cpu: 32, gpu: 1024 };

/** Dispatches that reduce the rows of [outer, length]; long rows where there are few go through partial results. */
function reduceRows(kind: Kind, ctx: Lowering, from: BufferRef, to: BufferRef, { outer, length, scale }: Extent): void {
  const hooks = { combine: combine[kind] + across[kind] };
  const kernel = rowKernel(`${kind}/rows`, rowsKernel, { device: ctx.device, length, hooks });
  const busy = outer >= ENOUGH_ROWS[ctx.device.kind];
  const chunk = kernel.loads > LONG_ROW[busy ? "enough" : "few"] ? ROW_CHUNK : kernel.loads;
  const chunks = Math.ceil(kernel.loads / chunk), rows = outer * chunks;
  const result = chunks === 1 ? to : ctx.scratch(rows * 4);
  const u = { rows, length: kernel.loads, chunk, chunks, scale: chunks === 1 ? scale : 1 };
  ctx.dispatch(kernel.over(rows, { x: from, y: result, u }));
  if (chunks > 1) reduceRows(kind, ctx, result, to, { outer, length: chunks, inner: 1, scale });
}

/** Dispatches that reduce the middle axis of [outer, length, inner], in two stages where one has too few threads. */
export function reduceColumns(kind: Kind, ctx: Lowering, from: BufferRef, to: BufferRef, extent: Extent): void {
  const { outer, length, inner, scale } = extent;
  const width = widthOf(inner), columns = inner / width;
  const kernel = flatKernel(`${kind}/columns`, columnsKernel, {
    device: ctx.device,
    loops: true,
    consts: { VECTOR: width === 4 },
    hooks: { combine: combine[kind] },
  });
  const chunks = columnChunks(ctx, outer * columns, length);
  const count = outer * chunks * columns;
  const result = chunks === 1 ? to : ctx.scratch(count * width * 4);
  const chunk = Math.ceil(length / chunks);
  const u = { count, length, inner: columns, chunk, chunks, scale: chunks === 1 ? scale : 1 };
  ctx.dispatch(kernel.over(count, { x: from, y: result, u }));
  if (chunks > 1) reduceColumns(kind, ctx, result, to, { outer, length: chunks, inner, scale });
}

/** Threads that keep a device busy, and the shortest part of a column that is worth a thread. */
const COLUMNS = { cpu: { enough: 32, shortest: 64 }, gpu: { enough: 32_768, shortest: 16 } };
/** The longest part of a column: far below the turns that a thread may loop. */
const LONGEST_COLUMN = 16_384;

/** Into how many parts a column of `length` is cut so that the device is busy and no thread loops too long. */
export function columnChunks(ctx: Lowering, columns: number, length: number): number {
  const { enough, shortest } = COLUMNS[ctx.device.kind];
  const busy = length < 4 * shortest ? 1 : Math.min(Math.ceil(length / shortest), Math.ceil(enough / columns));
  const chunk = Math.ceil(length / Math.max(busy, Math.ceil(length / LONGEST_COLUMN)));
  return Math.ceil(length / chunk);
}

/** A reduction of f32 by a kernel. */
export function reduction(kind: Kind, vjp: NonNullable<Op<ReduceAttrs>["vjp"]>): Op<ReduceAttrs> {
  return {
    name: kind,
    infer: (inputs, attrs) => inferReduce(kind, inputs, attrs),
    lower: (ctx, node) => lowerReduce(kind, ctx, node.inputs[0]!, node.attrs),
    vjp,
  };
}

/** The op, for tests of a single kernel. */
export const sumOp: Op<ReduceAttrs> = reduction(
  "sum",
  ({ inputs: [x], attrs: { scale } }, [ct]) => [broadcast(ct!, x!.shape, scale)],
);

interface BroadcastAttrs {
  readonly shape: readonly number[];
  readonly scale: number;
}

const broadcastOp: Op<BroadcastAttrs> = {
  name: "broadcastTo",
  infer: ([x], { shape }) => [{ shape, dtype: x!.dtype === "f16" ? "f32" : x!.dtype }],
  expression: ({ scale }) =>
    scale === 1 ? { text: "$0" } : { text: "($0 * V(bitcast<f32>(#0)))", uniforms: [f32Bits(scale)] },
  vjp: ({ inputs: [x], attrs: { scale } }, [ct]) => [sumTo(ct!, x!.shape, scale)],
};

/** x times `scale`, broadcast. Without an axis to broadcast, `scale` is 1: it is the factor of a sum over those axes. */
function broadcast(x: Tensor, shape: readonly number[], scale: number): Tensor {
  return sameShape(x.shape, shape) ? x : apply(broadcastOp, [x], { shape, scale });
}

/**
 * x broadcast to `shape`, by NumPy's rule.
 *
 * @throws {RangeError} unless every axis of x is as long as that of `shape`, or 1, or missing in front.
 */
export function broadcastTo(x: Tensor, shape: readonly number[]): Tensor {
  if (!sameShape(broadcastShapes("broadcastTo", [x.shape, shape]), shape)) {
    throw new RangeError(`Cannot broadcast [${x.shape}] to [${shape}]: every axis must be equal or 1`);
  }
  return broadcast(x, shape, 1);
}

/** Times `scale`, summed over the axes along which a value of `shape` was broadcast: the gradient of broadcasting. */
export function sumTo(x: Tensor, shape: readonly number[], scale: number = 1): Tensor {
  const extra = x.shape.length - shape.length;
  const axes = x.shape.map((_, i) => i).filter((i) => i < extra || (shape[i - extra] === 1 && x.shape[i] !== 1));
  return reshape(axes.length ? reduce(sumOp, x, scale, { axes, keepDims: true }) : x, shape);
}

/** Applies a reduction over any set of axes; the result is multiplied by `scale`. */
export function reduce(
  op: Op<ReduceAttrs>,
  x: Tensor,
  scale: number,
  { axes, keepDims = false }: ReduceOptions,
): Tensor {
  const rank = x.shape.length;
  const reduced = new Set((axes ?? x.shape.map((_, i) => i)).map((axis) => checkAxis(op.name, axis, rank)));
  const kept = x.shape.map((n, i) => reduced.has(i) ? 1 : n);
  const runs = neighbours(x.shape, reduced);
  const last = runs.length - 1;
  let y = x;
  runs.forEach(([axis, count], i) => y = apply(op, [y], { axis, count, scale: i === last ? scale : 1 }));
  return keepDims ? reshape(y, kept) : reshape(y, kept.filter((_, i) => !reduced.has(i)));
}

/** The reduced axes as runs of neighbours, [first, count]; axes of length 1 join neighbours and are not reduced alone. */
function neighbours(shape: readonly number[], reduced: ReadonlySet<number>): [number, number][] {
  const runs: [number, number][] = [];
  let open = false;
  shape.forEach((n, i) => {
    const run = runs[runs.length - 1];
    if (open && (reduced.has(i) || n === 1)) run![1]++;
    else if (reduced.has(i) && n > 1) runs.push([i, 1]), open = true;
    else open = false;
  });
  return runs;
}

/**
 * Sum over `axes` (default: all). Partial sums are added in a fixed order, so results are the same in every run. NaN where
 * an element is NaN.
 *
 * @param x f32, any shape.
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(sumOp, x, 1, options);
}

/** Arithmetic mean over `axes` (default: all); see {@linkcode sum}. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const axes = options.axes ?? x.shape.map((_, i) => i);
  const count = new Set(axes.map((axis) => checkAxis("mean", axis, x.shape.length)));
  return reduce(sumOp, x, 1 / sizeOf([...count].map((axis) => x.shape[axis]!)), options);
}
