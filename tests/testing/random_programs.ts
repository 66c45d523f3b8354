/**
 * Random programs of few ops on small arrays, built of our ops and run on hyper-dual numbers in float64 alike.
 */
import { broadcastShapes } from "../../src/ops/_broadcast.ts";
import * as ops from "../../src/ops/mod.ts";
import { tensor } from "../../src/program/compile.ts";
import { sizeOf, type Tensor } from "../../src/program/graph.ts";
import {
  constant,
  type Duals,
  elementOf,
  exponential,
  filled,
  type HyperDual,
  inverseRoot,
  lineOf,
  logarithm,
  minus,
  plus,
  reciprocal,
  scaled,
  type Smooth,
  smooth,
  times,
  total,
} from "./hyper_dual.ts";
import { randomSource } from "./reference.ts";

/** One op on values chosen before: what it is called, and both its forms. */
interface Step {
  readonly name: string;
  readonly operands: readonly number[];
  readonly build: (...x: Tensor[]) => Tensor;
  readonly run: (...x: Duals[]) => Duals;
}

/** A program: shapes of its inputs, its steps, each on inputs and results of steps, and where it is tried. */
export interface RandomProgram {
  readonly seed: number;
  readonly inputs: readonly (readonly number[])[];
  readonly steps: readonly Step[];
  readonly values: readonly Float32Array[];
}

type Draw = { readonly below: (n: number) => number; readonly pick: <T>(list: readonly T[]) => T };
/** An op for operands, or undefined where it does not take them. */
type Maker = (
  draw: Draw,
  x: Duals,
  y: Duals,
) => Omit<Step, "operands" | "name"> & { readonly both?: boolean } | undefined;

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const functions: Readonly<Record<string, readonly [(x: Tensor) => Tensor, Smooth]>> = {
  tanh: [ops.tanh, (x) => [Math.tanh(x), 1 - Math.tanh(x) ** 2, -2 * Math.tanh(x) * (1 - Math.tanh(x) ** 2)]],
  sigmoid: [ops.sigmoid, (x) => {
    const s = sigmoid(x), first = s * (1 - s);
    return [s, first, first * (1 - 2 * s)];
  }],
  silu: [ops.silu, (x) => {
    const s = sigmoid(x), first = s * (1 - s);
    return [x * s, s + x * first, 2 * first + x * first * (1 - 2 * s)];
  }],
  softplus: [ops.softplus, (x) => [Math.log1p(Math.exp(x)), sigmoid(x), sigmoid(x) * (1 - sigmoid(x))]],
  exp: [ops.exp, exponential],
  expm1: [ops.expm1, (x) => [Math.expm1(x), Math.exp(x), Math.exp(x)]],
  sin: [ops.sin, (x) => [Math.sin(x), Math.cos(x), -Math.sin(x)]],
  cos: [ops.cos, (x) => [Math.cos(x), -Math.sin(x), -Math.cos(x)]],
  atan: [ops.atan, (x) => [Math.atan(x), 1 / (1 + x * x), -2 * x / (1 + x * x) ** 2]],
  square: [ops.square, (x) => [x * x, 2 * x, 2]],
  negate: [ops.negate, (x) => [-x, -1, 0]],
  relu: [ops.relu, (x) => [Math.max(x, 0), Number(x > 0), 0]],
  abs: [ops.abs, (x) => [Math.abs(x), Math.sign(x), 0]],
};
/** Functions of 1.5 + x^2, for which they are defined. */
const ofPositive: typeof functions = {
  log: [ops.log, logarithm],
  sqrt: [ops.sqrt, (x) => [Math.sqrt(x), 0.5 * x ** -0.5, -0.25 * x ** -1.5]],
  rsqrt: [ops.rsqrt, inverseRoot],
  reciprocal: [ops.reciprocal, reciprocal],
};

const each = (x: Duals, f: (v: HyperDual) => HyperDual): Duals => ({ shape: x.shape, data: x.data.map(f) });
const lifted = (v: HyperDual): HyperDual => plus(times(v, v), constant(1.5));
/** How far from a kink a value must be. */
const CLEAR = 0.01;
const clear = (x: Duals): boolean => x.data.every(([a]) => Math.abs(a) > CLEAR);
const distinct = (line: readonly HyperDual[]): boolean => {
  const sorted = line.map(([a]) => a).sort((a, b) => a - b);
  return sorted.every((a, i) => i === 0 || a - sorted[i - 1]! > CLEAR);
};

const unary: Maker[] = [
  ...Object.entries(functions).map(([name, [build, f]]): Maker => (_, x) =>
    (name === "relu" || name === "abs") && !clear(x) ? undefined : { build, run: (v) => each(v, (a) => smooth(f, a)) }
  ),
  ...Object.values(ofPositive).map(([build, f]): Maker => () => ({
    build: (v) => build(ops.add(ops.square(v), 1.5)),
    run: (v) => each(v, (a) => smooth(f, lifted(a))),
  })),
];

const fits = (x: Duals, y: Duals): readonly number[] | undefined => {
  try {
    return broadcastShapes("both", [x.shape, y.shape]);
  } catch {
    return undefined;
  }
};

/** Element-wise ops of two operands. */
const pairs:
  readonly (readonly [(a: Tensor, b: Tensor) => Tensor, (a: HyperDual, b: HyperDual) => HyperDual, boolean])[] = [
    [ops.add, plus, false],
    [ops.subtract, minus, false],
    [ops.multiply, times, false],
    [(a, b) => ops.divide(a, ops.add(ops.square(b), 1.5)), (a, b) => times(a, smooth(reciprocal, lifted(b))), false],
    [ops.maximum, (a, b) => a[0] > b[0] ? a : b, true],
    [ops.minimum, (a, b) => a[0] < b[0] ? a : b, true],
    [
      (a, b) => ops.where(ops.less(a, b), ops.sin(a), b),
      (a, b) => a[0] < b[0] ? smooth(functions.sin![1], a) : b,
      true,
    ],
  ];

const binary: Maker[] = pairs.map(([build, f, kinked]) => (_, x, y) => {
  const shape = fits(x, y);
  if (!shape || sizeOf(shape) > 40) return undefined;
  const run = (a: Duals, b: Duals): Duals => filled(shape, (place) => f(elementOf(a, place), elementOf(b, place)));
  const gap = filled(shape, (place) => minus(elementOf(x, place), elementOf(y, place)));
  return kinked && !clear(gap) ? undefined : { build, run, both: true };
});

/** An op that makes one element, or one of the same length, of each line along an axis. */
function ofLines(
  build: (x: Tensor, axis: number) => Tensor,
  f: (line: HyperDual[]) => HyperDual | HyperDual[],
  ordered = false,
): Maker {
  return ({ below }, x) => {
    if (x.shape.length === 0) return undefined;
    const axis = below(x.shape.length);
    if (ordered && !x.data.every((_, i) => distinct(lineOf(x, placeAt(x.shape, i), axis)))) return undefined;
    const run = (v: Duals): Duals => {
      const reduced = !Array.isArray(f(lineOf(v, placeAt(v.shape, 0), axis))[0]);
      return filled(reduced ? v.shape.toSpliced(axis, 1) : v.shape, (place) => {
        const whole = reduced ? place.toSpliced(axis, 0, 0) : place, line = f(lineOf(v, whole, axis));
        return (reduced ? line : line[whole[axis]!]) as HyperDual;
      });
    };
    return { build: (v) => build(v, axis), run };
  };
}

function placeAt(shape: readonly number[], i: number): number[] {
  return shape.map((n, axis) => Math.floor(i / sizeOf(shape.slice(axis + 1))) % n);
}

const mean = (line: readonly HyperDual[]): HyperDual => scaled(total(line), 1 / line.length);
const sumOfExp = (line: readonly HyperDual[]): HyperDual => total(line.map((v) => smooth(exponential, v)));
const running = (line: readonly HyperDual[], f: (a: HyperDual, b: HyperDual) => HyperDual): HyperDual[] =>
  line.map((_, i) => line.slice(0, i + 1).reduce(f));
const centred = (line: readonly HyperDual[]): HyperDual[] => line.map((v) => minus(v, mean(line)));
const largest = (line: readonly HyperDual[]): HyperDual => line.reduce((a, b) => a[0] > b[0] ? a : b);

const lines: Maker[] = [
  ofLines((x, axis) => ops.sum(x, { axes: [axis] }), total),
  ofLines((x, axis) => ops.mean(x, { axes: [axis] }), mean),
  ofLines((x, axis) => ops.prod(x, { axes: [axis] }), (line) => line.reduce(times)),
  ofLines((x, axis) => ops.max(x, { axes: [axis] }), largest, true),
  ofLines((x, axis) => ops.variance(x, { axes: [axis] }), (line) => mean(centred(line).map((v) => times(v, v)))),
  ofLines((x, axis) => ops.logSumExp(x, { axes: [axis] }), (line) => smooth(logarithm, sumOfExp(line))),
  ofLines(
    (x, axis) => ops.softmax(x, { axis }),
    (line) => line.map((v) => times(smooth(exponential, v), smooth(reciprocal, sumOfExp(line)))),
  ),
  ofLines(
    (x, axis) => ops.logSoftmax(x, { axis }),
    (line) => line.map((v) => minus(v, smooth(logarithm, sumOfExp(line)))),
  ),
  ofLines((x, axis) => ops.cumsum(x, { axis }), (line) => running(line, plus)),
  ofLines((x, axis) => ops.cumprod(x, { axis }), (line) => running(line, times)),
  ofLines((x, axis) => ops.sort(x, { axis }), (line) => line.toSorted((a, b) => a[0] - b[0]), true),
  ofLines((x, axis) => ops.flip(x, axis), (line) => line.toReversed()),
  ofLines((x, axis) => ops.roll(x, 1, axis), (line) => [line.at(-1)!, ...line.slice(0, -1)]),
];

const layerNorm: Maker = (_, { shape }) => {
  const length = shape.at(-1) ?? 1;
  if (length < 2) return undefined;
  const weight = Array.from({ length }, (_, i) => 1 + i / 8), bias = weight.map((w) => w / 4 - 0.3);
  const normal = (line: readonly HyperDual[]): HyperDual[] => {
    const c = centred(line), power = plus(mean(c.map((v) => times(v, v))), constant(0.1));
    return c.map((v, i) => plus(scaled(times(v, smooth(inverseRoot, power)), weight[i]!), constant(bias[i]!)));
  };
  return {
    build: (x) => ops.layerNorm(x, tensor(weight), tensor(bias), 0.1),
    run: (x) => filled(x.shape, (place) => normal(lineOf(x, place, shape.length - 1))[place.at(-1)!]!),
  };
};

const product: Maker = (_, x, y) => {
  if (x.shape.length !== 2 || y.shape.length !== 2 || x.shape[1] !== y.shape[0]) return undefined;
  const run = (a: Duals, b: Duals): Duals =>
    filled(
      [a.shape[0]!, b.shape[1]!],
      ([i, j]) => total(lineOf(a, [i!, 0], 1).map((v, k) => times(v, elementOf(b, [k, j!])))),
    );
  return { build: (a, b) => ops.matmul(a, b), run, both: true };
};

/** Ops that move elements: the place in x of every place of the result. */
function moves(
  build: (x: Tensor) => Tensor,
  shape: readonly number[],
  from: (place: readonly number[]) => readonly number[],
): ReturnType<Maker> {
  return { build, run: (x) => filled(shape, (place) => elementOf(x, from(place))) };
}

const movers: Maker[] = [
  (_, { shape }) =>
    shape.length < 2 ? undefined : moves(ops.transpose, shape.toReversed(), (place) => place.toReversed()),
  (_, { shape }) => {
    const flat = [sizeOf(shape)];
    return moves((x) => ops.reshape(x, flat), flat, ([i]) => placeAt(shape, i!));
  },
  (_, { shape }) =>
    shape.length > 1
      ? undefined
      : moves((x) => ops.broadcastTo(x, [2, ...shape]), [2, ...shape], (place) => place.slice(1)),
  ({ below }, { shape }) => {
    if ((shape.at(-1) ?? 1) < 2) return undefined;
    const axis = shape.length - 1, start = below(2), end = shape[axis]! - 1 + start;
    return moves(
      (x) => ops.slice(x, axis, start, end),
      shape.with(axis, end - start),
      (p) => p.with(axis, p[axis]! + start),
    );
  },
  ({ below }, { shape }) => {
    if (shape.length === 0) return undefined;
    const ids = Array.from({ length: 3 }, () => below(shape[0]!));
    return moves((x) => ops.take(x, tensor(Uint32Array.from(ids)), 0), shape.with(0, 3), (p) => p.with(0, ids[p[0]!]!));
  },
];

const concat: Maker = (_, x, y) => {
  if (
    x.shape.length === 0 || String(x.shape.slice(1)) !== String(y.shape.slice(1)) || x.shape.length !== y.shape.length
  ) return undefined;
  const shape = x.shape.with(0, x.shape[0]! + y.shape[0]!);
  return {
    build: (a, b) => ops.concat([a, b], 0),
    run: (a, b) => ({ shape, data: [...a.data, ...b.data] }),
    both: true,
  };
};

const makers: readonly (readonly [string, readonly Maker[]])[] = [
  ["unary", unary],
  ["binary", binary],
  ["lines", lines],
  ["others", [layerNorm, product, product, concat, ...movers]],
];

/** Values that no op makes too large for f32 and its derivatives. */
const LARGEST = 6;

/** The program of a seed. */
export function randomProgram(seed: number): RandomProgram {
  const random = randomSource(seed * 7919 + 17);
  const below = (n: number): number => Math.floor(random() * n);
  const draw: Draw = { below, pick: (list) => list[below(list.length)]! };
  const length = (): number => draw.pick([1, 2, 3, 3, 4]), sizes = [length(), length()];
  const shapes = [sizes, [sizes[1]!], [sizes[1]!, length()]];
  const values = shapes.map((shape) => Float32Array.from({ length: sizeOf(shape) }, () => 2.4 * random() - 1.2));
  const known: Duals[] = shapes.map((shape, i) => ({ shape, data: [...values[i]!].map(constant) }));
  const steps: Step[] = [], count = 3 + below(4);
  while (steps.length < count) {
    const [name, list] = draw.pick(makers), at = below(list.length), recent = Math.max(0, known.length - 3);
    const operands = [recent + below(known.length - recent), below(known.length)];
    const made = list[at]!(draw, known[operands[0]!]!, known[operands[1]!]!);
    if (!made) continue;
    const own = made.both ? operands : operands.slice(0, 1), result = made.run(...own.map((i) => known[i]!));
    if (result.data.some(([a]) => !(Math.abs(a) < LARGEST))) continue;
    steps.push({ name: `${name} ${at}`, operands: own, build: made.build, run: made.run });
    known.push(result);
  }
  return { seed, inputs: shapes, steps, values };
}

/** Weights of the sum that a program ends with. */
const weightOf = (i: number): number => Math.cos(1.3 * i + 0.4);
/** How many of the last values that sum is of. */
const LAST = 3;

/** The scalar that a program computes, on tensors; `between` is applied to the result of each step. */
export function build({ steps }: RandomProgram, inputs: readonly Tensor[], between = (t: Tensor): Tensor => t): Tensor {
  const known = [...inputs];
  for (const { operands, build } of steps) known.push(between(build(...operands.map((i) => known[i]!))));
  const weighted = known.slice(-LAST).map((t) =>
    ops.sum(ops.multiply(t, tensor(Float32Array.from({ length: t.size }, (_, i) => weightOf(i)), t.shape)))
  );
  return weighted.reduce((a, b) => ops.add(a, b));
}

/** Value, gradient and the Hessian's product with `vectors`, of all inputs one after the other, in float64. */
export function reference(
  { steps, inputs, values }: RandomProgram,
  vectors: readonly Float32Array[],
): { value: number; gradient: number[]; product: number[] } {
  const places = values.flatMap((list, input) => [...list.keys()].map((i) => [input, i] as const));
  const results = places.map(([input, at]) => {
    const known: Duals[] = inputs.map((shape, n) => ({
      shape,
      data: [...values[n]!].map((v, i): HyperDual => [v, Number(n === input && i === at), vectors[n]![i]!, 0]),
    }));
    for (const { operands, run } of steps) known.push(run(...operands.map((i) => known[i]!)));
    return total(known.slice(-LAST).flatMap(({ data }) => data.map((v, i) => scaled(v, weightOf(i)))));
  });
  return { value: results[0]![0], gradient: results.map((r) => r[1]), product: results.map((r) => r[3]) };
}

/** A program as text, for failures. */
export function describe({ seed, inputs, steps }: RandomProgram): string {
  const lines = steps.map(({ name, operands }, i) =>
    `%${inputs.length + i} = ${name}(${operands.map((k) => `%${k}`)})`
  );
  return `seed ${seed}: inputs ${inputs.map((s) => `[${s}]`)}; ${lines.join("; ")}`;
}
