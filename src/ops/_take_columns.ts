/**
 * Elements of rows by column, each column at most once in a row: what sorts and the largest elements take, and its gradient.
 *
 * @module
 */
import source from "../../kernels/take_columns.wgsl" with { type: "text" };
import { clear } from "../program/copy_rows.ts";
import { apply, type Node, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import type { Lowering } from "../program/lowering.ts";
import { firstAxis } from "./_batch.ts";
import { flatKernel } from "./_rows.ts";

const takeOp: Op<null> = {
  name: "takeColumns",
  batch: firstAxis,
  infer: ([x, columns]) => [{ shape: columns!.shape, dtype: x!.dtype }],
  lower: (ctx, node) => lowerMove(ctx, node.inputs[1]!, node.inputs[0]!.shape[1]!, false),
  vjp: ({ inputs: [x, columns] }, [ct]) => [putColumns(ct!, columns!, x!.shape[1]!), null],
};

const putOp: Op<{ readonly length: number }> = {
  name: "putColumns",
  batch: firstAxis,
  infer: ([x], { length }) => [{ shape: x!.shape.with(1, length), dtype: x!.dtype }],
  lower(ctx, node: Node<{ readonly length: number }>): void {
    if (node.attrs.length > node.inputs[1]!.shape[1]!) ctx.dispatch(clear(ctx.outputs[0]!));
    lowerMove(ctx, node.inputs[1]!, node.attrs.length, true);
  },
  vjp: ({ inputs: [, columns] }, [ct]) => [takeColumns(ct!, columns!), null],
};

function lowerMove(ctx: Lowering, { shape }: Tensor, long: number, PUT: boolean): void {
  const kernel = flatKernel(PUT ? "putColumns" : "takeColumns", source, { device: ctx.device, consts: { PUT } });
  const [x, columns] = ctx.inputs, count = sizeOf(shape);
  ctx.dispatch(kernel.over(count, { x, columns, y: ctx.outputs[0], u: { count, length: shape[1]!, long } }));
}

/** y[r, i] = x[r, columns[r, i]]: x [rows, length], columns u32 [rows, k], no column twice in a row. */
export function takeColumns(x: Tensor, columns: Tensor): Tensor {
  return apply(takeOp, [x, columns], null);
}

/** Rows of `length` with y[r, columns[r, i]] = x[r, i], 0 elsewhere. */
export function putColumns(x: Tensor, columns: Tensor, length: number): Tensor {
  return apply(putOp, [x, columns], { length });
}
