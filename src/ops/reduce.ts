/**
 * Sums over axes and broadcasting, each the gradient of the other; what other reductions share with sums.
 *
 * @module
 */
import columnsKernel from "../../kernels/reduce_columns.wgsl" with { type: "text" };
import rowsKernel from "../../kernels/reduce_rows.wgsl" with { type: "text" };
import { apply, type Aval, type DType, type Op, sameShape, sizeOf, type Tensor } from "../program/graph.ts";
import { type BufferRef, f32Bits, type Lowering } from "../program/lowering.ts";
import { checkOptions, type OptionKinds } from "../program/options.ts";
import { type BatchRule, elementwise, nextAxis } from "./_batch.ts";
import { broadcastShapes } from "./_broadcast.ts";
import { checkAxes, checkInput, FLOATS } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { flatKernel, rowKernel, widthOf } from "./_rows.ts";
import { reshape } from "./shape.ts";

/** Options of the reductions. */
export interface ReduceOptions {
  /** Axes to reduce, negative ones from the end; default: all. */
  readonly axes?: readonly number[];
  /** Keep the reduced axes with length 1. Default false. */
  readonly keepDims?: boolean;
}

/** Kinds of {@linkcode ReduceOptions}. */
export const REDUCE_OPTIONS: OptionKinds<ReduceOptions> = { axes: "list", keepDims: "one" };

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

/** What a reduction keeps of two elements. */
export type ReduceKind = "sum" | "prod" | "max" | "min";

/** Element types that the kernels reduce. */
const REDUCED: readonly DType[] = ["f32", "i32", "u32"];

/** What to begin with, given an element that is reduced, for WGSL has no -Infinity. */
const START: Record<ReduceKind, string> = { sum: "T(0)", prod: "T(1)", max: "first", min: "first" };

/** The larger of something and NaN is NaN, found by its bits: WGSL's `max` may give either. */
const combined = (kind: ReduceKind, dtype: DType): string => {
  if (kind === "sum" || kind === "prod") return `a ${kind === "sum" ? "+" : "*"} b`;
  return dtype === "f32" ? `keep_nan(keep_nan(${kind}(a, b), a), b)` : `${kind}(a, b)`;
};

const KEEP_NAN = `
fn keep_nan(y: T, x: T) -> T { return select(y, x, (bitcast<B>(x) & B(0x7fffffffu)) > B(0x7f800000u)); }`;

/** WGSL of a reduction: E, `start` and `combine` of loads, `combine_two` of elements. */
function combineCode(kind: ReduceKind, dtype: DType, width: 1 | 4): string {
  const own = `
fn start(first: T) -> T { return ${START[kind]}; }
fn combine(a: T, b: T) -> T { return ${combined(kind, dtype)}; }`;
  const code = (dtype === "f32" ? KEEP_NAN : "") + own;
  const of = (type: string, bits: string, suffix: string): string =>
    code.replace(/\bT\b/g, type).replace(/\bB\b/g, bits).replace(/\b(start|combine|keep_nan)\(/g, `$1${suffix}(`);
  const loads = width === 4 ? of(`vec4<${dtype}>`, "vec4<u32>", "") : of(dtype, "u32", "");
  return `alias E = ${dtype};${loads}${of(dtype, "u32", "_two")}`;
}

function inferReduce(name: string, [x]: readonly Aval[], { axis, count }: ReduceAttrs): Aval[] {
  checkInput(name, "the input", x, REDUCED);
  return [{ shape: x!.shape.map((n, i) => i >= axis && i < axis + count ? 1 : n), dtype: x!.dtype }];
}

function lowerReduce(kind: ReduceKind, ctx: Lowering, { shape }: Aval, { axis, count, scale }: ReduceAttrs): void {
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
function reduceRows(
  kind: ReduceKind,
  ctx: Lowering,
  from: BufferRef,
  to: BufferRef,
  { outer, length, scale }: Extent,
): void {
  const { dtype } = from, hooks = { combine: combineCode(kind, dtype, widthOf(length)) };
  const consts = { FLOAT: dtype === "f32" };
  const kernel = rowKernel(`${kind}/rows`, rowsKernel, { device: ctx.device, length, consts, hooks });
  const busy = outer >= ENOUGH_ROWS[ctx.device.kind];
  const chunk = kernel.loads > LONG_ROW[busy ? "enough" : "few"] ? ROW_CHUNK : kernel.loads;
  const chunks = Math.ceil(kernel.loads / chunk), rows = outer * chunks;
  const result = chunks === 1 ? to : ctx.scratch(rows * 4, dtype);
  const u = { rows, length: kernel.loads, chunk, chunks, scale: chunks === 1 ? scale : 1 };
  ctx.dispatch(kernel.over(rows, { x: from, y: result, u }));
  if (chunks > 1) reduceRows(kind, ctx, result, to, { outer, length: chunks, inner: 1, scale });
}

/** Dispatches that reduce the middle axis of [outer, length, inner], in two stages where one has too few threads. */
export function reduceColumns(kind: ReduceKind, ctx: Lowering, from: BufferRef, to: BufferRef, extent: Extent): void {
  const { outer, length, inner, scale } = extent;
  const width = widthOf(inner), columns = inner / width, { dtype } = from;
  const kernel = flatKernel(`${kind}/columns`, columnsKernel, {
    device: ctx.device,
    loops: true,
    consts: { VECTOR: width === 4, FLOAT: dtype === "f32" },
    hooks: { combine: combineCode(kind, dtype, width) },
  });
  const chunks = columnChunks(ctx, outer * columns, length);
  const count = outer * chunks * columns;
  const result = chunks === 1 ? to : ctx.scratch(count * width * 4, dtype);
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

/** A reduction of f32, i32 or u32 by a kernel. */
export function reduction(kind: ReduceKind, vjp: NonNullable<Op<ReduceAttrs>["vjp"]>): Op<ReduceAttrs> {
  return {
    name: kind,
    infer: (inputs, attrs) => inferReduce(kind, inputs, attrs),
    lower: (ctx, node) => lowerReduce(kind, ctx, node.inputs[0]!, node.attrs),
    vjp,
    batch: nextAxis,
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
  batch: elementwise as BatchRule<BroadcastAttrs>,
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

/** Applies a reduction over any set of axes; the result is multiplied by `scale`. f16 is reduced as f32. */
export function reduce(
  op: Op<ReduceAttrs>,
  x: Tensor,
  scale: number,
  { axes, keepDims = false }: ReduceOptions,
): Tensor {
  const reduced = new Set(checkAxes(op.name, axes, x.shape.length));
  const kept = x.shape.map((n, i) => reduced.has(i) ? 1 : n);
  const runs = neighbours(x.shape, reduced);
  const last = runs.length - 1;
  let y = asF32(x);
  checkInput(op.name, "the input", y, REDUCED);
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
 * an element is NaN. Sums of integers are exact, modulo 2^32.
 *
 * @param x f32, f16 (the result is f32), i32 or u32, any shape.
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(sumOp, x, 1, checkOptions("sum", options, REDUCE_OPTIONS));
}

/**
 * Arithmetic mean over `axes` (default: all); see {@linkcode sum}.
 *
 * @param x f32 or f16 (the result is f32), any shape.
 */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkOptions("mean", options, REDUCE_OPTIONS);
  checkInput("mean", "the input", x, FLOATS);
  return reduce(sumOp, x, 1 / countOf("mean", x, options), options);
}

/** Number of elements that a reduction makes one of. */
export function countOf(name: string, x: Tensor, { axes }: ReduceOptions): number {
  return sizeOf(checkAxes(name, axes, x.shape.length).map((axis) => x.shape[axis]!));
}
