/**
 * ALBEF (Li et al. 2021, section 3): ITC with keys of momentum encoders and queues, ITM, MLM, and soft targets of the momentum model
 * for ITC and MLM.
 *
 * @module
 */
import { type MlmBatch, mlmCollate } from "../data/pair_collate.ts";
import { itcMomentumLoss } from "../losses/itc.ts";
import { itmLoss } from "../losses/itm.ts";
import { maskedLogits, mlmLoss } from "../losses/mlm.ts";
import { negativesAt, pairNegatives } from "../losses/negatives.ts";
import { total } from "../losses/total.ts";
import {
  type Albef,
  albefPairs,
  type AlbefSpec,
  albefSpec,
  branch,
  encodePairs,
  type ModelContext,
  TEMPERATURE_BOUNDS,
} from "../models/albef.ts";
import {
  advanceQueues,
  encodeKeys,
  type KeyQueues,
  type MomentumEncoders,
  momentumEncoders,
  startQueues,
} from "../models/momentum.ts";
import { clean } from "../nn/attack.ts";
import { minimum, multiply } from "../ops/elementwise.ts";
import type { Key } from "../ops/random.ts";
import { stopGradient } from "../ops/shape.ts";
import { ema } from "../optim/adamw.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { count, share } from "../settings/kinds.ts";
import type { GritLoss, GritOptions, MaskedPairs } from "./grit.ts";
import { negativesField, type PairRecipe, patched } from "./recipe.ts";

/** Its settings. @internal */
export const albefFields = fields({
  mask: share(0.15, "share of the tokens that MLM masks", { paper: "0.15" }),
  negatives: negativesField("multinomial"),
  momentum: share(0.995, "share of the momentum encoders that a step leaves", { paper: "0.995" }),
  keyQueue: count(1024, "features of earlier mini-batches that are keys", { paper: "65536" }),
  alpha: share(0.4, "weight of the momentum model's soft targets, reached at the end of the first epoch", {
    paper: "0.4",
  }),
});

/** What is kept from step to step. */
export type AlbefExtra = { readonly momentum: MomentumEncoders; readonly queues: KeyQueues };

/** The momentum side of a step: encoders that have been moved already, the queues before it, and the weight of soft targets. */
export interface MomentumSide {
  /** The momentum encoders, moved already. */
  readonly momentum: MomentumEncoders;
  /** Keys of earlier mini-batches. */
  readonly queues: KeyQueues;
  /** Weight of the soft targets now. */
  readonly alpha: Tensor | number;
}

/** Switches of the objective. */
export interface AlbefOptions extends Pick<GritOptions, "negatives"> {
  /** Weights of the terms. @default 1 each; a term of weight 0 is left out */
  readonly weights?: { readonly itc?: number; readonly itm?: number; readonly mlm?: number };
}

/** The objective on one mini-batch, and the queues after it. */
export function albefLoss(
  p: Albef,
  { momentum, queues, alpha }: MomentumSide,
  batch: MaskedPairs,
  context: ModelContext & { readonly key: Key },
  { negatives: kind = "multinomial", weights }: AlbefOptions = {},
): GritLoss & { readonly queues: KeyQueues } {
  const x = encodePairs(p, batch, context), keys = encodeKeys(momentum, queues, batch, branch(context, 5));
  const similar = { queries: x.features, keys: keys.features, temperature: p.temp };
  const negatives = pairNegatives(kind, similar, context.key, batch.imageIds);
  const soft = () => ({
    logits: clean(() => maskedLogits(momentum, batch, keys.imageStates, branch(context, 6))),
    alpha,
  });
  return {
    ...total({
      itc: () => itcMomentumLoss(x.features, p.temp, keys, { alpha }),
      itm: () => itmLoss(p, x, negatives, branch(context, 3)),
      mlm: () => mlmLoss(maskedLogits(p, batch, x.image.states, branch(context, 4)), batch.mlmLabels, soft()),
    }, weights),
    features: { image: stopGradient(x.features.image), text: stopGradient(x.features.text) },
    negatives,
    queues: advanceQueues(queues, keys.features.image, keys.features.text),
  };
}

/** ALBEF's alpha: it rises from 0 to its value in the first epoch. `step` is a scalar. */
export function rampedAlpha(alpha: number, step: Tensor, stepsPerEpoch: number): Tensor {
  return multiply(minimum(multiply(step, 1 / stepsPerEpoch), 1), alpha);
}

/** The recipe. */
export const albef: PairRecipe<typeof albefFields, AlbefSpec, AlbefExtra, MlmBatch> = {
  title: "ALBEF: momentum encoders, queues, soft targets",
  fields: albefFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false, stepsPerEpoch = 1, seed = 0 }, given) {
    const values = withDefaults(albefFields, given);
    const collate = mlmCollate({ view, maxLength: textLength, tokenizer, probability: values.mask });
    return {
      spec: albefSpec(config),
      bounds: { temp: TEMPERATURE_BOUNDS },
      collate,
      input: collate.shapes(batch),
      model: albefPairs(config),
      extra: (p) => ({ momentum: momentumEncoders(p), queues: startQueues(values.keyQueue, config.embedding, seed) }),
      loss(p, extra, input, { key, step }) {
        const momentum = ema(extra.momentum, p, values.momentum),
          alpha = rampedAlpha(values.alpha, step, stepsPerEpoch);
        const { loss, terms, features, negatives, queues } = albefLoss(
          p,
          { momentum, queues: extra.queues, alpha },
          { ...input, ...patched(input, config) },
          { config, key, remat },
          { negatives: negativesAt(values.negatives, step) },
        );
        const metrics = { ...terms, temperature: p.temp, alpha };
        return { loss, metrics, features, negatives, extra: { momentum, queues } };
      },
    };
  },
};
