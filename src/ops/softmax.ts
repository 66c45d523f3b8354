/**
 * Softmax, log-softmax and log-sum-exp. Safe for any finite input: the row's largest element is subtracted. The kernels work
 * on the last axis; others are moved there.
 *
 * @module
 */
import forwardKernel from "../../kernels/softmax.wgsl" with { type: "text" };
import gradKernel from "../../kernels/softmax_grad.wgsl" with { type: "text" };
import { apply, type Aval, type Node, type Op, sizeOf, Tensor } from "../program/graph.ts";
import type { Bindings, Lowering } from "../program/lowering.ts";
import { checkOptions } from "../program/options.ts";
import { leadingAxis } from "./_batch.ts";
import { rowsAlong } from "./_axis.ts";
import { checkAxes, checkAxis, checkInput, FLOATS } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { lastAxis, rowKernel } from "./_rows.ts";
import { exp, multiply, subtract } from "./elementwise.ts";
import { REDUCE_OPTIONS, type ReduceOptions, sum } from "./reduce.ts";
import { reshape } from "./shape.ts";
import { transpose } from "./transpose.ts";

type Consts = Readonly<Record<string, boolean>>;

/** Dispatches a kernel over the rows of `x`; `buffers` are the kernel's. */
function lowerRows(ctx: Lowering, name: string, source: string, x: Aval, consts: Consts, buffers: Bindings): void {
  const length = lastAxis(x);
  const rows = sizeOf(x.shape) / length;
  const kernel = rowKernel(name, source, { device: ctx.device, length, consts });
  ctx.dispatch(kernel.over(rows, { ...buffers, u: { rows, length: kernel.loads } }));
}

function define(name: string, consts: Consts, vjp: NonNullable<Op<void>["vjp"]>): Op<void> {
  return {
    name,
    infer([x]): Aval[] {
      checkInput(name, "the input", x, "f32", ["...", "length"]);
      return [{ shape: consts.LSE ? x!.shape.slice(0, -1) : x!.shape, dtype: "f32" }];
    },
    lower(ctx, { inputs: [x] }): void {
      lowerRows(ctx, name, forwardKernel, x!, consts, { x: ctx.inputs[0], y: ctx.outputs[0] });
    },
    vjp,
    batch: leadingAxis,
  };
}

function defineGrad(name: string, consts: Consts, vjp: NonNullable<Op<void>["vjp"]>): Op<void> {
  return {
    name,
    infer: ([y]) => [{ shape: y!.shape, dtype: "f32" }],
    lower(ctx, { inputs: [x] }): void {
      const [y, dy] = ctx.inputs, [x_grad] = ctx.outputs;
      lowerRows(ctx, name, gradKernel, x!, consts, { y, dy, x_grad });
    },
    vjp,
    batch: leadingAxis,
  };
}

const rowSum = (x: Tensor): Tensor => sum(x, { axes: [-1], keepDims: true });

const softmaxOp = define(
  "softmax",
  {},
  (node, [dy]) => [apply(softmaxGradOp, [new Tensor(node as Node), dy!], undefined)],
);

const softmaxGradOp = defineGrad("softmaxGrad", {}, ({ inputs: [y, dy] }, [ct]) => [
  subtract(multiply(ct!, subtract(dy!, rowSum(multiply(y!, dy!)))), multiply(dy!, rowSum(multiply(y!, ct!)))),
  apply(softmaxGradOp, [y!, ct!], undefined),
]);

const logSoftmaxOp = define("logSoftmax", { LOG: true }, (node, [dy]) => [
  apply(logSoftmaxGradOp, [new Tensor(node as Node), dy!], undefined),
]);

const logSoftmaxGradOp = defineGrad("logSoftmaxGrad", { LOG: true }, ({ inputs: [y, dy] }, [ct]) => {
  const p = exp(y!);
  return [multiply(multiply(ct!, p), multiply(rowSum(dy!), -1)), subtract(ct!, rowSum(multiply(ct!, p)))];
});

const logSumExpOp = define("logSumExp", { LSE: true }, ({ inputs: [x] }, [dy]) => [
  multiply(softmax(x!), reshape(dy!, [...dy!.shape, 1])),
]);

/** Options of {@linkcode softmax} and {@linkcode logSoftmax}. */
export interface SoftmaxOptions {
  /** The axis along which exp(x) is divided by its sum, negative ones from the end. Default -1. */
  readonly axis?: number;
}

/** An op of rows along any axis. */
function along(op: Op<void>, x: Tensor, axis: number): Tensor {
  checkInput(op.name, "the input", x, FLOATS, ["...", "length"]);
  if (checkAxis(op.name, axis, x.shape.length) === x.shape.length - 1) return apply(op, [asF32(x)], undefined);
  const { rows, restore } = rowsAlong(op.name, asF32(x), axis);
  return restore(apply(op, [rows], undefined));
}

/**
 * exp(x) / sum(exp(x)) along an axis (default: the last). 0 where x is -Infinity, NaN in rows that hold nothing else, and in
 * rows with NaN or Infinity.
 *
 * @param x f32 or f16 (the result is f32), of at least one axis.
 */
export function softmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  return along(softmaxOp, x, checkOptions("softmax", options, { axis: "one" }).axis ?? -1);
}

/**
 * x - log(sum(exp(x))) along an axis (default: the last); exact where softmax underflows. -Infinity where x is, NaN in rows
 * that hold nothing else, and in rows with NaN or Infinity.
 *
 * @param x f32 or f16 (the result is f32), of at least one axis.
 */
export function logSoftmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  return along(logSoftmaxOp, x, checkOptions("logSoftmax", options, { axis: "one" }).axis ?? -1);
}

/**
 * log(sum(exp(x))) over `axes` (default: the last one alone). -Infinity where all elements are -Infinity, Infinity where one
 * is Infinity and none NaN, NaN where one is NaN.
 *
 * @param x f32 or f16 (the result is f32), of at least one axis.
 */
export function logSumExp(x: Tensor, options: ReduceOptions = {}): Tensor {
  checkOptions("logSumExp", options, REDUCE_OPTIONS);
  checkInput("logSumExp", "the input", x, FLOATS, ["...", "length"]);
  const rank = x.shape.length, axes = checkAxes("logSumExp", options.axes ?? [-1], rank);
  const kept = x.shape.map((_, i) => i).filter((i) => !axes.includes(i)), outer = kept.map((i) => x.shape[i]!);
  const moved = transpose(asF32(x), [...kept, ...axes]);
  const y = apply(logSumExpOp, [reshape(moved, [...outer, x.size / sizeOf(outer)])], undefined);
  return options.keepDims ? reshape(y, x.shape.map((n, i) => axes.includes(i) ? 1 : n)) : y;
}

/** The ops, for tests of a single kernel. */
export const softmaxOps: Readonly<
  Record<"softmax" | "softmaxGrad" | "logSoftmax" | "logSoftmaxGrad" | "logSumExp", Op<void>>
> = {
  softmax: softmaxOp,
  softmaxGrad: softmaxGradOp,
  logSoftmax: logSoftmaxOp,
  logSoftmaxGrad: logSoftmaxGradOp,
  logSumExp: logSumExpOp,
};
