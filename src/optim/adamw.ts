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
import type { Tensor } from "../program/graph.ts";
import type { Flat } from "./layout.ts";

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
  readonly first: readonly Tensor[];
  readonly second: readonly Tensor[];
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
 * One step: values * (1 - rate * decay) - rate * m / (sqrt(v) + eps), with bias-corrected moments. Where `apply` (a scalar) is 0,
 * everything stays as it is.
 */
export function adamw(
  state: AdamWState,
  gradients: readonly Tensor[],
  flats: readonly Flat[],
  step: AdamWStep,
  options: AdamWOptions & { readonly apply?: Tensor } = {},
): AdamWState {
  const { beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0.02, apply } = options;
  const keep = (next: Tensor, now: Tensor): Tensor => apply ? where(apply, next, now) : next;
  const rows = state.values.map((value, i) => {
    const g = gradients[i]!, m = state.first[i]!, v = state.second[i]!, { decay, bounds } = flats[i]!;
    const first = add(multiply(m, beta1), multiply(g, 1 - beta1));
    const second = add(multiply(v, beta2), multiply(square(g), 1 - beta2));
    const update = divide(multiply(first, step.correction1), add(sqrt(multiply(second, step.correction2)), eps));
    const decayed = decay && weightDecay ? multiply(value, subtract(1, multiply(step.rate, weightDecay))) : value;
    const next = inBounds(subtract(decayed, multiply(step.rate, update)), bounds);
    return { value: keep(next, value), first: keep(first, m), second: keep(second, v) };
  });
  return { values: rows.map((r) => r.value), first: rows.map((r) => r.first), second: rows.map((r) => r.second) };
}

function inBounds(x: Tensor, bounds: readonly [number, number] | undefined): Tensor {
  return bounds ? minimum(maximum(x, bounds[0]), bounds[1]) : x;
}

/** The Euclidean norm of all gradients together, a scalar. */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  return sqrt(gradients.map((g) => sum(square(g))).reduce((a, b) => add(a, b)));
}

/** Gradients scaled so that their global norm is at most `limit` (Pascanu et al. 2013). */
export function clipByGlobalNorm(gradients: readonly Tensor[], norm: Tensor, limit: number): Tensor[] {
  const factor: Operand = minimum(divide(limit, maximum(norm, 1e-6)), 1);
  return gradients.map((g) => multiply(g, factor));
}

/** Exponential moving average: decay * average + (1 - decay) * value. */
export function ema(average: readonly Tensor[], values: readonly Tensor[], decay: number): Tensor[] {
  return average.map((a, i) => add(multiply(a, decay), multiply(values[i]!, 1 - decay)));
}
