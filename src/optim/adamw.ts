/**
 * AdamW (Loshchilov and Hutter 2019) over flat buffers, with PyTorch's order of operations.
 *
 * @module
 */
import {
  add,
  divide,
  maximum,
  minimum,
  multiply,
  type Operand,
  sqrt,
  square,
  subtract,
  where,
} from "../ops/elementwise.ts";
import { sum } from "../ops/reduce.ts";
import { stopGradient } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { entries, leaves, mapTree, type Tree } from "../program/tree.ts";
import type { ParameterBuffer } from "./layout.ts";

/** Constants of AdamW. */
export interface AdamWOptions {
  /** Decay of the first moment. @default 0.9 */
  readonly beta1?: number;
  /** Decay of the second moment. @default 0.999 */
  readonly beta2?: number;
  /** Added to the root of the second moment. @default 1e-8 */
  readonly eps?: number;
  /** Share of a value that a step of rate 1 takes away. @default 0.02 */
  readonly weightDecay?: number;
}

/** Parameters and moments, flat buffers in the order of the layout. */
export type AdamWState = {
  readonly values: readonly Tensor[];
  /** First moments: means of the gradients. */
  readonly mu: readonly Tensor[];
  /** Second moments: means of their squares. */
  readonly nu: readonly Tensor[];
};

/** What changes from step to step, scalars: see {@linkcode stepInputs}. */
export type AdamWStep = {
  readonly rate: Tensor;
  /** 1 / (1 - beta1^t). */
  readonly correction1: Tensor;
  /** 1 / (1 - beta2^t). */
  readonly correction2: Tensor;
};

/** Host values of {@linkcode AdamWStep} for step t = 1, 2, ...; computed in float64, since 1 - 0.999^t loses digits in f32. */
export function stepInputs(
  rate: number,
  t: number,
  { beta1 = 0.9, beta2 = 0.999 }: AdamWOptions = {},
): { [K in keyof AdamWStep]: number } {
  return { rate, correction1: 1 / (1 - beta1 ** t), correction2: 1 / (1 - beta2 ** t) };
}

/**
 * One step: values * (1 - rate * decay) - rate * mu / (sqrt(nu) + eps), with bias-corrected moments. Where `apply` (a scalar) is 0,
 * everything stays as it is.
 */
export function flatAdamW(
  state: AdamWState,
  gradients: readonly Tensor[],
  buffers: readonly ParameterBuffer[],
  step: AdamWStep,
  options: AdamWOptions & { readonly apply?: Tensor } = {},
): AdamWState {
  const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0.02, apply } = options;
  const keep = (next: Tensor, now: Tensor): Tensor => apply ? where(apply, next, now) : next;
  const rows = state.values.map((value, i) => {
    const g = gradients[i]!, m = state.mu[i]!, v = state.nu[i]!, { decay, bounds } = buffers[i]!;
    const mu = add(multiply(m, beta1), multiply(g, 1 - beta1));
    const nu = add(multiply(v, beta2), multiply(square(g), 1 - beta2));
    const update = divide(multiply(mu, step.correction1), add(sqrt(multiply(nu, step.correction2)), eps));
    const decayed = decay && weightDecay ? multiply(value, subtract(1, multiply(step.rate, weightDecay))) : value;
    const next = inBounds(subtract(decayed, multiply(step.rate, update)), bounds);
    return { value: keep(next, value), mu: keep(mu, m), nu: keep(nu, v) };
  });
  return { values: rows.map((r) => r.value), mu: rows.map((r) => r.mu), nu: rows.map((r) => r.nu) };
}

function inBounds(x: Tensor, bounds: readonly [number, number] | undefined): Tensor {
  return bounds ? minimum(maximum(x, bounds[0]), bounds[1]) : x;
}

/** The Euclidean norm of all tensors of a tree together, a scalar. */
export function globalNorm(gradients: Tree): Tensor {
  return sqrt(leaves(gradients).map((g) => sum(square(g))).reduce((a, b) => add(a, b)));
}

/** Gradients scaled so that their global norm is at most `limit` (Pascanu et al. 2013). */
export function clipToNorm(gradients: readonly Tensor[], norm: Tensor, limit: number): Tensor[] {
  const factor: Operand = minimum(divide(limit, maximum(norm, 1e-6)), 1);
  return gradients.map((g) => multiply(g, factor));
}

/**
 * Exponential moving averages: decay * average + (1 - decay) * value for each tensor of `averages`, with the value at the same path
 * of `values`, which may hold others too. No gradient flows to the values.
 *
 * @throws {RangeError} If there is no value for an average.
 */
export function ema<T extends Tree>(averages: T, values: Tree, decay: number): T {
  const byPath = new Map(entries(values));
  return mapTree(averages, (average, path) => {
    const value = byPath.get(path);
    if (!value) throw new RangeError(`Cannot average "${path}": there is no value of that name`);
    return add(multiply(average, decay), multiply(stopGradient(value), 1 - decay));
  });
}
