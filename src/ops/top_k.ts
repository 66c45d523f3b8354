/**
 * The largest elements of each row.
 *
 * @module
 */
import source from "../../kernels/top_k.wgsl" with { type: "text" };
import { applyAll, type Op, type Tensor } from "../program/graph.ts";
import { checkInput } from "./_check.ts";
import { rowKernel } from "./_rows.ts";

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
    const kernel = rowKernel(ctx.device, source, length, { passes: 33 + 8, turns: k * k });
    ctx.dispatch({
      name: "topK",
      code: kernel.code,
      bindings: [...ctx.inputs, ...ctx.outputs, ctx.scratch(rows * k * 4, "u32"), {
        words: [rows, length / kernel.width, k],
      }],
      workgroups: kernel.workgroups(rows),
    });
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
