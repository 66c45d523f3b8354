/**
 * Axes in another order.
 *
 * @module
 */
import source from "../../kernels/transpose.wgsl" with { type: "text" };
import { apply, type Aval, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import { checkAxis, checkInput } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { flatKernel } from "./_rows.ts";
import { reshape } from "./shape.ts";

interface Attrs {
  readonly permutation: readonly number[];
}

/** An axis of the result: its length and the step in the input. */
interface Axis {
  readonly length: number;
  readonly stride: number;
}

/** Result axis i is input axis permutation[i]. */
export const transposeOp: Op<Attrs> = {
  name: "transpose",
  infer([x], { permutation }): Aval[] {
    checkInput("transpose", "the input", x, ["f32", "i32", "u32"]);
    return [{ shape: permutation.map((axis) => x!.shape[axis]!), dtype: x!.dtype }];
  },
  lower(ctx, { inputs: [x], attrs: { permutation } }): void {
    const axes = mergedAxes(x!.shape, permutation).reverse();
    const width = axes[0]!.stride === 1 && axes[0]!.length % 4 === 0 ? 4 : 1;
    const consts = { VECTOR: width === 4, RANK: axes.length };
    const kernel = flatKernel("transpose", source, { device: ctx.device, consts });
    const count = sizeOf(x!.shape) / width;
    const sizes = axes.flatMap(({ length, stride }, i) => [
      [`length${i}`, i === 0 ? length / width : length],
      [`stride${i}`, i === 0 ? stride : stride / width],
    ]);
    const u = { count, ...Object.fromEntries(sizes) as Record<string, number> };
    ctx.dispatch(kernel.over(count, { x: ctx.inputs[0], y: ctx.outputs[0], u }));
  },
  vjp: ({ attrs: { permutation } }, [ct]) => [transpose(ct!, permutation.map((_, axis) => permutation.indexOf(axis)))],
};

/** Axes of the result without those of length 1, neighbours merged where they are neighbours in the input too. */
function mergedAxes(shape: readonly number[], permutation: readonly number[]): Axis[] {
  const axes: Axis[] = [];
  for (const axis of permutation) {
    const next = { length: shape[axis]!, stride: sizeOf(shape.slice(axis + 1)) };
    const last = axes[axes.length - 1];
    if (next.length === 1) continue;
    if (last?.stride === next.length * next.stride) {
      axes[axes.length - 1] = { length: last.length * next.length, stride: next.stride };
    } else axes.push(next);
  }
  return axes.length ? axes : [{ length: 1, stride: 1 }];
}

/**
 * Result axis i is axis `permutation[i]` of x; by default the axes are reversed. A permutation that moves no data is a view.
 *
 * @param x f32, i32, u32, or f16 (the result is f32), any shape.
 * @param permutation Every axis once.
 */
export function transpose(x: Tensor, permutation?: readonly number[]): Tensor {
  const rank = x.shape.length;
  const order = (permutation ?? x.shape.map((_, i) => rank - 1 - i)).map((axis) => checkAxis("transpose", axis, rank));
  if (order.length !== rank || new Set(order).size !== rank) {
    throw new RangeError(
      `Cannot apply transpose: every one of ${rank} axes must appear once: permutation is [${permutation}]`,
    );
  }
  x = asF32(x);
  if (mergedAxes(x.shape, order).length === 1) return reshape(x, order.map((axis) => x.shape[axis]!));
  return apply(transposeOp, [x], { permutation: order });
}
