/**
 * Convolution and its gradients on CPU adapters with subgroups of 8: threads keep segments of lines in registers.
 *
 * @module
 */
import rowsKernel from "../../kernels/conv_rows.wgsl" with { type: "text" };
import weightKernel from "../../kernels/conv_weight_rows.wgsl" with { type: "text" };
import { type DeviceProfile, sharingLanes } from "../gpu/device.ts";
import { kernel } from "../gpu/kernel.ts";
import { avoidable, avoids } from "../gpu/kernel_choices.ts";
import { sizeOf } from "../program/graph.ts";
import type { Lowering } from "../program/lowering.ts";
import type { Conv } from "./_window.ts";
import { MOST_TURNS } from "./_rows.ts";
import { sumParts } from "./matmul_lowering.ts";
import { columnChunks } from "./reduce.ts";

/** Threads of a workgroup, which is a subgroup. */
const LANES = 8;

/** Operations that repay the longer compilation. */
const LEAST_FLOP = 1e6;

/** Columns of the weight, and elements of it for the weight's gradient, at most: more take too long to compile. */
const MOST_COLUMNS = 7, MOST_ELEMENTS = 25;

/** Whether steps along a line are 1, the work is worth it and the device has the lanes. */
function fits(device: DeviceProfile, { stride, dilation }: Conv, flop: number): boolean {
  if (sharingLanes(device) !== LANES || avoids(device, avoidable.segments)) return false;
  return stride[1] === 1 && dilation[1] === 1 && flop >= LEAST_FLOP;
}

/** Whether {@linkcode lowerSegments} takes a convolution, or the transposed one, of so many operations. */
export function areSegments(device: DeviceProfile, conv: Conv, transposed: boolean, flop: number): boolean {
  const { stride, kernel, inputs, outputs, groups } = conv, terms = sizeOf(kernel) * Math.max(inputs, outputs) / groups;
  return fits(device, conv, flop) && (!transposed || stride[0] === 1) && kernel[1] <= MOST_COLUMNS &&
    terms < MOST_TURNS;
}

/** As {@linkcode areSegments}, for {@linkcode lowerWeightSegments}. */
export function areWeightSegments(device: DeviceProfile, conv: Conv, flop: number): boolean {
  return fits(device, conv, flop) && sizeOf(conv.kernel) <= MOST_ELEMENTS && conv.to[1] < MOST_TURNS / 4;
}

/** Channels of the result that a thread computes, of so many in a group: whole loads of a subgroup. */
const channelsOf = (channels: number): 8 | 16 => channels > 8 ? 16 : 8;

/** Dispatches a convolution, or the transposed one. */
export function lowerSegments(ctx: Lowering, conv: Conv, transposed: boolean, flop: number): void {
  const { batch, groups, kernel: size, stride, padding, dilation } = conv;
  const inputs = conv.inputs / groups, outputs = conv.outputs / groups, taps = sizeOf(size);
  const [input, output] = transposed ? [conv.to, conv.from] : [conv.from, conv.to];
  const [ins, outs] = transposed ? [outputs, inputs] : [inputs, outputs];
  const [inStep, outStep] = transposed ? [inputs * taps, taps] : [taps, inputs * taps];
  const CHANNELS = channelsOf(outs), VECS = output[1] > 4 ? 2 : 1, wide = output[1] % 4 === 0;
  const emit = ctx.emit(wide ? 4 : 1);
  const complete = kernel(transposed ? "convInputGrad/rows" : "conv/rows", rowsKernel, {
    consts: {
      ...{ TRANSPOSED: transposed, WIDE: wide, LANES, CHANNELS, KERNEL_Y: size[1], VECS },
      ...{
        VALUES: 4 * VECS + size[1] - 1,
        LOADS: Math.ceil(size[1] * CHANNELS / LANES),
        SHIFTS: (CHANNELS - 1) * VECS,
      },
    },
    hooks: { emit: emit.code },
  });
  const tiles = Math.ceil(output[1] / (4 * VECS)), blocks = Math.ceil(outs / CHANNELS);
  const positions = batch * output[0] * tiles, across = Math.ceil(positions / LANES);
  const u = {
    ...{ workgroups: groups * blocks * across, across, positions, tiles, blocks, groups },
    ...{ in_channels: ins, out_channels: outs, in_step: inStep, out_step: outStep },
    ...{ kernel_x: size[0], stride_x: stride[0], dilation_x: dilation[0], input, output, padding },
  };
  const bound = complete.bind({ x: ctx.inputs[0], w: ctx.inputs[1], u, ...emit.bindings });
  ctx.dispatch({ ...bound, workgroups: u.workgroups, flop });
}

/** Dispatches the gradient by the weight: partial sums over lines, and their sum. */
export function lowerWeightSegments(ctx: Lowering, conv: Conv, flop: number): void {
  const { batch, groups, kernel: size, from, to, stride, padding, dilation } = conv;
  const inputs = conv.inputs / groups, outputs = conv.outputs / groups, results = conv.outputs * inputs * sizeOf(size);
  const CHANNELS = channelsOf(outputs), blocks = Math.ceil(outputs / CHANNELS), SHARE = inputs % LANES === 0;
  const threads = groups * blocks * inputs, lines = batch * to[0];
  const part = Math.ceil(lines / Math.min(lines, columnChunks(ctx, threads, lines * to[1])));
  const parts = Math.ceil(lines / part);
  const partial = ctx.scratch(4 * parts * results);
  const complete = kernel("convWeightGrad/rows", weightKernel, {
    consts: {
      ...{ SHARE, LANES, CHANNELS, FOURS: CHANNELS / 4, LOADS: SHARE ? CHANNELS / LANES : CHANNELS },
      ...{ KERNEL_X: size[0], KERNEL_Y: size[1], KEPT: size[1] - 1 },
    },
  });
  const u = {
    ...{ count: parts * threads, blocks, groups, lines, part, in_channels: inputs, out_channels: outputs },
    ...{ stride_x: stride[0], dilation_x: dilation[0], input: from, output: to, padding },
  };
  const bound = complete.bind({ x: ctx.inputs[0], g: ctx.inputs[1], u, partial });
  ctx.dispatch({ ...bound, workgroups: Math.ceil(u.count / LANES), flop });
  const width = size[1] % 4 === 0 ? 4 : 1;
  ctx.dispatch(sumParts(partial, ctx.emit(width), width, results, parts));
}
