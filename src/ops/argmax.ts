/**
 * Index of the largest element of each row.
 *
 * @module
 */
import source from "../../kernels/argmax.wgsl" with { type: "text" };
import { apply, type Op, type Tensor } from "../program/graph.ts";
import { checkInput } from "./_check.ts";
import { rowKernel } from "./_rows.ts";

/** x [rows, columns] to u32 [rows]. */
export const argmaxOp: Op<void> = {
  name: "argmax",
  infer([x]) {
    checkInput("argmax", "the input", x, "f32", ["rows", "columns"]);
    return [{ shape: x!.shape.slice(0, 1), dtype: "u32" }];
  },
  lower(ctx, { inputs: [x] }): void {
    const [rows, length] = x!.shape as [number, number];
    const kernel = rowKernel("argmax", source, { device: ctx.device, length });
    const u = { rows, length: kernel.loads };
    ctx.dispatch(kernel.over(rows, { x: ctx.inputs[0], y: ctx.outputs[0], u }));
  },
  vjp: () => [null],
};

/**
 * Column of the largest element of each row, u32 [rows]; among equal ones the lowest. No gradient flows. To leave columns
 * out, add a mask of -1e30 before.
 *
 * @param x f32 [rows, columns].
 */
export function argmax(x: Tensor): Tensor {
  return apply(argmaxOp, [x], undefined);
}
