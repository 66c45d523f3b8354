/**
 * Pooling: the largest element or the mean of a window that moves over images or sequences.
 *
 * @module
 */
import { apply, type Tensor } from "../program/graph.ts";
import { checkOptions, type OptionKinds } from "../program/options.ts";
import { checkInput, FLOATS } from "./_check.ts";
import { conv } from "./_conv.ts";
import { asF32 } from "./_float.ts";
import { maxPoolOp } from "./_max_pool.ts";
import {
  as2d,
  pairOf,
  type PerAxis,
  type Window,
  type Window1dOptions,
  WINDOW_OPTIONS,
  type WindowOptions,
  windowOver,
} from "./_window.ts";
import { divide, multiply } from "./elementwise.ts";
import { full } from "./full.ts";
import { reshape } from "./shape.ts";

/** Options of {@linkcode maxPool2d}. As in PyTorch the stride is the window by default. */
export type MaxPoolOptions = WindowOptions;

/** Options of {@linkcode maxPool1d}. */
export type MaxPool1dOptions = Window1dOptions;

/** Options of {@linkcode avgPool2d}. As in PyTorch the stride is the window by default. */
export interface AvgPoolOptions extends Omit<WindowOptions, "dilation"> {
  /** Whether padding counts, as zeros. Default true, as in PyTorch. */
  readonly countIncludePad?: boolean;
}

const AVERAGE_OPTIONS: OptionKinds<AvgPoolOptions> = { stride: "one", padding: "one", countIncludePad: "one" };

/** Options of {@linkcode avgPool1d}. */
export interface AvgPool1dOptions extends Omit<Window1dOptions, "dilation"> {
  /** Whether padding counts, as zeros. Default true, as in PyTorch. */
  readonly countIncludePad?: boolean;
}

/**
 * The largest element of each position of a window: f32 [batch, channels, lines, columns]. Padding does not count. NaN where
 * the window holds NaN. The gradient goes to the first of equal largest elements, line by line (as in PyTorch; `max` divides
 * it), or to the first NaN.
 *
 * @param x f32 or f16 [batch, channels, height, width].
 * @param window Height and width of the window, or one number for both.
 * @throws {RangeError} if the window does not fit into the padded image, or lies in the padding alone somewhere.
 */
export function maxPool2d(x: Tensor, window: number | PerAxis, options: MaxPoolOptions = {}): Tensor {
  return maxPool("maxPool2d", x, window, checkOptions("maxPool2d", options, WINDOW_OPTIONS));
}

/**
 * The largest element of each position of a window: f32 [batch, channels, positions]; see {@linkcode maxPool2d}.
 *
 * @param x f32 or f16 [batch, channels, length].
 */
export function maxPool1d(x: Tensor, window: number, options: MaxPool1dOptions = {}): Tensor {
  checkOptions("maxPool1d", options, WINDOW_OPTIONS);
  const y = maxPool("maxPool1d", line("maxPool1d", x), [1, window], as2d({ stride: window, ...options }));
  return sequence(y);
}

/**
 * The mean of each position of a window: f32 [batch, channels, lines, columns].
 *
 * @param x f32 or f16 [batch, channels, height, width].
 * @param window Height and width of the window, or one number for both.
 * @throws {RangeError} if the window does not fit into the padded image, or lies in the padding alone somewhere.
 */
export function avgPool2d(x: Tensor, window: number | PerAxis, options: AvgPoolOptions = {}): Tensor {
  return avgPool("avgPool2d", x, window, checkOptions("avgPool2d", options, AVERAGE_OPTIONS));
}

/**
 * The mean of each position of a window: f32 [batch, channels, positions]; see {@linkcode avgPool2d}.
 *
 * @param x f32 or f16 [batch, channels, length].
 */
export function avgPool1d(x: Tensor, window: number, options: AvgPool1dOptions = {}): Tensor {
  const { countIncludePad = true, ...moves } = checkOptions("avgPool1d", options, AVERAGE_OPTIONS);
  const wide = { ...as2d({ stride: window, ...moves }), countIncludePad };
  return sequence(avgPool("avgPool1d", line("avgPool1d", x), [1, window], wide));
}

function maxPool(name: string, x: Tensor, size: number | PerAxis, options: WindowOptions): Tensor {
  return apply(maxPoolOp, [asF32(x)], poolWindow(name, x, size, options));
}

/** A depth-wise convolution with ones, divided by how many elements it adds up. */
function avgPool(name: string, x: Tensor, size: number | PerAxis, options: AvgPoolOptions): Tensor {
  const window = poolWindow(name, x, size, options), [height, width] = window.kernel;
  const [batch, channels] = x.shape as [number, number];
  const sumOver = (planes: Tensor): Tensor => {
    const sizes = { name, batch: planes.shape[0]!, inputs: 1, outputs: 1, groups: 1, ...window };
    return conv(planes, full([1, 1, height, width], 1), sizes);
  };
  const sums = sumOver(reshape(asF32(x), [batch * channels, 1, ...window.from]));
  const mean = options.countIncludePad ?? true
    ? multiply(sums, 1 / (height * width))
    : divide(sums, sumOver(full([1, 1, ...window.from], 1)));
  return reshape(mean, [batch, channels, ...window.to]);
}

/** The window of a pool, each of whose positions covers an element. */
function poolWindow(name: string, x: Tensor, size: number | PerAxis, options: WindowOptions): Window {
  checkInput(name, "the input", x, FLOATS, ["batch", "channels", "height", "width"]);
  const kernel = pairOf(name, "window", size, 1), [, , height, width] = x.shape as [number, number, number, number];
  const window = windowOver(name, [height, width], kernel, { stride: kernel, ...options });
  for (const i of [0, 1] as const) checkCovers(name, window, i);
  return window;
}

function checkCovers(name: string, { from, to, kernel, stride, padding, dilation }: Window, i: 0 | 1): void {
  for (let p = 0; p < to[i]; p++) {
    const start = p * stride[i] - padding[i]; // the first element of the window in the image is at `first`, if there is one
    const first = start + Math.max(0, Math.ceil(-start / dilation[i])) * dilation[i];
    if (first >= from[i] || first > start + (kernel[i] - 1) * dilation[i]) {
      throw new RangeError(
        `Cannot apply ${name}: the window must cover an element at every position: at ${
          ["line", "column"][i]
        } ${start} ` +
          "it covers padding alone",
      );
    }
  }
}

/** A sequence as an image of one line. */
function line(name: string, x: Tensor): Tensor {
  checkInput(name, "the input", x, FLOATS, ["batch", "channels", "length"]);
  return reshape(x, [x.shape[0]!, x.shape[1]!, 1, x.shape[2]!]);
}

function sequence(y: Tensor): Tensor {
  return reshape(y, [y.shape[0]!, y.shape[1]!, y.shape[3]!]);
}
