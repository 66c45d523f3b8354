/**
 * Plain float64 references of the row-wise ops, random inputs, comparisons, and a test that runs on both kinds of adapter.
 */
import { assert, assertEquals } from "@std/assert";
import { type Device, openDevice } from "../../src/gpu/device.ts";
import type { HostTensor } from "./run_op.ts";

const devices = new Map<string, Promise<Device>>();

/** The adapter at hand, with the kernels for one kind of adapter chosen. */
export function deviceOfKind(kind: "cpu" | "gpu"): Promise<Device> {
  if (!devices.has(kind)) devices.set(kind, openDevice({ kind }));
  return devices.get(kind)!;
}

/** Registers a test that runs once with the kernels for CPU adapters and once with those for GPUs. */
export function testOnEachKind(name: string, body: (device: Device) => Promise<void>): void {
  for (const kind of ["cpu", "gpu"] as const) {
    Deno.test({
      name: `${name} (${kind})`,
      fn: async () => await body(await deviceOfKind(kind)),
      sanitizeResources: false,
    });
  }
}

/** Uniform random numbers in [0, 1) from a seed (mulberry32). */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** f32 values, uniform in [-scale, scale] around `shift`. */
export function randomTensor(shape: readonly number[], seed: number, scale = 1, shift = 0): HostTensor {
  const random = randomSource(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  return { data: Float32Array.from({ length: size }, () => shift + scale * (2 * random() - 1)), shape };
}

/** Integers in [low, high). */
export function randomIds(
  shape: readonly number[],
  seed: number,
  low: number,
  high: number,
  dtype: "i32" | "u32",
): HostTensor {
  const random = randomSource(seed);
  const size = shape.reduce((a, b) => a * b, 1);
  const values = Array.from({ length: size }, () => low + Math.floor(random() * (high - low)));
  return { data: dtype === "i32" ? Int32Array.from(values) : Uint32Array.from(values), shape, dtype };
}

/** Asserts |a - b| <= tolerance * (largest |b|) + absolute, element by element, and no NaN. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance = 1e-5,
  absolute = 1e-6,
): void {
  assertEquals(actual.length, expected.length);
  let largest = 0;
  for (let i = 0; i < expected.length; i++) largest = Math.max(largest, Math.abs(expected[i]!));
  const bound = tolerance * largest + absolute;
  for (let i = 0; i < expected.length; i++) {
    assert(
      Math.abs(actual[i]! - expected[i]!) <= bound,
      `element ${i} is ${actual[i]}, expected ${expected[i]} +- ${bound}`,
    );
  }
}

/** Asserts that `gradient` is the derivative of sum(weights * f(x)) at a few of the elements of x, by central differences. */
export function assertGradient(
  f: (x: Float64Array) => Float64Array,
  x: ArrayLike<number>,
  weights: ArrayLike<number>,
  gradient: ArrayLike<number>,
  step = 1e-5,
): void {
  const at = Float64Array.from(x);
  const objective = () => f(at).reduce((all, y, i) => all + y * weights[i]!, 0);
  for (let i = 0; i < at.length; i += Math.max(1, Math.floor(at.length / 24))) {
    const value = at[i]!;
    at[i] = value + step;
    const above = objective();
    at[i] = value - step;
    const below = objective();
    at[i] = value;
    const expected = (above - below) / (2 * step);
    const bound = 1e-4 * Math.max(1, Math.abs(expected));
    assert(
      Math.abs(gradient[i]! - expected) <= bound,
      `derivative ${i} is ${gradient[i]}, expected ${expected} +- ${bound}`,
    );
  }
}

/** Applies `f` to every row of `length` elements and joins the results. */
export function eachRow(
  x: ArrayLike<number>,
  length: number,
  f: (row: Float64Array, index: number) => ArrayLike<number>,
): Float64Array {
  const all = Float64Array.from(x);
  const out: number[] = [];
  for (let at = 0; at < all.length; at += length) out.push(...Array.from(f(all.slice(at, at + length), at / length)));
  return Float64Array.from(out);
}

/** Combines the middle axis of [outer, length, inner], starting from `start`. */
export function reduceMiddle(
  x: ArrayLike<number>,
  [outer, length, inner]: readonly [number, number, number],
  combine: (a: number, b: number) => number,
  start: number,
): Float64Array {
  const out = new Float64Array(outer * inner).fill(start);
  for (let o = 0; o < outer; o++) {
    for (let r = 0; r < length; r++) {
      for (let i = 0; i < inner; i++) {
        out[o * inner + i] = combine(out[o * inner + i]!, x[(o * length + r) * inner + i]!);
      }
    }
  }
  return out;
}

/** Mean and 1 / sqrt(variance + eps) of a row. */
export function moments(row: ArrayLike<number>, eps: number): { mean: number; rstd: number } {
  const values = Array.from(row);
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  return { mean, rstd: 1 / Math.sqrt(variance + eps) };
}

/** LayerNorm over rows as long as gamma. */
export function layerNorm(
  x: ArrayLike<number>,
  gamma: ArrayLike<number>,
  beta: ArrayLike<number>,
  eps: number,
): Float64Array {
  return eachRow(x, gamma.length, (row) => {
    const { mean, rstd } = moments(row, eps);
    return row.map((v, i) => (v - mean) * rstd * gamma[i]! + beta[i]!);
  });
}

/** log(sum(exp(row))). */
export function logSumExp(row: ArrayLike<number>): number {
  const values = Array.from(row);
  const top = values.reduce((a, b) => Math.max(a, b));
  return top + Math.log(values.reduce((a, v) => a + Math.exp(v - top), 0));
}

/** Softmax of a row. */
export function softmax(row: ArrayLike<number>): number[] {
  const lse = logSumExp(row);
  return Array.from(row, (v) => Math.exp(v - lse));
}

/** Cross-entropy of every row of length `classes`; 0 where the label is `ignored`. */
export function crossEntropy(
  logits: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
  ignored = -100,
): Float64Array {
  return eachRow(logits, classes, (row, r) => [labels[r] === ignored ? 0 : logSumExp(row) - row[labels[r]!]!]);
}
