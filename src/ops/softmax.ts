/**
 * Softmax, log-softmax and log-sum-exp over the last axis. Safe for any finite input: the row's largest element is subtracted.
 * A row with NaN or Infinity gives NaN.
 *
 * @module
 */
import forwardKernel from "../../kernels/softmax.wgsl" with { type: "text" };
import gradKernel from "../../kernels/softmax_grad.wgsl" with { type: "text" };
import { apply, type Aval, type Node, type Op, sizeOf, Tensor } from "../program/graph.ts";
import type { Bindings, Lowering } from "../program/lowering.ts";
import { checkInput } from "./_check.ts";
import { lastAxis, rowKernel } from "./_rows.ts";
import { exp, multiply, subtract } from "./elementwise.ts";
import { sum } from "./reduce.ts";
import { reshape } from "./shape.ts";

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
  };
}

function defineGrad(name: string, consts: Consts, vjp: NonNullable<Op<void>["vjp"]>): Op<void> {
  return {
    name,
    infer: ([y]) => [{ shape: y!.shape, dtype: "f32" }],
    lower(ctx, { inputs: [x] }): void {
      const [y, dy] = ctx.inputs, [dx] = ctx.outputs;
      lowerRows(ctx, name, gradKernel, x!, consts, { y, dy, dx });
    },
    vjp,
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

/**
 * exp(x) / sum(exp(x)) over the last axis. 0 where x is -Infinity, NaN in rows that hold nothing else, and in rows with NaN.
 *
 * @param x f32 [..., length].
 */
export function softmax(x: Tensor): Tensor {
  return apply(softmaxOp, [x], undefined);
}

/**
 * x - log(sum(exp(x))) over the last axis; exact where softmax underflows. -Infinity where x is, NaN in rows that hold nothing
 * else, and in rows with NaN.
 */
export function logSoftmax(x: Tensor): Tensor {
  return apply(logSoftmaxOp, [x], undefined);
}

/**
 * log(sum(exp(x))) over the last axis, [..., length] to [...]. -Infinity for a row of nothing but -Infinity, NaN for a row
 * with NaN.
 */
export function logSumExp(x: Tensor): Tensor {
  return apply(logSumExpOp, [x], undefined);
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
