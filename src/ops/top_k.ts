/**
 * The largest elements of each row.
 *
 * @module
 */
import source from "../../kernels/top_k.wgsl" with { type: "text" };
import { applyAll, type Op, type Tensor } from "../program/graph.ts";
import { checkInput } from "./_check.ts";
import { rowKernel } from "./_rows.ts";

/** Turns of the kernel's loops for a load: 32 bits of a key and a last count; twice 4 elements when columns are listed. */
const PASSES = 33 + 8;

/** x [rows, columns] to values f32 [rows, k] and columns u32 [rows, k]. */
export const topKOp: Op<{ readonly k: number }> = {
  name: "topK",
  infer([x], { k }) {
    checkInput("topK", "the input", x, "f32", ["rows", "columns"]);
    const [rows, columns] = x!.shape as [number, number];
    if (!Number.isInteger(k) || k < 1 || k > columns) {
      throw new RangeError(`Cannot apply topK: k must be from 1 to the ${columns} columns: it is ${k}`);
    }
    return [{ shape: [rows, k], dtype: "f32" }, { shape: [rows, k], dtype: "u32" }];
  },
  lower(ctx, { inputs: [x], attrs: { k } }): void {
    const [rows, length] = x!.shape as [number, number];
    const kernel = rowKernel("topK", source, { device: ctx.device, length, passes: PASSES, turns: k * k });
    const [values, columns] = ctx.outputs, list = ctx.scratch(rows * k * 4, "u32");
    const u = { rows, length: kernel.loads, k };
    ctx.dispatch(kernel.over(rows, { x: ctx.inputs[0], values, columns, list, u }));
  },
};

/**
 * The k largest elements of each row, in descending order, and their columns: `[values, columns]`, f32 and u32 [rows, k].
 * Among equal elements the lower column comes first. No gradient rule. Costs 34 passes over x and k * k comparisons a row.
 *
 * @param x f32 [rows, columns].
 * @param k From 1 to columns.
 */
export function topK(x: Tensor, k: number): [Tensor, Tensor] {
  return applyAll(topKOp, [x], { k }) as [Tensor, Tensor];
}
