/**
 * The usual optimizers, with the conventions and the constants of PyTorch. A rate is a number or a schedule; each is a
 * {@linkcode Transformation} and can be part of a {@linkcode chain}.
 *
 * @module
 */
import { checkOptions, type OptionKinds } from "../program/options.ts";
import {
  type AdamMoments,
  type LionMoments,
  type RmsMoments,
  scaleByAdam,
  scaleByLion,
  scaleByMomentum,
  scaleByRms,
} from "./moments.ts";
import { chain, type Mask, type Transformation } from "./transformation.ts";
import { addDecayedWeights, type Rate, scaleByLearningRate } from "./transforms.ts";

/** Weight decay of an optimizer. */
export interface DecayOptions {
  /** How much decays; see the optimizer for how. */
  readonly weightDecay?: number;
  /** Which parameters decay. Default: all. */
  readonly mask?: Mask;
}

const DECAY_OPTIONS: OptionKinds<DecayOptions> = { weightDecay: "one", mask: "one" };
const ADAM_OPTIONS: OptionKinds<AdamMoments & DecayOptions> = {
  beta1: "one",
  beta2: "one",
  eps: "one",
  ...DECAY_OPTIONS,
};

/** Options of {@linkcode sgd}. */
export interface SgdOptions extends DecayOptions {
  /** Share of the velocity that is kept. Default 0. */
  readonly momentum?: number;
  /** Nesterov's momentum. Default false. */
  readonly nesterov?: boolean;
}

/**
 * Stochastic gradient descent with momentum; weight decay (default 0) is an L2 penalty.
 *
 * @throws {RangeError} If `nesterov` is asked for without momentum.
 */
export function sgd(
  rate: Rate,
  options: SgdOptions = {},
): Transformation {
  const kinds: OptionKinds<SgdOptions> = { momentum: "one", nesterov: "one", ...DECAY_OPTIONS };
  const { momentum = 0, nesterov = false, weightDecay = 0, mask } = checkOptions("sgd", options, kinds);
  if (nesterov && !momentum) {
    throw new RangeError(`Cannot make an optimizer: nesterov needs a momentum above 0: it is ${momentum}`);
  }
  return chain(
    ...decay(weightDecay, mask),
    ...momentum ? [scaleByMomentum(momentum, { nesterov })] : [],
    scaleByLearningRate(rate),
  );
}

/** Adam (Kingma and Ba 2015); weight decay (default 0) is an L2 penalty. For decoupled decay take {@linkcode adamw}. */
export function adam(
  rate: Rate = 1e-3,
  options: AdamMoments & DecayOptions = {},
): Transformation {
  const { weightDecay = 0, mask, ...moments } = checkOptions("adam", options, ADAM_OPTIONS);
  return chain(...decay(weightDecay, mask), scaleByAdam(moments), scaleByLearningRate(rate));
}

/**
 * AdamW (Loshchilov and Hutter 2019): decoupled weight decay (default 0.01), of which a step takes rate * weightDecay. The trainer
 * has its own over flat buffers, `flatAdamW`.
 */
export function adamw(
  rate: Rate = 1e-3,
  options: AdamMoments & DecayOptions = {},
): Transformation {
  const { weightDecay = 0.01, mask, ...moments } = checkOptions("adamw", options, ADAM_OPTIONS);
  return chain(scaleByAdam(moments), ...decay(weightDecay, mask), scaleByLearningRate(rate));
}

/** Lion (Chen et al. 2023) with decoupled weight decay (default 0). Its rate is 3 to 10 times smaller than AdamW's. */
export function lion(
  rate: Rate = 1e-4,
  options: LionMoments & DecayOptions = {},
): Transformation {
  const kinds = { beta1: "one", beta2: "one", ...DECAY_OPTIONS } as const;
  const { weightDecay = 0, mask, ...moments } = checkOptions("lion", options, kinds);
  return chain(scaleByLion(moments), ...decay(weightDecay, mask), scaleByLearningRate(rate));
}

/** Options of {@linkcode rmsprop}. */
export interface RmspropOptions extends RmsMoments, DecayOptions {
  /** Share of the velocity that is kept. Default 0. */
  readonly momentum?: number;
}

/** RMSprop (Hinton 2012), with momentum after the scaling; weight decay (default 0) is an L2 penalty. */
export function rmsprop(
  rate: Rate = 1e-2,
  options: RmspropOptions = {},
): Transformation {
  const kinds = { momentum: "one", decay: "one", eps: "one", ...DECAY_OPTIONS } as const;
  const { momentum = 0, weightDecay = 0, mask, ...moments } = checkOptions("rmsprop", options, kinds);
  return chain(
    ...decay(weightDecay, mask),
    scaleByRms(moments),
    ...momentum ? [scaleByMomentum(momentum)] : [],
    scaleByLearningRate(rate),
  );
}

function decay(weightDecay: number, mask: Mask | undefined): Transformation[] {
  return weightDecay ? [addDecayedWeights(weightDecay, mask)] : [];
}
