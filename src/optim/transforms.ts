/**
 * Parts of optimizers for {@linkcode chain}: clipping, decay, rates, averages of the weights.
 *
 * @module
 */
import { add, cast, clamp, multiply, negate } from "../ops/elementwise.ts";
import { identity } from "../ops/shape.ts";
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { fromLeaves, leaves, mapTree, type Tree } from "../program/tree.ts";
import { clipToNorm, ema, globalNorm } from "./adamw.ts";
import { applyUpdates, type Mask, noSteps, stateless, type Transformation } from "./transformation.ts";

/** A number, or a schedule: a function of the steps done before (an f32 scalar). */
export type Rate = number | ((step: Tensor) => Tensor);

/** Throws unless a number that an optimizer is made with is in [least, below). */
export function checkConstant(name: string, value: number, least = 0, below = Infinity): void {
  if (value >= least && value < below) return;
  throw new RangeError(`Cannot make an optimizer: ${name} must be in [${least}, ${below}): it is ${value}`);
}

/** Each gradient shortened so that their global norm is at most `limit`, as {@linkcode clipToNorm} does (Pascanu et al. 2013). */
export function clipByGlobalNorm(limit: number): Transformation {
  checkConstant("limit", limit);
  return {
    init: () => [],
    update(gradients) {
      const all = leaves(gradients);
      return [all.length ? fromLeaves(gradients, clipToNorm(all, globalNorm(all), limit)) : gradients, []];
    },
  };
}

/** Each element of a gradient limited to [-limit, limit]. */
export function clip(limit: number): Transformation {
  checkConstant("limit", limit);
  return stateless((g) => clamp(g, -limit, limit));
}

/**
 * `decay` times the parameters added to the gradients: before the moments an L2 penalty, after them decoupled decay (Loshchilov and
 * Hutter 2019).
 *
 * @param mask Which parameters decay, such as {@linkcode officialDecay}. Default: all do.
 */
export function addDecayedWeights(decay: number, mask: Mask = () => true): Transformation {
  checkConstant("decay", decay);
  return stateless((g, p, path) => decay && mask(path, p.shape) ? add(g, multiply(p, decay)) : g);
}

/** Updates times a number. */
export function scale(factor: number): Transformation {
  return stateless((g) => multiply(g, factor));
}

/** Updates times a number that changes with the step. The state counts steps. */
export function scaleBySchedule(schedule: (step: Tensor) => Tensor): Transformation {
  return {
    init: () => ({ count: noSteps() }),
    update(gradients, state) {
      const { count } = state as { count: Tensor }, factor = schedule(cast(count, "f32"));
      return [mapTree(gradients, (g) => multiply(g, factor)), { count: add(count, 1) }];
    },
  };
}

/** The last part of an optimizer: updates times minus the learning rate. */
export function scaleByLearningRate(rate: Rate): Transformation {
  if (typeof rate === "function") return scaleBySchedule((step) => negate(rate(step)));
  checkConstant("rate", rate);
  return scale(-rate);
}

/**
 * The exponential moving average of the parameters, for evaluation: put it last, where the updates are what will be added. The
 * state is `{ average }`, which begins as a copy of the parameters.
 *
 * @param decay What is kept of the average with every step.
 */
export function weightEma(decay: number): Transformation {
  checkConstant("decay", decay, 0, 1);
  return {
    init: (params) => ({ average: mapTree(params, copy) }),
    update(updates, state, params) {
      const { average } = state as { average: Tree };
      return [updates, { average: ema(average, applyUpdates(params, updates), decay) }];
    },
  };
}

/** A tensor of its own with the same value: parameters and state must not share memory that is donated. */
function copy(t: Tensor): Tensor {
  return t.node.host ? tensor(t.node.host, t.shape, t.dtype) : identity(t);
}
