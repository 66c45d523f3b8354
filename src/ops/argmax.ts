/**
 * Where the largest and the smallest element along an axis are.
 *
 * @module
 */
import source from "../../kernels/argmax.wgsl" with { type: "text" };
import { apply, type Op, type Tensor } from "../program/graph.ts";
import { checkOptions, type OptionKinds } from "../program/options.ts";
import { firstAxis } from "./_batch.ts";
import { rowsAlong } from "./_axis.ts";
import { checkInput } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { keysCode, ORDERED } from "./_keys.ts";
import { rowKernel } from "./_rows.ts";
import { reshape } from "./shape.ts";

/** Options of {@linkcode argmax} and {@linkcode argmin}. */
export interface ArgmaxOptions {
  /** The axis along which to look, negative ones from the end. Default -1. */
  readonly axis?: number;
  /** Keep the axis with length 1. Default false. */
  readonly keepDims?: boolean;
}

/** x [rows, columns] to u32 [rows, 1]. */
function define(name: string, descending: boolean): Op<void> {
  return {
    name,
    batch: firstAxis,
    infer([x]) {
      checkInput(name, "the input", x, ORDERED, ["rows", "columns"]);
      return [{ shape: [x!.shape[0]!, 1], dtype: "u32" }];
    },
    lower(ctx, { inputs: [x] }): void {
      const [rows, length] = x!.shape as [number, number];
      const kernel = rowKernel(name, source, {
        device: ctx.device,
        length,
        hooks: { keys: keysCode(x!.dtype, descending) },
      });
      ctx.dispatch(kernel.over(rows, { x: ctx.inputs[0], y: ctx.outputs[0], u: { rows, length: kernel.loads } }));
    },
    vjp: () => [null],
  };
}

/** The op, for tests of a single kernel. */
export const argmaxOp: Op<void> = define("argmax", false);
/** The op, for tests of a single kernel. */
export const argminOp: Op<void> = define("argmin", true);

/** Kinds of {@linkcode ArgmaxOptions}. */
export const ARGMAX_OPTIONS: OptionKinds<ArgmaxOptions> = { axis: "one", keepDims: "one" };

function along(op: Op<void>, x: Tensor, options: ArgmaxOptions): Tensor {
  const { axis = -1, keepDims = false } = checkOptions(op.name, options, ARGMAX_OPTIONS);
  checkInput(op.name, "the input", x, [...ORDERED, "f16"]);
  const { rows, restore } = rowsAlong(op.name, asF32(x), axis);
  const y = restore(apply(op, [rows], undefined));
  return keepDims ? y : reshape(y, y.shape.toSpliced(axis < 0 ? axis + y.shape.length : axis, 1));
}

/**
 * Index of the largest element along an axis (default: the last), u32; among equal ones the lowest. Where there is NaN, the
 * index of the first NaN, as in NumPy and PyTorch. No gradient flows. To leave elements out, add a mask of -1e30 before.
 *
 * @param x f32, f16, i32 or u32, of at least one axis.
 */
export function argmax(x: Tensor, options: ArgmaxOptions = {}): Tensor {
  return along(argmaxOp, x, options);
}

/**
 * Index of the smallest element along an axis (default: the last), u32; among equal ones the lowest. Where there is NaN, the
 * index of the first NaN. No gradient flows.
 *
 * @param x f32, f16, i32 or u32, of at least one axis.
 */
export function argmin(x: Tensor, options: ArgmaxOptions = {}): Tensor {
  return along(argminOp, x, options);
}
