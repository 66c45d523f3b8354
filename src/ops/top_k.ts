/**
 * The largest elements along an axis.
 *
 * @module
 */
import source from "../../kernels/top_k.wgsl" with { type: "text" };
import { applyAll, type Node, type Op, Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { firstAxis } from "./_batch.ts";
import { rowsAlong } from "./_axis.ts";
import { checkInput } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { keysCode, ORDERED } from "./_keys.ts";
import { rowKernel } from "./_rows.ts";
import { putColumns } from "./_take_columns.ts";

/** Turns of the kernel's loops for a load: 32 bits of a key and a last count; twice 4 elements when columns are listed. */
const PASSES = 33 + 8;

/** x [rows, columns] to values [rows, k], of x's type, and columns u32 [rows, k]. */
export const topKOp: Op<{ readonly k: number }> = {
  name: "topK",
  batch: firstAxis,
  infer([x], { k }) {
    checkInput("topK", "the input", x, ORDERED, ["rows", "columns"]);
    const [rows, columns] = x!.shape as [number, number];
    if (!Number.isInteger(k) || k < 1 || k > columns) {
      throw new RangeError(`Cannot apply topK: k must be from 1 to the ${columns} columns: it is ${k}`);
    }
    return [{ shape: [rows, k], dtype: x!.dtype }, { shape: [rows, k], dtype: "u32" }];
  },
  lower(ctx, { inputs: [x], attrs: { k } }): void {
    const [rows, length] = x!.shape as [number, number], hooks = { keys: keysCode(x!.dtype, false) };
    const kernel = rowKernel("topK", source, { device: ctx.device, length, passes: PASSES, turns: k * k, hooks });
    const [values, columns] = ctx.outputs, list = ctx.scratch(rows * k * 4, "u32");
    const u = { rows, length: kernel.loads, k };
    ctx.dispatch(kernel.over(rows, { x: ctx.inputs[0], values, columns, list, u }));
  },
  vjp: (node, [ct]) => [ct ? putColumns(ct, new Tensor(node as unknown as Node, 1), node.inputs[0]!.shape[1]!) : null],
};

/** Options of {@linkcode topK}. */
export interface TopKOptions {
  /** The axis along which to look, negative ones from the end. Default -1. */
  readonly axis?: number;
}

/**
 * The k largest elements along an axis (default: the last), in descending order, and their indices: `[values, indices]`, of
 * x's type and u32, with k in the place of the axis. Among equal elements the lower index comes first; NaN comes before all
 * numbers, as in PyTorch. The gradient goes to where the values came from. Costs 34 passes over x and k * k comparisons a row:
 * for large k, `sort` is faster.
 *
 * @param x f32, f16 (the values are f32), i32 or u32, of at least one axis.
 * @param k From 1 to the length of the axis.
 */
export function topK(x: Tensor, k: number, options: TopKOptions = {}): [Tensor, Tensor] {
  const { axis = -1 } = checkOptions("topK", options, { axis: "one" });
  checkInput("topK", "the input", x, [...ORDERED, "f16"]);
  const { rows, restore } = rowsAlong("topK", asF32(x), axis);
  const [values, columns] = applyAll(topKOp, [rows], { k });
  return [restore(values!), restore(columns!)];
}
