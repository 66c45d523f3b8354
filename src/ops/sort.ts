/**
 * Sorting along an axis, by merging.
 *
 * @module
 */
import mergeKernel from "../../kernels/sort_merge.wgsl" with { type: "text" };
import startKernel from "../../kernels/sort_start.wgsl" with { type: "text" };
import { apply, type Op, type Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { firstAxis } from "./_batch.ts";
import { type Rows, rowsAlong } from "./_axis.ts";
import { checkInput } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { keysCode, ORDERED } from "./_keys.ts";
import { flatKernel } from "./_rows.ts";
import { takeColumns } from "./_take_columns.ts";

/** Options of {@linkcode sort} and {@linkcode argsort}. */
export interface SortOptions {
  /** The axis along which to sort, negative ones from the end. Default -1. */
  readonly axis?: number;
  /** From the largest to the smallest. Default false. */
  readonly descending?: boolean;
}

/** Elements of the sorted blocks that the first kernel leaves: BLOCK of kernels/sort_start.wgsl. */
const FIRST_RUN = 16;

/** x [rows, length] to the columns of its elements in their order, u32 [rows, length]. */
export const argsortOp: Op<{ readonly descending: boolean }> = {
  name: "argsort",
  batch: firstAxis,
  infer([x]) {
    checkInput("argsort", "the input", x, ORDERED, ["rows", "length"]);
    return [{ shape: x!.shape, dtype: "u32" }];
  },
  lower(ctx, { inputs: [x], attrs: { descending } }): void {
    const [rows, length] = x!.shape as [number, number], count = rows * length, { device } = ctx;
    const words = () => ctx.scratch(count * 4, "u32");
    const merges = Math.max(0, Math.ceil(Math.log2(length / FIRST_RUN)));
    const keys = [words(), ...merges ? [words()] : []], spare = merges ? words() : undefined;
    // Columns go back and forth between the result and the spare buffer so that the last merge writes the result.
    const columnsAfter = (merge: number) => (merges - merge) % 2 ? spare : ctx.outputs[0];
    const start = flatKernel("argsort/start", startKernel, { device, hooks: { keys: keysCode(x!.dtype, descending) } });
    ctx.dispatch(start.over(count, {
      x: ctx.inputs[0],
      keys: keys[0],
      columns: columnsAfter(0),
      u: { count, length },
    }));
    const kernel = flatKernel("argsort/merge", mergeKernel, { device });
    for (let i = 0; i < merges; i++) {
      ctx.dispatch(kernel.over(count, {
        keys: keys[i % 2],
        columns: columnsAfter(i),
        merged_keys: keys[(i + 1) % 2],
        merged_columns: columnsAfter(i + 1),
        u: { count, length, run: FIRST_RUN * 2 ** i },
      }));
    }
  },
  vjp: () => [null],
};

function sorted(name: string, x: Tensor, options: SortOptions): Rows & { order: Tensor } {
  const { axis = -1, descending = false } = checkOptions(name, options, { axis: "one", descending: "one" });
  checkInput(name, "the input", x, [...ORDERED, "f16"]);
  const along = rowsAlong(name, asF32(x), axis);
  return { ...along, order: apply(argsortOp, [along.rows], { descending }) };
}

/**
 * Indices that sort x along an axis (default: the last), u32. Stable in either order: equal elements, and 0 and -0, keep
 * theirs. NaN comes last in either order. No gradient flows.
 *
 * Costs log2(length / 16) merges of all elements, and 12 bytes of memory an element.
 *
 * @param x f32, f16, i32 or u32, of at least one axis.
 */
export function argsort(x: Tensor, options: SortOptions = {}): Tensor {
  const { order, restore } = sorted("argsort", x, options);
  return restore(order);
}

/**
 * x sorted along an axis (default: the last); see {@linkcode argsort}. The gradient goes to where the elements came from.
 *
 * @param x f32, f16 (the result is f32), i32 or u32, of at least one axis.
 */
export function sort(x: Tensor, options: SortOptions = {}): Tensor {
  const { rows, order, restore } = sorted("sort", x, options);
  return restore(takeColumns(rows, order));
}
