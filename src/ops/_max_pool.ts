/**
 * The largest elements of windows, with where they are, and their gradient.
 *
 * @module
 */
import poolKernel from "../../kernels/max_pool.wgsl" with { type: "text" };
import gradKernel from "../../kernels/max_pool_grad.wgsl" with { type: "text" };
import { UnsupportedError } from "../gpu/errors.ts";
import { apply, type Aval, type Node, type Op, sizeOf, Tensor } from "../program/graph.ts";
import { clear } from "../program/copy_rows.ts";
import type { Lowering } from "../program/lowering.ts";
import { leadingAxis } from "./_batch.ts";
import { flatKernel, MOST_TURNS } from "./_rows.ts";
import { moveColumns } from "./_take_columns.ts";
import type { Window } from "./_window.ts";

/** x [..., height, width] to the largest elements and their places in the image, u32, [..., lines, columns] both. */
export const maxPoolOp: Op<Window> = {
  name: "maxPool",
  batch: leadingAxis,
  infer([x], { to }) {
    const shape = [...x!.shape.slice(0, -2), ...to];
    return [{ shape, dtype: "f32" }, { shape, dtype: "u32" }];
  },
  lower(ctx, { avals: [y], attrs }): void {
    const count = sizeOf(y!.shape), [x] = ctx.inputs, [values, places] = ctx.outputs;
    windowKernel(ctx, "maxPool", poolKernel, count, attrs, { x, y: values, places });
  },
  vjp(node, [ct]) {
    return [apply(maxPoolGradOp, [ct!, new Tensor(node as Node, 1)], node.attrs)];
  },
};

/** Gradients of the largest elements, and their places, to the gradient of the image. */
export const maxPoolGradOp: Op<Window> = {
  name: "maxPoolGrad",
  batch: leadingAxis,
  infer: ([g], { from }) => [{ shape: [...g!.shape.slice(0, -2), ...from], dtype: "f32" }],
  lower(ctx, { inputs: [, places], avals: [dx], attrs }): void {
    if (areApart(attrs)) {
      ctx.dispatch(clear(ctx.outputs[0]!));
      return moveColumns(ctx, rowsOf(places!, attrs), true);
    }
    const [g, at] = ctx.inputs;
    windowKernel(
      ctx,
      "maxPoolGrad",
      gradKernel,
      sizeOf(dx!.shape),
      attrs,
      { g, places: at, x_grad: ctx.outputs[0] },
      true,
    );
  },
  vjp: ({ inputs: [, places], attrs }, [ct]) => [apply(pickOp, [ct!, places!], attrs), null],
};

/** The elements of images x at places: the gradient of the gradient. */
const pickOp: Op<Window> = {
  name: "maxPoolPick",
  batch: leadingAxis,
  infer: ([, places]) => [{ shape: places!.shape, dtype: "f32" }],
  lower: (ctx, { inputs: [, places], attrs }) => moveColumns(ctx, rowsOf(places!, attrs), false),
  vjp: ({ inputs: [, places], attrs }, [ct]) => [apply(maxPoolGradOp, [ct!, places!], attrs), null],
};

/** Images as rows. */
function rowsOf(places: Aval, { from, to }: Window): { rows: number; length: number; long: number } {
  const length = sizeOf(to);
  return { rows: sizeOf(places.shape) / length, length, long: sizeOf(from) };
}

/** Whether no element belongs to two windows, so that every place is named at most once. */
const areApart = ({ kernel, stride, dilation }: Window): boolean =>
  kernel.every((size, axis) => (size - 1) * dilation[axis]! < stride[axis]!);

type Buffers = Readonly<Record<string, Lowering["inputs"][number] | undefined>>;

/** Dispatches a kernel in which every thread goes through a window. */
function windowKernel(
  ctx: Lowering,
  name: string,
  source: string,
  count: number,
  { kernel, from, to, stride, padding, dilation }: Window,
  buffers: Buffers,
  strideIsConstant = false,
): void {
  if (ctx.device.kind === "cpu" && kernel[0] * (kernel[1] + 1) > MOST_TURNS) {
    throw new UnsupportedError(
      `Cannot apply ${name}: on a CPU adapter a window may hold about ${MOST_TURNS} elements: it is ${
        kernel.join(" x ")
      }; ` +
        "use max() over axes for the whole image",
    );
  }
  const consts: Record<string, number> = strideIsConstant ? { STRIDE_X: stride[0], STRIDE_Y: stride[1] } : {};
  const assembled = flatKernel(name, source, { device: ctx.device, loops: true, consts });
  const u = { count, kernel, input: from, output: to, padding, dilation, ...(strideIsConstant ? {} : { stride }) };
  ctx.dispatch(assembled.over(count, { ...buffers, u }));
}
