/**
 * Windows that move over the two last axes of images: what convolutions and pooling share.
 *
 * @module
 */
import type { OptionKinds } from "../program/options.ts";

/** A number for the lines and one for the columns. */
export type PerAxis = readonly [number, number];

/**
 * What is put around an image: the same on all sides; [[top, bottom], [left, right]]; as much as gives ceil(size / stride)
 * positions, the odd one at the end ("same"); nothing ("valid").
 */
export type Padding = number | readonly [PerAxis, PerAxis] | "same" | "valid";

/** How a window moves. */
export interface WindowOptions {
  /** Steps between its positions. Default 1. */
  readonly stride?: number | PerAxis;
  /** What is put around the image. Default 0. */
  readonly padding?: Padding;
  /** Steps between its elements. Default 1. */
  readonly dilation?: number | PerAxis;
}

/** Kinds of {@linkcode WindowOptions}. */
export const WINDOW_OPTIONS = { stride: "one", padding: "one", dilation: "one" } as const satisfies OptionKinds<
  WindowOptions
>;

/** The sizes of a convolution of x [batch, inputs, ...from] with weight [outputs, inputs / groups, ...kernel]. */
export interface Conv extends Window {
  /** The public function, for errors. */
  readonly name: string;
  readonly batch: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly groups: number;
}

/** How a window moves over a sequence. */
export interface Window1dOptions {
  /** Steps between its positions. Default 1. */
  readonly stride?: number;
  /** What is put around the sequence: the same on both sides; [left, right]; "same" or "valid" as for images. Default 0. */
  readonly padding?: number | PerAxis | "same" | "valid";
  /** Steps between its elements. Default 1. */
  readonly dilation?: number;
}

/** A window over an image: element r at position p is line or column p * stride + r * dilation - padding of the image. */
export interface Window {
  /** Size of the image. */
  readonly from: PerAxis;
  /** Numbers of positions. */
  readonly to: PerAxis;
  /** Numbers of elements of the window. */
  readonly kernel: PerAxis;
  readonly stride: PerAxis;
  /** Before the first line and column. */
  readonly padding: PerAxis;
  readonly dilation: PerAxis;
}

/**
 * A window of `kernel` elements over an image of size `from`.
 *
 * @throws {RangeError} if an option is out of range or the padded image does not hold the window.
 */
export function windowOver(op: string, from: PerAxis, kernel: PerAxis, options: WindowOptions): Window {
  const { padding = 0 } = options;
  const stride = pairOf(op, "stride", options.stride ?? 1, 1);
  const dilation = pairOf(op, "dilation", options.dilation ?? 1, 1);
  const axes = [0, 1] as const;
  const spans = axes.map((i) => dilation[i] * (kernel[i] - 1) + 1);
  const around = axes.map((i) => paddingOf(op, padding, i, from[i], spans[i]!, stride[i]));
  const to = axes.map((i) => {
    const padded = from[i] + around[i]![0] + around[i]![1];
    if (spans[i]! > padded) {
      const axis = ["lines", "columns"][i];
      throw new RangeError(
        `Cannot apply ${op}: the window must fit into the padded image: it spans ${spans[i]} of ${padded} ${axis}`,
      );
    }
    return Math.floor((padded - spans[i]!) / stride[i]) + 1;
  });
  return { from, to: [to[0]!, to[1]!], kernel, stride, padding: [around[0]![0], around[1]![0]], dilation };
}

/** What is put before and after an axis. */
function paddingOf(op: string, padding: Padding, axis: 0 | 1, from: number, span: number, stride: number): PerAxis {
  if (padding === "valid") return [0, 0];
  if (padding === "same") {
    const total = Math.max((Math.ceil(from / stride) - 1) * stride + span - from, 0), before = Math.floor(total / 2);
    return [before, total - before];
  }
  return pairOf(op, "padding", typeof padding === "number" ? padding : padding[axis], 0);
}

/** A number or a pair as a pair of integers from `least` on. */
export function pairOf(op: string, name: string, value: number | PerAxis, least: number): PerAxis {
  const pair: PerAxis = typeof value === "number" ? [value, value] : value;
  if (pair.length !== 2 || pair.some((n) => !Number.isInteger(n) || n < least)) {
    throw new RangeError(`Cannot apply ${op}: ${name} must hold integers from ${least} on: it is ${value}`);
  }
  return pair;
}

/** Options for the one line of an image that a sequence is. */
export function as2d({ stride = 1, padding = 0, dilation = 1 }: Window1dOptions): Required<WindowOptions> {
  const around = typeof padding === "number" ? [padding, padding] as const : padding;
  return {
    stride: [1, stride],
    padding: typeof around === "string" ? around : [[0, 0], around],
    dilation: [1, dilation],
  };
}
