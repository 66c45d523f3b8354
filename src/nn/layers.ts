/**
 * Layers: a spec of the parameters and a function of (parameters, input). Weights are [out, in] as in PyTorch.
 *
 * @module
 */
import { sizeOf, type Tensor } from "../program/graph.ts";
import type { PerAxis } from "../ops/_window.ts";
import { add } from "../ops/elementwise.ts";
import { layerNorm as normalize } from "../ops/layer_norm.ts";
import { matmul } from "../ops/matmul.ts";
import type { Init, Initializer } from "./init.ts";
import { type ParametersOf, Spec } from "./spec.ts";

/** Spec of weight and bias. */
export type AffineSpec = { weight: Spec; bias: Spec };
/** A weight and a bias: of a linear map or of a normalisation. */
export type Affine = ParametersOf<AffineSpec>;

/** PyTorch's start of `nn.Linear`: weight and bias uniform in +-1/sqrt(in). */
export function defaultLinearSpec(inputs: number, outputs: number): AffineSpec {
  const uniform = 1 / Math.sqrt(inputs);
  return { weight: new Spec([outputs, inputs], { uniform }), bias: new Spec([outputs], { uniform }) };
}

/** A linear map that starts with the given weights and a zero bias: `linearSpec(32, 64, kaimingUniform())`. */
export function linearSpec(inputs: number, outputs: number, init: Init | Initializer): AffineSpec {
  return { weight: new Spec([outputs, inputs], init), bias: new Spec([outputs], { constant: 0 }) };
}

/** x W^T + b: [..., in] -> [..., out]. */
export function linear({ weight, bias }: Affine, x: Tensor): Tensor {
  return add(matmul(x, weight, { transposeB: true }), bias);
}

/**
 * PyTorch's start of `nn.Conv2d`: weight [outputs, inputs / groups, kh, kw] and bias [outputs], both uniform in +-1/sqrt(n),
 * where n is the number of elements of the weight that make one result. For `conv2d(x, weight, { bias, groups })`; where a
 * normalisation follows, take the weight alone.
 *
 * @param kernel Height and width of the window, or one number for both.
 * @throws {RangeError} unless `groups` divides the channels.
 */
export function conv2dSpec(inputs: number, outputs: number, kernel: number | PerAxis, groups: number = 1): AffineSpec {
  return windowSpec(
    "conv2d",
    [outputs, inputs],
    outputs,
    typeof kernel === "number" ? [kernel, kernel] : kernel,
    groups,
  );
}

/** PyTorch's start of `nn.Conv1d`: weight [outputs, inputs / groups, k] and bias [outputs]; see {@linkcode conv2dSpec}. */
export function conv1dSpec(inputs: number, outputs: number, kernel: number, groups: number = 1): AffineSpec {
  return windowSpec("conv1d", [outputs, inputs], outputs, [kernel], groups);
}

/**
 * PyTorch's start of `nn.ConvTranspose2d`: weight [inputs, outputs / groups, kh, kw] and bias [outputs], both uniform in
 * +-1/sqrt(outputs / groups * kh * kw). For `convTranspose2d(x, weight, { bias, groups })`.
 *
 * @param kernel Height and width of the window, or one number for both.
 * @throws {RangeError} unless `groups` divides the channels.
 */
export function convTranspose2dSpec(
  inputs: number,
  outputs: number,
  kernel: number | PerAxis,
  groups: number = 1,
): AffineSpec {
  const window: PerAxis = typeof kernel === "number" ? [kernel, kernel] : kernel;
  return windowSpec("convTranspose2d", [inputs, outputs], outputs, window, groups);
}

function windowSpec(
  name: string,
  [rows, columns]: PerAxis,
  outputs: number,
  kernel: readonly number[],
  groups: number,
): AffineSpec {
  if (!Number.isInteger(groups) || groups < 1 || rows % groups !== 0 || columns % groups !== 0) {
    throw new RangeError(
      `Cannot start the parameters of ${name}: groups must divide the ${rows} and ${columns} channels: there are ${groups}`,
    );
  }
  const shape = [rows, columns / groups, ...kernel], uniform = 1 / Math.sqrt(sizeOf(shape.slice(1)));
  return { weight: new Spec(shape, { uniform }), bias: new Spec([outputs], { uniform }) };
}

/** Spec of a normalisation of `width` features or channels: weight 1, bias 0. */
function normSpec(width: number): AffineSpec {
  return { weight: new Spec([width], { constant: 1 }), bias: new Spec([width], { constant: 0 }) };
}

/** A LayerNorm over `width` features: weight 1, bias 0. For `layerNorm(x, weight, bias, eps)`. */
export function layerNormSpec(width: number): AffineSpec {
  return normSpec(width);
}

/** An RMSNorm over `width` features: weight 1. For `rmsNorm(x, weight, eps)`. */
export function rmsNormSpec(width: number): { weight: Spec } {
  return { weight: new Spec([width], { constant: 1 }) };
}

/** A GroupNorm or an InstanceNorm of `channels`: weight 1, bias 0. For `groupNorm(x, groups, weight, bias, eps)`. */
export function groupNormSpec(channels: number): AffineSpec {
  return normSpec(channels);
}

/** A BatchNorm of `channels`: weight 1, bias 0. For `batchNorm(x, weight, bias, state, options)`. */
export function batchNormSpec(channels: number): AffineSpec {
  return normSpec(channels);
}

/** The state that a BatchNorm of `channels` begins with: mean 0, variance 1. Not trained: no parameter of an optimiser. */
export function batchNormStateSpec(channels: number): { running_mean: Spec; running_var: Spec } {
  return { running_mean: new Spec([channels], { constant: 0 }), running_var: new Spec([channels], { constant: 1 }) };
}

/** LayerNorm over the last axis. */
export function layerNorm({ weight, bias }: Affine, x: Tensor, eps: number): Tensor {
  return normalize(x, weight, bias, eps);
}
