/**
 * LayerNorm over the last axis.
 *
 * @module
 */
import forwardKernel from "../../kernels/layer_norm.wgsl" with { type: "text" };
import gradKernel from "../../kernels/layer_norm_grad.wgsl" with { type: "text" };
import parametersKernel from "../../kernels/layer_norm_parameters.wgsl" with { type: "text" };
import { applyAll, type Aval, type Node, type Op, sizeOf, Tensor } from "../program/graph.ts";
import type { Lowering } from "../program/lowering.ts";
import { checkInput } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { flatKernel, lastAxis, rowKernel, widthOf } from "./_rows.ts";
import { full } from "./full.ts";
import { reshape } from "./shape.ts";
import { add, multiply, square, subtract } from "./elementwise.ts";
import { rsqrt } from "./math.ts";
import { columnChunks, mean, reduceColumns, sumTo } from "./reduce.ts";

interface Attrs {
  readonly eps: number;
}

/**
 * (x, weight, bias); the kernels call the latter gamma and beta. Result 0 is y; 1 is the mean minus the row's first element, 2
 * is 1 / sqrt(variance + eps), for the gradient.
 */
export const layerNormOp: Op<Attrs> = {
  name: "layerNorm",
  emits: true,
  infer([x, weight, bias], { eps }): Aval[] {
    checkInput("layerNorm", "the input", x, "f32", ["...", "length"]);
    checkInput("layerNorm", "weight", weight, "f32", [lastAxis(x!)]);
    checkInput("layerNorm", "bias", bias, "f32", [lastAxis(x!)]);
    if (!(eps > 0)) throw new RangeError(`Cannot apply layerNorm: eps must be above 0: it is ${eps}`);
    const rows: Aval = { shape: x!.shape.slice(0, -1), dtype: "f32" };
    return [{ shape: x!.shape, dtype: "f32" }, rows, rows];
  },
  batch([given, weight, bias], attrs, { size, batched, apply, whole }): Tensor[] {
    const x = batched[0] ? given : whole()[0];
    if (!batched[1] && !batched[2]) return apply([x!, weight!, bias!], attrs);
    // Statistics once, then the parameters of each element of the batch.
    const length = lastAxis(x!), [normal, ...rest] = apply([x!, full([length], 1), full([length], 0)], attrs);
    const own = (p: Tensor, i: number): Tensor =>
      batched[i] ? reshape(p, [size, ...normal!.shape.slice(1, -1).map(() => 1), length]) : p;
    return [add(multiply(normal!, own(weight!, 1)), own(bias!, 2)), ...rest];
  },
  lower(ctx, { inputs: [x], attrs: { eps } }): void {
    const length = lastAxis(x!), rows = sizeOf(x!.shape) / length;
    const emit = ctx.emit(widthOf(length));
    const kernel = rowKernel("layerNorm", forwardKernel, { device: ctx.device, length, hooks: { emit: emit.code } });
    const [xRef, gamma, beta] = ctx.inputs, [, offsets, rstds] = ctx.outputs;
    const u = { rows, length: kernel.loads, eps };
    ctx.dispatch(kernel.over(rows, { x: xRef, gamma, beta, offsets, rstds, u, ...emit.bindings }));
  },
  vjp(node, [dy]) {
    const [x, gamma] = node.inputs;
    const statistics = [1, 2].map((i) => new Tensor(node as Node, i));
    return dy ? applyAll(layerNormGradOp, [x!, gamma!, ...statistics, dy], node.attrs) : [null, null, null];
  },
};

/** (x, gamma, offset, rstd, dy) to (dx, dgamma, dbeta). */
export const layerNormGradOp: Op<Attrs> = {
  name: "layerNormGrad",
  emits: true,
  infer: ([x, gamma]) => [x!, gamma!, gamma!].map(({ shape }) => ({ shape, dtype: "f32" })),
  lower(ctx, { inputs: [x] }): void {
    const length = lastAxis(x!), rows = sizeOf(x!.shape) / length;
    const emit = ctx.emit(widthOf(length)), hooks = { emit: emit.code };
    const kernel = rowKernel("layerNormGrad/input", gradKernel, { device: ctx.device, length, hooks });
    const [xRef, gamma, offsets, rstds, dy] = ctx.inputs;
    const u = { rows, length: kernel.loads };
    ctx.dispatch(kernel.over(rows, { x: xRef, gamma, offsets, rstds, dy, u, ...emit.bindings }));
    lowerParameters(ctx, rows, length);
  },
  compose([x, gamma, , , dy], { eps }): Tensor[] {
    const centred = subtract(x!, rowMean(x!)), scale = rsqrt(add(rowMean(square(centred)), eps));
    const normal = multiply(centred, scale), g = multiply(dy!, gamma!);
    const projected = add(rowMean(g), multiply(normal, rowMean(multiply(g, normal))));
    const dx = multiply(scale, subtract(g, projected));
    return [dx, sumTo(multiply(dy!, normal), gamma!.shape), sumTo(dy!, gamma!.shape)];
  },
};

const rowMean = (x: Tensor): Tensor => mean(x, { axes: [-1], keepDims: true });

/** Gradients of gamma and beta: partial sums over chunks of rows, then over the chunks. */
function lowerParameters(ctx: Lowering, rows: number, length: number): void {
  const [x, , offsets, rstds, dy] = ctx.inputs;
  const width = widthOf(length), columns = length / width;
  const chunks = columnChunks(ctx, columns, rows);
  const results = ctx.outputs.slice(1);
  const partial = chunks === 1 ? results : results.map(() => ctx.scratch(chunks * length * 4));
  const options = { device: ctx.device, loops: true, consts: { VECTOR: width === 4 } };
  const kernel = flatKernel("layerNormGrad/parameters", parametersKernel, options);
  const [dgamma, dbeta] = partial;
  const u = { count: chunks * columns, rows, length: columns, chunk: Math.ceil(rows / chunks) };
  ctx.dispatch(kernel.over(u.count, { x, dy, offsets, rstds, dgamma, dbeta, u }));
  if (chunks === 1) return;
  partial.forEach((from, i) => {
    reduceColumns("sum", ctx, from, results[i]!, { outer: 1, length: chunks, inner: length, scale: 1 });
  });
}

/**
 * LayerNorm over the last axis: `(x - mean) / sqrt(variance + eps) * weight + bias` (Ba et al. 2016), with the biased variance
 * computed in a second pass, so that nothing cancels. A constant row gives `bias`.
 *
 * @param x f32 or f16 (the result is f32) [..., length].
 * @param weight f32 [length].
 * @param bias f32 [length].
 * @param eps Added to the variance; 1e-6 in ViT, 1e-12 in BERT.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, eps: number): Tensor {
  return applyAll(layerNormOp, [asF32(x), weight, bias], { eps })[0]!;
}
