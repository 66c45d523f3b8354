/**
 * Layers: a spec of the parameters and a function of (parameters, input). Weights are [out, in] as in PyTorch.
 *
 * @module
 */
import type { Tensor } from "../program/graph.ts";
import { add } from "../ops/elementwise.ts";
import { layerNorm as normalize } from "../ops/layer_norm.ts";
import { matmul } from "../ops/matmul.ts";
import { type Init, type ParametersOf, Spec } from "./spec.ts";

/** Spec of weight and bias. */
export type AffineSpec = { weight: Spec; bias: Spec };
/** A weight and a bias: of a linear map or of a normalisation. */
export type Affine = ParametersOf<AffineSpec>;

/** PyTorch's start of `nn.Linear`: weight and bias uniform in +-1/sqrt(in). */
export function defaultLinearSpec(inputs: number, outputs: number): AffineSpec {
  const uniform = 1 / Math.sqrt(inputs);
  return { weight: new Spec([outputs, inputs], { uniform }), bias: new Spec([outputs], { uniform }) };
}

/** A linear map that starts with the given weights and a zero bias. */
export function linearSpec(inputs: number, outputs: number, init: Init): AffineSpec {
  return { weight: new Spec([outputs, inputs], init), bias: new Spec([outputs], { constant: 0 }) };
}

/** x W^T + b: [..., in] -> [..., out]. */
export function linear({ weight, bias }: Affine, x: Tensor): Tensor {
  return add(matmul(x, weight, { transposeB: true }), bias);
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
