/**
 * One check for every op: forward and gradients on the GPU against a plain float64 reference and its finite differences, in
 * memory that starts as NaN, on the inputs of the test and at the edges: zeros, equal numbers, large numbers.
 */
import { assert, assertEquals, AssertionError } from "@std/assert";
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { defaultDevice, type Device } from "../../src/gpu/device.ts";
import { broadcastShapes } from "../../src/ops/_broadcast.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { reshape } from "../../src/ops/shape.ts";
import { compile, type Compiled, tensor, toHost } from "../../src/program/compile.ts";
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
  /** Step of the differences; default 1e-4. */
  readonly step?: number;
  /** Allowed error of the gradients, relative to the largest; default 1e-4. */
  readonly gradientTolerance?: number;
  /** What is different at edge values; a string: why they are left out. */
  readonly edges?: Edges | string;
}

/** What an op is like at zeros, equal numbers and large numbers. */
export interface Edges {
  /** Brings an edge value into the domain of the op, or where f32 and differences still tell right from wrong. */
  readonly domain?: (value: number, input: number) => number;
  /** The gradient where the derivative jumps, from those on both sides; a string: why it is not checked there. */
  readonly kinks?: ((below: number, above: number) => number) | string;
}

/** Values that every f32 input takes besides those that the test gives; neighbours and inputs have equal ones. */
const edgeValues: Readonly<Record<string, readonly number[]>> = {
  "zeros and equal numbers": [0, -0, 1, 1, -1, 0, 0.5, -1],
  "large numbers": [1e4, -1e4, 1e4, 1e4, -2e3, 5e3, -1e4, 30],
};

/**
 * Checks `fn` against `reference`: the result, and the gradient of sum(result * R) for a random R with respect to every float
 * input at up to 16 of its elements. Once on the inputs given, then on zeros, equal and large numbers in their places.
 */
export async function checkOp(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly HostTensor[],
  reference: Reference,
  options: CheckOptions = {},
): Promise<void> {
  const { edges = {} } = options;
  const check = new Check(fn, inputs.map(isFloat).flatMap((float, i) => float ? [i] : []), reference, options);
  await check.run(inputs, "the inputs given");
  if (typeof edges !== "string") {
    for (const [name, values] of Object.entries(edgeValues)) {
      await check.run(inputs.map((x, i) => isFloat(x) ? atEdges(x, i, values, edges) : x), name);
    }
  }
  check.close();
}

function isFloat(x: HostTensor): boolean {
  return (x.dtype ?? "f32") === "f32";
}

/** A tensor of edge values. The step through them is odd and another one for each input, so that some meet their equals. */
function atEdges({ shape }: HostTensor, input: number, values: readonly number[], edges: Edges): HostTensor {
  const { domain = (x) => x } = edges, step = 2 * input + 1;
  const value = (i: number): number => domain(values[i * step % values.length]!, input);
  return { shape, data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => value(i)) };
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

/** One function and its gradient, compiled once, compared with the reference on any inputs of the same shapes. */
class Check {
  readonly #wrt: readonly number[];
  readonly #program: Compiled<[Tensor[], Tensor], Tensor[]>;

  constructor(
    fn: (...inputs: Tensor[]) => Tensor,
    floats: readonly number[],
    readonly reference: Reference,
    readonly options: CheckOptions,
  ) {
    const wrt = this.#wrt = options.wrt ?? floats;
    this.#program = compile((all: Tensor[], r: Tensor) => {
      const objective = valueAndGradAux((chosen: Tensor[]): [Tensor, Tensor] => {
        const result = fn(...all.map((x, i) => chosen[wrt.indexOf(i)] ?? x));
        return [sum(multiply(result, reshape(r, result.shape))), result];
      });
      const [, gradients, result] = objective(wrt.map((i) => all[i]!));
      return [result, ...gradients];
    }, options.device ? { device: options.device } : {});
  }

  async run(inputs: readonly HostTensor[], name: string): Promise<void> {
    const values = inputs.map((x) => ({ data: Float64Array.from(x.data), shape: x.shape }));
    const expected = Float64Array.from(this.reference(...values));
    const weights = randomTensor([expected.length], 987).data as Float32Array;
    const [result, ...gradients] = await onPoison(
      this.options.device ?? await defaultDevice(),
      async () =>
        await toHost(await this.#program(inputs.map((x) => tensor(x.data, x.shape, x.dtype)), tensor(weights))),
    );
    try {
      assertClose(result!, expected, this.options.tolerance, this.options.absolute);
      this.#wrt.forEach((input, k) => {
        const change = (): number =>
          Array.from(this.reference(...values)).reduce((all, y, i) => all + (y - expected[i]!) * weights[i]!, 0);
        assertDerivatives(change, values[input]!.data, gradients[k]!, `input ${input}`, this.options);
      });
    } catch (error) {
      throw new AssertionError(`on ${name}: ${(error as Error).message}`, { cause: error });
    }
  }

  close(): void {
    this.#program.destroy();
  }
}

/** Compares a gradient with differences of the objective, whose `change` is that of `x`, at up to 16 of its elements. */
function assertDerivatives(
  change: () => number,
  x: Float64Array,
  gradient: ArrayLike<number>,
  name: string,
  { step = 1e-4, gradientTolerance = 1e-4, edges = {} }: CheckOptions,
): void {
  assertEquals(gradient.length, x.length);
  const count = Math.min(16, x.length), at = Array.from({ length: count }, (_, i) => Math.floor(i * x.length / count));
  const expected = at.map((i) => {
    const { below, above, smooth } = slopes(change, x, i, step);
    return smooth ? (above + below) / 2 : atKink(below, above, `${name} at element ${i}, ${x[i]}`, edges);
  });
  const bound = gradientTolerance * Math.max(1, ...expected.map((e) => Math.abs(e ?? 0)));
  at.forEach((i, k) =>
    assert(
      expected[k] === undefined || Math.abs(gradient[i]! - expected[k]) <= bound,
      `derivative ${i} of ${name} is ${gradient[i]}, expected ${expected[k]} +- ${bound}`,
    )
  );
}

/** The slopes on both sides of `x[i]`, and whether they are equal, and equal to those of half the step. */
function slopes(
  change: () => number,
  x: Float64Array,
  i: number,
  step: number,
): { below: number; above: number; smooth: boolean } {
  const value = x[i]!;
  const slope = (h: number): number => (x[i] = value + h, change() / h);
  const below = slope(-step), above = slope(step), nearBelow = slope(-step / 2), nearAbove = slope(step / 2);
  x[i] = value;
  const close = (a: number, b: number): boolean => Math.abs(a - b) <= 0.01 * Math.max(1, Math.abs(a), Math.abs(b));
  return { below, above, smooth: close(above, below) && close(above, nearAbove) && close(below, nearBelow) };
}

/** What the derivative must be where it jumps, undefined where it is not checked. A test has to say either. */
function atKink(below: number, above: number, where: string, edges: Edges | string): number | undefined {
  const kinks = typeof edges === "string" ? undefined : edges.kinks;
  if (typeof kinks === "string") return undefined;
  if (kinks) return kinks(below, above);
  throw new AssertionError(
    `the derivative by ${where} jumps from ${below} to ${above}: "edges.kinks" must say what the gradient is there, or why ` +
      "it is not checked",
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
