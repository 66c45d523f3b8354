/**
 * 16-bit floats as the kernels take them.
 *
 * @module
 */
import { apply, type Op, type Tensor } from "../program/graph.ts";
import { leadingAxis } from "./_batch.ts";

/** As `cast` does; a file of its own, for the ops below the element-wise ones need it. */
const widenOp: Op<null> = {
  name: "cast",
  infer: ([x]) => [{ shape: x!.shape, dtype: "f32" }],
  batch: leadingAxis,
  expression: () => ({ text: "V($0)" }),
  vjp: (_, [ct]) => [ct!],
};

/** f16 as f32, anything else as it is. f16 is a type to store: kernels of rows compute in f32, and so are their results. */
export function asF32(x: Tensor): Tensor {
  return x.dtype === "f16" ? apply(widenOp, [x], null) : x;
}
