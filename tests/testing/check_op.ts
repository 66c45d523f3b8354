/**
 * One check for every op: forward and gradients on the GPU against a plain float64 reference and its finite differences, in
 * memory that starts as NaN.
 */
import { assert, assertEquals } from "@std/assert";
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { defaultDevice, type Device } from "../../src/gpu/device.ts";
import { broadcastShapes } from "../../src/ops/_broadcast.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { reshape } from "../../src/ops/shape.ts";
import { compile, read, tensor } from "../../src/program/compile.ts";
import { sizeOf, type Tensor } from "../../src/program/graph.ts";
import { assertClose, randomTensor } from "./reference.ts";
import type { HostTensor } from "./run_op.ts";

/** An input of a float64 reference. */
export interface Values {
  readonly data: Float64Array;
  readonly shape: readonly number[];
}

/** A plain float64 implementation: the elements of the result in row-major order. */
export type Reference = (...inputs: Values[]) => ArrayLike<number>;

/** Options of {@linkcode checkOp}. */
export interface CheckOptions {
  readonly device?: Device;
  /** Allowed error, relative to the largest element; default 1e-5. */
  readonly tolerance?: number;
  /** Allowed error besides; default 1e-6. */
  readonly absolute?: number;
  /** Inputs whose gradients are checked; default: all f32 inputs. */
  readonly wrt?: readonly number[];
  /** Step of the central differences; default 1e-4. */
  readonly step?: number;
  /** Allowed error of the gradients, relative to the largest; default 1e-4. */
  readonly gradientTolerance?: number;
}

/**
 * Checks `fn` against `reference` on one set of inputs: the result, and the gradient of sum(result * R) for a random R with
 * respect to every float input at up to 16 of its elements.
 */
export async function checkOp(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly HostTensor[],
  reference: Reference,
  options: CheckOptions = {},
): Promise<void> {
  const device = options.device ?? await defaultDevice();
  const wrt = options.wrt ?? inputs.map((_, i) => i).filter((i) => (inputs[i]!.dtype ?? "f32") === "f32");
  const values = inputs.map((x) => ({ data: Float64Array.from(x.data), shape: x.shape }));
  const expected = Float64Array.from(reference(...values));
  const weights = randomTensor([expected.length], 987).data as Float32Array;
  const { result, gradients } = await onPoison(device, () => run(fn, inputs, wrt, weights, device));
  assertClose(result, expected, options.tolerance, options.absolute);
  wrt.forEach((input, k) => {
    const objective = () => Array.from(reference(...values)).reduce((all, y, i) => all + y * weights[i]!, 0);
    assertDerivatives(objective, values[input]!.data, gradients[k]!, input, options);
  });
}

/** Runs `body` while every program starts on memory full of NaN. */
export async function onPoison<T>(device: Device, body: () => Promise<T>): Promise<T> {
  device.poison = true;
  try {
    return await body();
  } finally {
    device.poison = false;
  }
}

async function run(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly HostTensor[],
  wrt: readonly number[],
  weights: Float32Array,
  device: Device,
): Promise<{ result: ArrayLike<number>; gradients: ArrayLike<number>[] }> {
  const program = compile((all: Tensor[], r: Tensor) => {
    const objective = valueAndGradAux((chosen: Tensor[]): [Tensor, Tensor] => {
      const result = fn(...all.map((x, i) => chosen[wrt.indexOf(i)] ?? x));
      return [sum(multiply(result, reshape(r, result.shape))), result];
    });
    const [, gradients, result] = objective(wrt.map((i) => all[i]!));
    return [result, ...gradients];
  }, { device });
  const [result, ...gradients] = await read(
    await program(inputs.map((x) => tensor(x.data, x.shape, x.dtype)), tensor(weights)),
  );
  program.destroy();
  return { result: result!, gradients };
}

/** Compares a gradient with central differences of `objective` in `x`, at up to 16 of its elements. */
function assertDerivatives(
  objective: () => number,
  x: Float64Array,
  gradient: ArrayLike<number>,
  input: number,
  { step = 1e-4, gradientTolerance = 1e-4 }: CheckOptions,
): void {
  assertEquals(gradient.length, x.length);
  const at = Array.from(
    { length: Math.min(16, x.length) },
    (_, i) => Math.floor(i * x.length / Math.min(16, x.length)),
  );
  const expected = at.map((i) => {
    const value = x[i]!, h = step * Math.max(1, Math.abs(value));
    const [above, below] = [value + h, value - h].map((moved) => (x[i] = moved, objective()));
    x[i] = value;
    return (above! - below!) / (2 * h);
  });
  const bound = gradientTolerance * Math.max(1, ...expected.map(Math.abs));
  at.forEach((i, k) =>
    assert(
      Math.abs(gradient[i]! - expected[k]!) <= bound,
      `derivative ${i} of input ${input} is ${gradient[i]}, expected ${expected[k]} +- ${bound}`,
    )
  );
}

/** An element-wise reference with NumPy broadcasting. */
export function elementwise(f: (...x: number[]) => number): Reference {
  return (...inputs) => {
    const shape = broadcastShapes("the reference", inputs.map((x) => x.shape));
    return Float64Array.from(
      { length: sizeOf(shape) },
      (_, i) => f(...inputs.map((x) => x.data[indexIn(x, shape, i)]!)),
    );
  };
}

/** The element of a broadcast input that meets element `i` of `shape`. */
function indexIn({ shape: own }: Values, shape: readonly number[], i: number): number {
  let index = 0, stride = 1;
  for (let back = 1; back <= shape.length; back++) {
    const position = i % shape.at(-back)!, length = own.at(-back) ?? 1;
    i = Math.floor(i / shape.at(-back)!);
    if (back > own.length) continue;
    index += (length === 1 ? 0 : position) * stride;
    stride *= length;
  }
  return index;
}
