/**
 * Local mutual information (Yang et al. 2022, section 3.4): the feature of a whole image or text against the features of the parts of
 * all images or texts of the mini-batch, InfoNCE.
 *
 * @module
 */
import { checkpoint } from "../autograd/grad.ts";
import { normalize } from "../models/albef.ts";
import { type Affine, linear } from "../nn/layers.ts";
import { softplus } from "../ops/activations.ts";
import { add, divide, equal, iota, maximum, multiply, subtract } from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { mean, sum } from "../ops/reduce.ts";
import { concat, reshape, slice, stopGradient } from "../ops/shape.ts";
import { logSumExp } from "../ops/softmax.ts";
import type { Tensor } from "../program/graph.ts";
import { EXCLUDED } from "./negatives.ts";

/** Features of the parts of B images or texts. */
export interface Locals {
  /** f32 [B, J, d]. */
  readonly features: Tensor;
  /** f32 [B, J]: 1 at parts that there are, 0 at padding. Default: there is no padding. */
  readonly mask?: Tensor;
}

/**
 * Features of the patches in windows of a grid of n x n: states [B, n * n + 1, D], [CLS] first -> [B, k * k, d]. Windows have a side of
 * floor(sqrt(n)) patches and lie side by side; rows and columns that fill none are left out. Patch features have length 1, and their
 * means, which these are, less. Constants.
 */
export function imageLocals(projection: Affine, states: Tensor): Locals {
  const tokens = tokenFeatures(projection, states), [batch, patches, width] = tokens.shape as [number, number, number];
  const n = Math.round(Math.sqrt(patches)), side = Math.floor(Math.sqrt(n)), k = Math.floor(n / side);
  const grid = reshape(tokens, [batch, n, n, width]);
  const whole = slice(slice(grid, 1, 0, k * side), 2, 0, k * side);
  const windows = mean(reshape(whole, [batch * k, side, k, side, width]), { axes: [1, 3] }); // [B * k, k, d]
  return { features: reshape(windows, [batch, k * k, width]) };
}

/** Features of length 1 of the tokens behind [CLS], [SEP] among them: states [B, L, D], mask [B, L] -> [B, L - 1, d]. Constants. */
export function textLocals(projection: Affine, states: Tensor, mask: Tensor): Locals {
  return { features: tokenFeatures(projection, states), mask: slice(mask, 1, 1, mask.shape[1]!) };
}

/** Projections of length 1 of all tokens but the first. */
function tokenFeatures(projection: Affine, states: Tensor): Tensor {
  return stopGradient(normalize(linear(projection, slice(states, 1, 1, states.shape[1]!))));
}

/**
 * For part j of example i the cross-entropy of finding it by the feature of the whole among itself and all parts of the other examples;
 * the example's own other parts are neither. Mean over the parts of an example (an example without any has loss 0), then over examples.
 * Memory: {@linkcode tile} logits at a time, beside features.
 *
 * @param features f32 [B, d] of length 1; gradients flow to them and to the temperature, not to the parts.
 * @param temperature Scalar.
 * @param tile Largest number of the B * B * J logits that exist at a time. @default 4,194,304: 16 MiB
 */
export function localLoss(features: Tensor, locals: Locals, temperature: Tensor, tile: number = 2 ** 22): Tensor {
  const [batch, parts] = locals.features.shape as [number, number];
  const height = Math.min(batch, Math.max(1, Math.floor(tile / (batch * parts))));
  if (height === batch) return mean(localRows(features, locals, temperature, 0));
  const blocks: Tensor[] = [];
  for (let from = 0; from < batch; from += height) {
    const rows = slice(features, 0, from, Math.min(batch, from + height));
    blocks.push(checkpoint((rows: Tensor, scale: Tensor) => localRows(rows, locals, scale, from))(rows, temperature));
  }
  return mean(concat(blocks, 0));
}

/** The losses of some examples, of which the first is number `from` of the mini-batch: [R]. */
function localRows(queries: Tensor, { features, mask }: Locals, temperature: Tensor, from: number): Tensor {
  const [batch, parts, width] = features.shape as [number, number, number], rows = queries.shape[0]!;
  const keys = stopGradient(features);
  const logits = divide(matmul(queries, reshape(keys, [batch * parts, width]), { transposeB: true }), temperature);
  const own = multiply(reshape(queries, [rows, 1, width]), slice(keys, 0, from, from + rows));
  const positive = divide(sum(own, { axes: [2] }), temperature); // [R, J]
  const self = equal(iota([1, batch, 1], 1), add(iota([rows, 1, 1], 0), from));
  const padding = mask ? subtract(1, reshape(mask, [1, batch, parts])) : 0;
  const others = subtract(reshape(logits, [rows, batch, parts]), multiply(maximum(self, padding), EXCLUDED));
  const rest = logSumExp(reshape(others, [rows, batch * parts]), { keepDims: true }); // [R, 1]
  const losses = softplus(subtract(rest, positive)); // -log(e^positive / (e^positive + e^rest))
  if (!mask) return mean(losses, { axes: [1] });
  const real = slice(mask, 0, from, from + rows);
  return divide(sum(multiply(losses, real), { axes: [1] }), maximum(sum(real, { axes: [1] }), 1));
}
