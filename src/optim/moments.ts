/**
 * Parts of optimizers that keep moments of the gradients.
 *
 * @module
 */
import { add, cast, divide, multiply, negate, sign, sqrt, square } from "../ops/elementwise.ts";
import { expm1, reciprocal } from "../ops/math.ts";
import type { Tensor } from "../program/graph.ts";
import { mapTrees, type Tree } from "../program/tree.ts";
import { checkConstant } from "./transforms.ts";
import { noSteps, type Transformation, zeros } from "./transformation.ts";

/** Options of {@linkcode scaleByMomentum}. */
export interface MomentumOptions {
  /** Look one step ahead (Nesterov's). Default false. */
  readonly nesterov?: boolean;
}

/** The velocity, as PyTorch's SGD has it: v = momentum * v + g; Nesterov's gives g + momentum * v. */
export function scaleByMomentum(momentum: number, { nesterov = false }: MomentumOptions = {}): Transformation {
  checkConstant("momentum", momentum, 0, 1);
  return {
    init: (params) => ({ velocity: zeros(params) }),
    update(gradients, state) {
      const before = (state as { velocity: Tree }).velocity;
      const velocity = mapTrees([gradients, before], ([g, v]) => add(multiply(v!, momentum), g!));
      const ahead = () => mapTrees([gradients, velocity], ([g, v]) => add(g!, multiply(v!, momentum)));
      return [nesterov ? ahead() : velocity, { velocity }];
    },
  };
}

/** Constants of {@linkcode scaleByAdam}. */
export interface AdamMoments {
  /** Decay of the first moment. Default 0.9. */
  readonly beta1?: number;
  /** Decay of the second moment. Default 0.999. */
  readonly beta2?: number;
  /** Added to the root of the corrected second moment. Default 1e-8. */
  readonly eps?: number;
}

/** Adam's direction (Kingma and Ba 2015, algorithm 1): m / (sqrt(v) + eps) of the bias-corrected moments. */
export function scaleByAdam({ beta1 = 0.9, beta2 = 0.999, eps = 1e-8 }: AdamMoments = {}): Transformation {
  checkConstant("beta1", beta1, 0, 1);
  checkConstant("beta2", beta2, 0, 1);
  return {
    init: (params) => ({ count: noSteps(), mu: zeros(params), nu: zeros(params) }),
    update(gradients, state) {
      const { count: before, mu: m, nu: v } = state as { count: Tensor; mu: Tree; nu: Tree };
      const count = add(before, 1), mu = mapTrees([gradients, m], ([g, m]) => average(m!, g!, beta1));
      const nu = mapTrees([gradients, v], ([g, v]) => average(v!, square(g!), beta2));
      const [c1, c2] = [correction(beta1, count), correction(beta2, count)];
      const updates = mapTrees(
        [mu, nu],
        ([m, v]) => divide(multiply(m!, c1), add(sqrt(multiply(v!, c2)), eps)),
      );
      return [updates, { count, mu, nu }];
    },
  };
}

/** Constants of {@linkcode scaleByLion}. */
export interface LionMoments {
  /** Share of the momentum in the direction. Default 0.9. */
  readonly beta1?: number;
  /** Decay of the momentum. Default 0.99. */
  readonly beta2?: number;
}

/** Lion's direction (Chen et al. 2023, algorithm 2): the sign of beta1 * m + (1 - beta1) * g; then m = beta2 * m + (1 - beta2) * g. */
export function scaleByLion({ beta1 = 0.9, beta2 = 0.99 }: LionMoments = {}): Transformation {
  checkConstant("beta1", beta1, 0, 1);
  checkConstant("beta2", beta2, 0, 1);
  return {
    init: (params) => ({ mu: zeros(params) }),
    update(gradients, state) {
      const before = (state as { mu: Tree }).mu;
      const mu = mapTrees([gradients, before], ([g, m]) => average(m!, g!, beta2));
      return [mapTrees([gradients, before], ([g, m]) => sign(average(m!, g!, beta1))), { mu }];
    },
  };
}

/** Constants of {@linkcode scaleByRms}. */
export interface RmsMoments {
  /** Decay of the second moment. Default 0.99. */
  readonly decay?: number;
  /** Added to the root of the second moment. Default 1e-8. */
  readonly eps?: number;
}

/** RMSprop's direction (Hinton 2012; PyTorch's constants): g / (sqrt(v) + eps), without bias correction. */
export function scaleByRms({ decay = 0.99, eps = 1e-8 }: RmsMoments = {}): Transformation {
  checkConstant("decay", decay, 0, 1);
  return {
    init: (params) => ({ nu: zeros(params) }),
    update(gradients, state) {
      const nu = mapTrees([gradients, (state as { nu: Tree }).nu], ([g, v]) => average(v!, square(g!), decay));
      return [mapTrees([gradients, nu], ([g, v]) => divide(g!, add(sqrt(v!), eps))), { nu }];
    },
  };
}

/** decay * before + (1 - decay) * now. */
function average(before: Tensor, now: Tensor, decay: number): Tensor {
  return add(multiply(before, decay), multiply(now, 1 - decay));
}

/** 1 / (1 - beta^t). In f32 the difference would have few digits at first: it is expm1 of t log(beta). */
function correction(beta: number, t: Tensor): Tensor {
  return reciprocal(negate(expm1(multiply(cast(t, "f32"), Math.log(beta)))));
}
