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
/** A weight and a bias: of a linear map or of a LayerNorm. */
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

/** A LayerNorm over `width` features: scale 1, shift 0. */
export function layerNormSpec(width: number): AffineSpec {
  return { weight: new Spec([width], { constant: 1 }), bias: new Spec([width], { constant: 0 }) };
}

/** LayerNorm over the last axis. */
export function layerNorm({ weight, bias }: Affine, x: Tensor, eps: number): Tensor {
  return normalize(x, weight, bias, eps);
}
