/**
 * Convolutions over images and sequences, in PyTorch's layout, and their transposes.
 *
 * @module
 */
import type { Aval, Tensor } from "../program/graph.ts";
import { checkOptions, type OptionKinds } from "../program/options.ts";
import { checkInput, FLOATS } from "./_check.ts";
import { conv, transposedConv } from "./_conv.ts";
import { asF32 } from "./_float.ts";
import {
  as2d,
  pairOf,
  type PerAxis,
  type Window1dOptions,
  WINDOW_OPTIONS,
  type WindowOptions,
  windowOver,
} from "./_window.ts";
import { add } from "./elementwise.ts";
import { reshape } from "./shape.ts";

/** What convolutions have besides their window. */
export interface ConvChannels {
  /**
   * Groups of neighbouring channels, each convolved by itself: as many groups as input channels make a depth-wise
   * convolution. Default 1.
   */
  readonly groups?: number;
  /** Added to each output channel, f32 [outputs]. Default: nothing. */
  readonly bias?: Tensor;
}

/** Kinds of the options of {@linkcode conv2d} and {@linkcode conv1d}. */
const CONV_OPTIONS: OptionKinds<ConvOptions> = { bias: "one", ...WINDOW_OPTIONS, groups: "one" };

/** Options of {@linkcode conv2d}. */
export interface ConvOptions extends WindowOptions, ConvChannels {}

/** Options of {@linkcode conv1d}. */
export interface Conv1dOptions extends Window1dOptions, ConvChannels {}

/** Options of {@linkcode convTranspose2d}. */
export interface ConvTransposeOptions extends ConvChannels {
  /** Steps between the positions at which the weight is put down. Default 1. */
  readonly stride?: number | PerAxis;
  /** What is cut off on all sides, or as [[top, bottom], [left, right]]. Default 0. */
  readonly padding?: number | readonly [PerAxis, PerAxis];
  /** Lines and columns added at the end, fewer than the stride or the dilation. Default 0. */
  readonly outputPadding?: number | PerAxis;
  /** Steps between the elements of the weight. Default 1. */
  readonly dilation?: number | PerAxis;
}

/**
 * Convolution over images (a cross-correlation, as in all of deep learning): f32 [batch, outputs, lines, columns].
 *
 *     y[n, o, p, q] = bias[o] + sum over c, r, s of x[n, c, p * stride + r * dilation - padding, ...] * weight[o, c, r, s]
 *
 * What lies beyond the image counts as 0. There are floor((height + padding - dilation * (kh - 1) - 1) / stride) + 1 lines,
 * with `padding: "same"` ceil(height / stride) (PyTorch has that for a stride of 1 only).
 *
 * @param x f32 or f16 [batch, inputs, height, width].
 * @param weight f32 or f16 [outputs, inputs / groups, kh, kw].
 * @throws {RangeError} if the shapes do not fit, or the padded image does not hold the window.
 */
export function conv2d(x: Tensor, weight: Tensor, options: ConvOptions = {}): Tensor {
  return convolve("conv2d", x, weight, checkOptions("conv2d", options, CONV_OPTIONS));
}

/**
 * Convolution over sequences: f32 [batch, outputs, positions]; see {@linkcode conv2d}.
 *
 * @param x f32 or f16 [batch, inputs, length].
 * @param weight f32 or f16 [outputs, inputs / groups, k].
 * @throws {RangeError} if the shapes do not fit, or the padded sequence does not hold the window.
 */
export function conv1d(x: Tensor, weight: Tensor, options: Conv1dOptions = {}): Tensor {
  const { groups = 1, bias, ...window } = checkOptions("conv1d", options, CONV_OPTIONS);
  checkInput("conv1d", "the input", x, FLOATS, ["batch", "inputs", "length"]);
  checkInput("conv1d", "weight", weight, FLOATS, ["outputs", "inputs / groups", "k"]);
  const line = (t: Tensor): Tensor => reshape(t, [t.shape[0]!, t.shape[1]!, 1, t.shape[2]!]);
  const y = convolve("conv1d", line(x), line(weight), { ...as2d(window), groups, ...(bias ? { bias } : {}) });
  return reshape(y, [y.shape[0]!, y.shape[1]!, y.shape[3]!]);
}

/**
 * Transposed convolution over images, the gradient of {@linkcode conv2d} by its input: every element of x puts down the
 * weight, times itself, at its place in the result, f32 [batch, outputs, lines, columns].
 *
 * There are (height - 1) * stride - padding + dilation * (kh - 1) + 1 + outputPadding lines.
 *
 * @param x f32 or f16 [batch, inputs, height, width].
 * @param weight f32 or f16 [inputs, outputs / groups, kh, kw].
 * @throws {RangeError} if the shapes do not fit, or nothing is left of the result.
 */
export function convTranspose2d(x: Tensor, weight: Tensor, options: ConvTransposeOptions = {}): Tensor {
  const name = "convTranspose2d";
  const { groups = 1, bias, padding = 0 } = checkOptions(name, options, { ...CONV_OPTIONS, outputPadding: "one" });
  checkOperands(name, x, weight, ["inputs", "outputs / groups"]);
  const [batch, inputs, ...to] = x.shape as [number, number, number, number];
  const [rows, perGroup, ...kernel] = weight.shape as [number, number, number, number];
  checkGroups(name, groups, inputs);
  if (rows !== inputs) refuseChannels(name, weight, `[${inputs},outputs / groups,kh,kw]`);
  const stride = pairOf(name, "stride", options.stride ?? 1, 1);
  const dilation = pairOf(name, "dilation", options.dilation ?? 1, 1);
  const extra = pairOf(name, "outputPadding", options.outputPadding ?? 0, 0);
  const cut = ([0, 1] as const).map((i) =>
    pairOf(name, "padding", typeof padding === "number" ? padding : padding[i], 0)
  );
  const from = ([0, 1] as const).map((i) => {
    if (extra[i] >= Math.max(stride[i], dilation[i])) {
      throw new RangeError(
        `Cannot apply ${name}: outputPadding must be less than the stride or the dilation: it is ${
          extra[i]
        }, and they ` +
          `are ${stride[i]} and ${dilation[i]}`,
      );
    }
    const whole = (to[i]! - 1) * stride[i] + dilation[i] * (kernel[i]! - 1) + 1 + extra[i];
    const left = whole - cut[i]![0] - cut[i]![1];
    if (left < 1) {
      throw new RangeError(
        `Cannot apply ${name}: padding must leave at least 1 of ${whole} ${["lines", "columns"][i]}: it is [${cut[i]}]`,
      );
    }
    return left;
  }) as [number, number];
  const outputs = perGroup * groups, before: PerAxis = [cut[0]![0], cut[1]![0]];
  const sizes = {
    batch,
    inputs: outputs,
    outputs: inputs,
    groups,
    from,
    to,
    kernel,
    stride,
    padding: before,
    dilation,
  };
  return withBias(name, transposedConv(asF32(x), asF32(weight), { name, ...sizes }), bias);
}

function convolve(name: string, x: Tensor, weight: Tensor, { groups = 1, bias, ...options }: ConvOptions): Tensor {
  checkOperands(name, x, weight, ["outputs", "inputs / groups"]);
  const [batch, inputs, ...from] = x.shape as [number, number, number, number];
  const [outputs, perGroup, ...kernel] = weight.shape as [number, number, number, number];
  checkGroups(name, groups, inputs, outputs);
  if (perGroup !== inputs / groups) refuseChannels(name, weight, `[outputs,${inputs / groups},kh,kw]`);
  const window = windowOver(name, from, kernel, options);
  return withBias(name, conv(asF32(x), asF32(weight), { name, batch, inputs, outputs, groups, ...window }), bias);
}

function checkOperands(name: string, x: Aval, weight: Aval, channels: readonly [string, string]): void {
  checkInput(name, "the input", x, FLOATS, ["batch", "inputs", "height", "width"]);
  checkInput(name, "weight", weight, FLOATS, [...channels, "kh", "kw"]);
}

function checkGroups(name: string, groups: number, ...channels: readonly number[]): void {
  if (!Number.isInteger(groups) || groups < 1 || channels.some((n) => n % groups !== 0)) {
    throw new RangeError(
      `Cannot apply ${name}: groups must divide the ${channels.join(" and ")} channels: there are ${groups}`,
    );
  }
}

function refuseChannels(name: string, weight: Tensor, required: string): never {
  throw new RangeError(`Cannot apply ${name}: weight must be ${required}: it is ${weight}`);
}

function withBias(name: string, y: Tensor, bias: Tensor | undefined): Tensor {
  if (!bias) return y;
  checkInput(name, "bias", bias, FLOATS, [y.shape[1]!]);
  return add(y, reshape(bias, [y.shape[1]!, 1, 1]));
}
