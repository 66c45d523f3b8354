/**
 * Elements of rows by column, each column at most once in a row: what sorts and the largest elements take, and its gradient.
 *
 * @module
 */
import source from "../../kernels/take_columns.wgsl" with { type: "text" };
import { clear } from "../program/copy_rows.ts";
import { apply, type Op, type Tensor } from "../program/graph.ts";
import type { Lowering } from "../program/lowering.ts";
import { firstAxis } from "./_batch.ts";
import { flatKernel } from "./_rows.ts";

/** Rows of `length` columns, and the longer rows that are taken from or put into. */
interface Rows {
  readonly rows: number;
  readonly length: number;
  readonly long: number;
}

/** Dispatches the copy of columns; the inputs are x and columns. */
export function moveColumns(ctx: Lowering, { rows, length, long }: Rows, PUT: boolean): void {
  const kernel = flatKernel(PUT ? "putColumns" : "takeColumns", source, { device: ctx.device, consts: { PUT } });
  const [x, columns] = ctx.inputs, [y] = ctx.outputs, count = rows * length;
  ctx.dispatch(kernel.over(count, { x, columns, y, u: { count, length, long } }));
}

const takeOp: Op<null> = {
  name: "takeColumns",
  batch: firstAxis,
  infer: ([x, columns]) => [{ shape: columns!.shape, dtype: x!.dtype }],
  lower(ctx, { inputs: [x, columns] }): void {
    const [rows, length] = columns!.shape as [number, number];
    moveColumns(ctx, { rows, length, long: x!.shape[1]! }, false);
  },
  vjp: ({ inputs: [x, columns] }, [ct]) => [putColumns(ct!, columns!, x!.shape[1]!), null],
};

const putOp: Op<{ readonly length: number }> = {
  name: "putColumns",
  batch: firstAxis,
  infer: ([x], { length }) => [{ shape: x!.shape.with(1, length), dtype: x!.dtype }],
  lower(ctx, { inputs: [, columns], attrs: { length: long } }): void {
    const [rows, length] = columns!.shape as [number, number];
    if (long > length) ctx.dispatch(clear(ctx.outputs[0]!));
    moveColumns(ctx, { rows, length, long }, true);
  },
  vjp: ({ inputs: [, columns] }, [ct]) => [takeColumns(ct!, columns!), null],
};

/** y[r, i] = x[r, columns[r, i]]: x [rows, length], columns u32 [rows, k], no column twice in a row. */
export function takeColumns(x: Tensor, columns: Tensor): Tensor {
  return apply(takeOp, [x, columns], null);
}

/** Rows of `length` with y[r, columns[r, i]] = x[r, i], 0 elsewhere. */
export function putColumns(x: Tensor, columns: Tensor, length: number): Tensor {
  return apply(putOp, [x, columns], { length });
}
