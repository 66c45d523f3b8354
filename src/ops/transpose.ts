/**
 * Axes in another order.
 *
 * @module
 */
import { apply, type Aval, type Op, type Tensor } from "../program/graph.ts";
import { checkAxis, checkInput } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { type CopyAxis, mergedAxes, stridedCopy, stridesOf } from "./_strided_copy.ts";
import { reshape } from "./shape.ts";

interface Attrs {
  readonly permutation: readonly number[];
}

/** Result axis i is input axis permutation[i]. */
export const transposeOp: Op<Attrs> = {
  name: "transpose",
  infer([x], { permutation }): Aval[] {
    checkInput("transpose", "the input", x, ["f32", "i32", "u32"]);
    return [{ shape: permutation.map((axis) => x!.shape[axis]!), dtype: x!.dtype }];
  },
  lower(ctx, { inputs: [x], attrs: { permutation } }): void {
    stridedCopy(ctx, "transpose", copyAxes(x!.shape, permutation));
  },
  batch: ([x], { permutation }) => [transpose(x!, [0, ...permutation.map((axis) => axis + 1)])],
  vjp: ({ attrs: { permutation } }, [ct]) => [transpose(ct!, permutation.map((_, axis) => permutation.indexOf(axis)))],
};

function copyAxes(shape: readonly number[], permutation: readonly number[]): CopyAxis[] {
  const strides = stridesOf(shape);
  return permutation.map((axis) => ({ length: shape[axis]!, stride: strides[axis]! }));
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
  if (mergedAxes(copyAxes(x.shape, order)).length === 1) return reshape(x, order.map((axis) => x.shape[axis]!));
  return apply(transposeOp, [x], { permutation: order });
}
