/**
 * Adafactor (Shazeer and Stern 2018, algorithm 4), as PyTorch has it: second moments of a matrix are kept as those of its rows and
 * columns, the rate is relative to the size of a parameter, and updates are clipped by their root mean square.
 *
 * @module
 */
import {
  add,
  cast,
  divide,
  maximum,
  minimum,
  multiply,
  negate,
  type Operand,
  sqrt,
  square,
  subtract,
} from "../ops/elementwise.ts";
import { pow, rsqrt } from "../ops/math.ts";
import { mean } from "../ops/reduce.ts";
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { entries, filterTree, mapTrees, type Tree } from "../program/tree.ts";
import { checkConstant, type Rate } from "./transforms.ts";
import { noSteps, type Transformation } from "./transformation.ts";

/** Constants of {@linkcode adafactor}. */
export interface AdafactorOptions {
  /** The decay of the second moments at step t is 1 - t^decayExponent. Default -0.8. */
  readonly decayExponent?: number;
  /** Largest root mean square of an update before the rate. Default 1. */
  readonly clipping?: number;
  /** The size that a parameter counts as having at least. Default 1e-3. */
  readonly leastSize?: number;
  /** Share of a value that a step of rate 1 takes away. Default 0. */
  readonly weightDecay?: number;
}

/** Second moments by path: of the rows and columns of what has at least 2 axes, of each element of the others. */
interface State {
  readonly count: Tensor;
  readonly rows: Readonly<Record<string, Tensor>>;
  readonly columns: Readonly<Record<string, Tensor>>;
  readonly elements: Readonly<Record<string, Tensor>>;
}

/** PyTorch's first eps, f32's: what second moments and their means are at least. */
const EPS = 2 ** -23;

/**
 * Adafactor. The rate of step t is min(rate, 1 / sqrt(t)), times the root mean square of the parameter.
 *
 * @param rate Default 0.01.
 */
export function adafactor(
  rate: Rate = 1e-2,
  options: AdafactorOptions = {},
): Transformation {
  const { decayExponent = -0.8, clipping = 1, leastSize = 1e-3, weightDecay = 0 } = checkOptions(
    "adafactor",
    options,
    { decayExponent: "one", clipping: "one", leastSize: "one", weightDecay: "one" },
  );
  if (typeof rate === "number") checkConstant("rate", rate);
  checkConstant("clipping", clipping);
  checkConstant("weightDecay", weightDecay);
  return {
    init(params) {
      const matrices = filterTree(params, (_, p) => p.shape.length >= 2);
      const others = filterTree(params, (_, p) => p.shape.length < 2);
      return {
        count: noSteps(),
        rows: zerosBy(matrices, (shape) => shape.with(-1, 1)),
        columns: zerosBy(matrices, (shape) => shape.with(-2, 1)),
        elements: zerosBy(others, (shape) => shape),
      };
    },
    update(gradients, state, params) {
      const before = state as unknown as State, count = add(before.count, 1), t = cast(count, "f32");
      const now = typeof rate === "number" ? rate : rate(cast(before.count, "f32")), share = pow(t, decayExponent);
      const toward = (moment: Tensor, g2: Tensor): Tensor => add(moment, multiply(share, subtract(g2, moment)));
      const rows: Record<string, Tensor> = {},
        columns: Record<string, Tensor> = {},
        elements: Record<string, Tensor> = {};
      const secondMoment = (path: string, g: Tensor): Tensor => {
        if (g.shape.length < 2) return elements[path] = toward(before.elements[path]!, square(g));
        rows[path] = toward(before.rows[path]!, meanAlong(square(g), -1));
        columns[path] = toward(before.columns[path]!, meanAlong(square(g), -2));
        return multiply(divide(rows[path], maximum(meanAlong(rows[path], -2), EPS)), columns[path]);
      };
      const updates = mapTrees([gradients, params], ([g, p], path) => {
        const direction = multiply(g!, rsqrt(maximum(secondMoment(path, g!), EPS * EPS)));
        const clipped = divide(direction, maximum(divide(rms(direction), clipping), 1));
        const relative = multiply(minimum(rsqrt(t), now), maximum(rms(p!), leastSize));
        const step: Operand = negate(multiply(clipped, relative));
        return weightDecay ? subtract(step, multiply(multiply(p!, weightDecay), now)) : step;
      });
      return [updates, { count, rows, columns, elements }];
    },
  };
}

function zerosBy(tree: Tree, shapeOf: (shape: number[]) => number[]): Record<string, Tensor> {
  return Object.fromEntries(
    entries(tree).map(([path, { shape }]) => {
      const own = shapeOf([...shape]), size = own.reduce((a, b) => a * b, 1);
      return [path, tensor(new Float32Array(size), own, "f32", { copy: false })];
    }),
  );
}

function meanAlong(x: Tensor, axis: number): Tensor {
  return mean(x, { axes: [axis], keepDims: true });
}

/** The root mean square of all elements. */
function rms(x: Tensor): Tensor {
  return sqrt(mean(square(x)));
}
