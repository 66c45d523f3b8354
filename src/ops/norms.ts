/**
 * Normalisation besides LayerNorm, made of reductions: RMSNorm, GroupNorm, InstanceNorm and BatchNorm.
 *
 * @module
 */
import { sizeOf, type Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { checkInput, FLOATS } from "./_check.ts";
import { asF32 } from "./_float.ts";
import { lastAxis } from "./_rows.ts";
import { add, divide, multiply, sqrt, square, subtract } from "./elementwise.ts";
import { mean } from "./reduce.ts";
import { reshape, stopGradient } from "./shape.ts";
import { centered } from "./variance.ts";

/**
 * RMSNorm over the last axis: `x / sqrt(mean(x^2) + eps) * weight` (Zhang and Sennrich 2019, equation 4).
 *
 * @param x f32 or f16 (the result is f32) [..., length].
 * @param weight f32 [length].
 * @param eps Added to the mean of squares; 1e-6 in Llama.
 */
export function rmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor {
  checkInput("rmsNorm", "the input", x, FLOATS, ["...", "length"]);
  checkInput("rmsNorm", "weight", weight, "f32", [lastAxis(x)]);
  checkEps("rmsNorm", eps);
  const power = mean(square(x), { axes: [-1], keepDims: true });
  return multiply(divide(x, sqrt(add(power, eps))), weight);
}

/**
 * GroupNorm: `(x - mean) / sqrt(variance + eps) * weight + bias`, with mean and biased variance of each example over the
 * positions of the channels of a group (Wu and He 2018, equations 1 to 3). Equal elements give `bias`.
 *
 * @param x f32 or f16 (the result is f32) [batch, channels, ...positions].
 * @param groups Number of groups, each of the same number of neighbouring channels.
 * @param weight f32 [channels].
 * @param bias f32 [channels].
 * @param eps Added to the variance; PyTorch's default is 1e-5.
 * @throws {RangeError} unless `groups` divides the channels.
 */
export function groupNorm(x: Tensor, groups: number, weight: Tensor, bias: Tensor, eps: number): Tensor {
  const channels = checkChannels("groupNorm", x, weight, bias, eps);
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw new RangeError(`Cannot apply groupNorm: groups must divide the ${channels} channels: there are ${groups}`);
  }
  return normalizedGroups("groupNorm", x, groups, weight, bias, eps);
}

/**
 * InstanceNorm: GroupNorm whose groups are the single channels (Ulyanov et al. 2016); see {@linkcode groupNorm}.
 *
 * @param x f32 or f16 (the result is f32) [batch, channels, ...positions].
 * @param weight f32 [channels].
 * @param bias f32 [channels].
 * @param eps Added to the variance; PyTorch's default is 1e-5.
 */
export function instanceNorm(x: Tensor, weight: Tensor, bias: Tensor, eps: number): Tensor {
  const channels = checkChannels("instanceNorm", x, weight, bias, eps);
  return normalizedGroups("instanceNorm", x, channels, weight, bias, eps);
}

function normalizedGroups(name: string, x: Tensor, groups: number, weight: Tensor, bias: Tensor, eps: number): Tensor {
  const [batch] = x.shape as [number];
  const d = centered(name, reshape(asF32(x), [batch, groups, x.size / batch / groups]), [2]);
  const y = divide(d, sqrt(add(mean(square(d), { axes: [2], keepDims: true }), eps)));
  return scaledChannels(reshape(y, x.shape), weight, bias);
}

/** Running statistics of BatchNorm, f32 [channels] each; names as in PyTorch's state dictionaries. */
export type BatchNormState = { running_mean: Tensor; running_var: Tensor };

/** Options of {@linkcode batchNorm}. */
export interface BatchNormOptions {
  /** Whether to normalise by the mini-batch's statistics, and to let the running ones follow; else by the running ones. */
  readonly training: boolean;
  /** Share of the mini-batch in the new running statistics. Default 0.1. */
  readonly momentum?: number;
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number;
}

/**
 * BatchNorm: `(x - mean) / sqrt(variance + eps) * weight + bias`, with mean and biased variance of each channel over examples
 * and positions (Ioffe and Szegedy 2015, algorithm 1). As in PyTorch the running variance follows the unbiased one.
 *
 * A function without memory: the new running statistics are returned, for the caller to pass the next time. No gradient flows
 * through them.
 *
 * @param x f32 or f16 (the result is f32) [batch, channels, ...positions].
 * @param weight f32 [channels].
 * @param bias f32 [channels].
 * @returns The normalised input, and the state: a new one in training, else the one given.
 * @throws {RangeError} if it is to train on a single value of each channel.
 */
export function batchNorm(
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  state: BatchNormState,
  options: BatchNormOptions,
): [Tensor, BatchNormState] {
  const kinds = { training: "one", momentum: "one", eps: "one" } as const;
  const { training, momentum = 0.1, eps = 1e-5 } = checkOptions("batchNorm", options, kinds);
  const channels = checkChannels("batchNorm", x, weight, bias, eps), wide = asF32(x);
  checkInput("batchNorm", "running_mean", state.running_mean, "f32", [channels]);
  checkInput("batchNorm", "running_var", state.running_var, "f32", [channels]);
  if (!training) {
    const d = subtract(wide, overChannels(state.running_mean, x));
    const y = divide(d, sqrt(add(overChannels(state.running_var, x), eps)));
    return [scaledChannels(y, weight, bias), state];
  }
  const count = x.size / channels;
  if (count === 1) {
    throw new RangeError("Cannot train batchNorm: each channel must have at least 2 values: it has 1");
  }
  const axes = x.shape.map((_, i) => i).filter((i) => i !== 1);
  const d = centered("batchNorm", wide, axes), variance = mean(square(d), { axes, keepDims: true });
  const follow = (old: Tensor, value: Tensor): Tensor =>
    stopGradient(add(multiply(old, 1 - momentum), multiply(reshape(value, [channels]), momentum)));
  return [scaledChannels(divide(d, sqrt(add(variance, eps))), weight, bias), {
    running_mean: follow(state.running_mean, mean(wide, { axes })),
    running_var: follow(state.running_var, multiply(variance, count / (count - 1))),
  }];
}

/** A value for each channel in the shape that meets x [batch, channels, ...]. */
function overChannels(t: Tensor, x: Tensor): Tensor {
  return reshape(t, [sizeOf(t.shape), ...x.shape.slice(2).map(() => 1)]);
}

function scaledChannels(y: Tensor, weight: Tensor, bias: Tensor): Tensor {
  return add(multiply(y, overChannels(weight, y)), overChannels(bias, y));
}

/** The number of channels, if everything fits. */
function checkChannels(name: string, x: Tensor, weight: Tensor, bias: Tensor, eps: number): number {
  checkInput(name, "the input", x, FLOATS, ["batch", "channels", "..."]);
  checkInput(name, "weight", weight, "f32", [x.shape[1]!]);
  checkInput(name, "bias", bias, "f32", [x.shape[1]!]);
  checkEps(name, eps);
  return x.shape[1]!;
}

function checkEps(name: string, eps: number): void {
  if (!(eps > 0)) throw new RangeError(`Cannot apply ${name}: eps must be above 0: it is ${eps}`);
}
