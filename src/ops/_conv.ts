/**
 * Convolution and its two gradients. All three are linear in both operands, and each is a gradient of the others, so that
 * these rules are closed under differentiation.
 *
 * @module
 */
import convKernel from "../../kernels/conv.wgsl" with { type: "text" };
import weightGradKernel from "../../kernels/conv_weight_grad.wgsl" with { type: "text" };
import { apply, type Aval, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import type { Lowering } from "../program/lowering.ts";
import { type BatchRule, folded, unfolded } from "./_batch.ts";
import { checkInput } from "./_check.ts";
import { areSegments, areWeightSegments, lowerSegments, lowerWeightSegments } from "./_conv_rows.ts";
import { flatKernel } from "./_rows.ts";
import type { Conv } from "./_window.ts";
import { storeTo, sumParts } from "./matmul_lowering.ts";
import { columnChunks } from "./reduce.ts";

const inputShape = ({ batch, inputs, from }: Conv): number[] => [batch, inputs, ...from];
const weightShape = ({ outputs, inputs, groups, kernel }: Conv): number[] => [outputs, inputs / groups, ...kernel];
const resultShape = ({ batch, outputs, to }: Conv): number[] => [batch, outputs, ...to];

function check(conv: Conv, [a, b]: readonly Aval[], roles: readonly [string, string], shapes: number[][]): void {
  checkInput(conv.name, roles[0], a, "f32", shapes[0]!);
  checkInput(conv.name, roles[1], b, "f32", shapes[1]!);
}

/** Images of all elements of a batch in one convolution, if the weight is the same for all. */
const images: BatchRule<Conv> = ([x, weight], conv, { size, batched, apply }) =>
  batched[1] ? undefined : unfolded(apply([...folded([x!]), weight!], { ...conv, batch: size * conv.batch }), size);

/** x and weight to the result. */
export const convOp: Op<Conv> = {
  name: "conv",
  batch: images,
  emits: true,
  infer(inputs, conv): Aval[] {
    check(conv, inputs, ["the input", "weight"], [inputShape(conv), weightShape(conv)]);
    return [{ shape: resultShape(conv), dtype: "f32" }];
  },
  lower: (ctx, { attrs }) => lowerConv(ctx, attrs, false),
  vjp({ inputs: [x, weight], attrs }, [ct]) {
    return [apply(convInputGradOp, [ct!, weight!], attrs), apply(convWeightGradOp, [x!, ct!], attrs)];
  },
};

/** A gradient of the result and weight to that of x: the transposed convolution. */
export const convInputGradOp: Op<Conv> = {
  name: "convInputGrad",
  batch: images,
  emits: true,
  infer(inputs, conv): Aval[] {
    check(conv, inputs, ["the input", "weight"], [resultShape(conv), weightShape(conv)]);
    return [{ shape: inputShape(conv), dtype: "f32" }];
  },
  lower: (ctx, { attrs }) => lowerConv(ctx, attrs, true),
  vjp({ inputs: [g, weight], attrs }, [ct]) {
    return [apply(convOp, [ct!, weight!], attrs), apply(convWeightGradOp, [ct!, g!], attrs)];
  },
};

/** x and a gradient of the result to that of weight. */
export const convWeightGradOp: Op<Conv> = {
  name: "convWeightGrad",
  emits: true,
  infer(inputs, conv): Aval[] {
    check(conv, inputs, ["the input", "the gradient"], [inputShape(conv), resultShape(conv)]);
    return [{ shape: weightShape(conv), dtype: "f32" }];
  },
  lower: (ctx, { attrs }) => lowerWeightGrad(ctx, attrs),
  vjp({ inputs: [x, g], attrs }, [ct]) {
    return [apply(convInputGradOp, [g!, ct!], attrs), apply(convOp, [x!, ct!], attrs)];
  },
};

/** The convolution of x [batch, inputs, ...from] and weight [outputs, inputs / groups, ...kernel]. */
export function conv(x: Tensor, weight: Tensor, attrs: Conv): Tensor {
  return apply(convOp, [x, weight], attrs);
}

/** The transposed convolution of x [batch, outputs, ...to] and weight [outputs, inputs / groups, ...kernel]. */
export function transposedConv(x: Tensor, weight: Tensor, attrs: Conv): Tensor {
  return apply(convInputGradOp, [x, weight], attrs);
}

/** Channels of the result that a thread computes, of so many in a group. */
const channelsPerThread = (channels: number): 1 | 2 | 4 => channels > 2 ? 4 : channels === 2 ? 2 : 1;

function lowerConv(ctx: Lowering, conv: Conv, transposed: boolean): void {
  const flop = flopOf(conv);
  if (areSegments(ctx.device, conv, transposed, flop)) return lowerSegments(ctx, conv, transposed, flop);
  const { batch, groups, kernel, stride, padding, dilation } = conv;
  const taps = sizeOf(kernel), inputs = conv.inputs / groups, outputs = conv.outputs / groups;
  const [from, to] = transposed ? [conv.to, conv.from] : [conv.from, conv.to];
  const [ins, outs] = transposed ? [outputs, inputs] : [inputs, outputs];
  const [inStep, outStep] = transposed ? [inputs * taps, taps] : [taps, inputs * taps];
  run(ctx, {
    name: transposed ? "convInputGrad" : "conv",
    source: convKernel,
    consts: { TRANSPOSED: transposed, WIDE: to[1] % 4 === 0 },
    buffers: ["x", "w"],
    width: to[1] % 4 === 0 ? 4 : 1,
    columns: sizeOf(to),
    outer: batch,
    terms: taps * ins,
    channels: outs,
    results: batch * groups * outs * sizeOf(to),
    flop,
    groups,
    sizes: {
      ...{ batch, in_channels: ins, out_channels: outs, in_step: inStep, out_step: outStep },
      ...{ kernel, input: from, output: to, stride, padding, dilation },
    },
  });
}

function lowerWeightGrad(ctx: Lowering, conv: Conv): void {
  const flop = flopOf(conv);
  if (areWeightSegments(ctx.device, conv, flop)) return lowerWeightSegments(ctx, conv, flop);
  const { batch, groups, kernel, from, to, stride, padding, dilation } = conv;
  const inputs = conv.inputs / groups, outputs = conv.outputs / groups;
  run(ctx, {
    name: "convWeightGrad",
    source: weightGradKernel,
    consts: {},
    buffers: ["x", "g"],
    width: 1,
    columns: inputs * sizeOf(kernel),
    outer: 1,
    terms: batch * sizeOf(to),
    channels: outputs,
    results: sizeOf(weightShape(conv)),
    flop,
    groups,
    sizes: {
      ...{ batch, in_channels: inputs, out_channels: outputs },
      ...{ kernel, input: from, output: to, stride, padding, dilation },
    },
  });
}

/** Operations of each of the three: every element of the result meets a window of the input. */
function flopOf(conv: Conv): number {
  return 2 * sizeOf(resultShape(conv)) * sizeOf(weightShape(conv).slice(1));
}

/** A sum of `terms` products for each of [outer, groups, channels, columns] results. */
interface Products {
  readonly name: string;
  readonly source: string;
  readonly consts: Record<string, boolean>;
  /** Names of the inputs. */
  readonly buffers: readonly [string, string];
  /** What `emit` takes. */
  readonly width: 1 | 4;
  readonly columns: number;
  readonly outer: number;
  readonly terms: number;
  readonly channels: number;
  readonly groups: number;
  readonly results: number;
  readonly flop: number;
  /** Further uniforms. */
  readonly sizes: Readonly<Record<string, number | readonly number[]>>;
}

/** Dispatches the products; where they keep too few threads busy, or one too long, the sums are cut into parts. */
function run(ctx: Lowering, { buffers, width, terms, results, groups, ...p }: Products): void {
  const CHANNELS = channelsPerThread(p.channels);
  const tiles = Math.ceil(p.columns / 4), blocks = Math.ceil(p.channels / CHANNELS);
  const threads = p.outer * groups * blocks * tiles;
  const parts = columnChunks(ctx, threads, terms);
  const partial = parts > 1 ? ctx.scratch(4 * parts * results) : undefined;
  const emit = partial ? storeTo(partial, width) : ctx.emit(width);
  const kernel = flatKernel(`${p.name}${partial ? "/parts" : ""}`, p.source, {
    device: ctx.device,
    loops: true,
    consts: { ...p.consts, CHANNELS, SHIFTS: CHANNELS - 1 },
    hooks: { emit: emit.code },
  });
  const count = threads * parts;
  const u = { count, tiles, blocks, groups, part: Math.ceil(terms / parts), ...p.sizes };
  const inputs = { [buffers[0]]: ctx.inputs[0], [buffers[1]]: ctx.inputs[1] };
  ctx.dispatch({ ...kernel.over(count, { ...inputs, u, ...emit.bindings }), flop: p.flop });
  if (partial) ctx.dispatch(sumParts(partial, ctx.emit(width), width, results, parts));
}
