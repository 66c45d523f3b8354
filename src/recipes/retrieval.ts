/**
 * Fine-tuning for retrieval: ITC with all keys of the same image as positives, and ITM (Li et al. 2021, section 5).
 *
 * @module
 */
import { type PairBatch, pairCollate } from "../data/pair_collate.ts";
import { itcLoss, itcMomentumLoss } from "../losses/itc.ts";
import { itmLoss } from "../losses/itm.ts";
import {
  type NegativeKind,
  type NegativeMix,
  negativesAt,
  type PairNegatives,
  pairNegatives,
} from "../losses/negatives.ts";
import { type Total, total } from "../losses/total.ts";
import {
  albefPairs,
  branch,
  encodePairs,
  type Matcher,
  type ModelContext,
  type PairFeatures,
  type PatchedPairs,
  TEMPERATURE_BOUNDS,
} from "../models/albef.ts";
import {
  advanceQueues,
  encodeKeys,
  type KeyQueues,
  type MOMENTUM_PARTS,
  type MomentumEncoders,
  momentumEncoders,
  startQueues,
} from "../models/momentum.ts";
import { asMatcher, type Retrieval, type RetrievalSpec, retrievalSpec } from "../models/retrieval.ts";
import { concat, stopGradient } from "../ops/shape.ts";
import type { Key } from "../ops/random.ts";
import { ema } from "../optim/adamw.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { count, share, toggle } from "../settings/kinds.ts";
import { rampedAlpha } from "./albef.ts";
import { negativesField, type PairRecipe, patched } from "./recipe.ts";

/** Its settings. @internal */
export const retrievalFields = fields({
  negatives: negativesField("multinomial"),
  momentumKeys: toggle(true, "keys of momentum encoders and a queue; without, those of the mini-batch", {
    paper: "true",
  }),
  momentum: share(0.995, "share of the momentum encoders that a step leaves", { paper: "0.995" }),
  keyQueue: count(1024, "features of earlier mini-batches that are keys", { paper: "65536" }),
  alpha: share(0, "weight of the momentum model's soft targets (ALBEF: 0.4)", { paper: "0" }),
});

/** The momentum side of a step; `encoders` have been moved already. */
export interface RetrievalMomentum {
  /** The momentum encoders, moved already. */
  readonly encoders: MomentumEncoders<Matcher>;
  /** Keys of earlier mini-batches, with the images that they are of. */
  readonly queues: Required<KeyQueues>;
  /** Weight of the soft targets now. */
  readonly alpha: Tensor | number;
}

/** The losses, the features, and the queues after the step where there are any. */
export interface RetrievalLoss extends Total<"itc" | "itm"> {
  /** Features of the mini-batch, constants. */
  readonly features: PairFeatures;
  /** The queues after the step. */
  readonly queues?: KeyQueues;
}

/** The objective on one mini-batch; without a momentum side the keys are the batch's, as constants. */
export function retrievalLoss(
  p: Matcher,
  batch: PatchedPairs & { readonly imageIds: Tensor },
  context: ModelContext & { readonly key: Key },
  { momentum, negatives: kind = "multinomial" }: {
    readonly momentum?: RetrievalMomentum | undefined;
    readonly negatives?: NegativeKind | NegativeMix | PairNegatives;
  } = {},
): RetrievalLoss {
  const x = encodePairs(p, batch, context), { imageIds } = batch;
  const keys = momentum && encodeKeys(momentum.encoders, momentum.queues, batch, branch(context, 5));
  const similar = { queries: x.features, keys: keys?.features ?? x.features, temperature: p.temp };
  const negatives = pairNegatives(kind, similar, context.key, imageIds);
  return {
    ...total({
      itc: () =>
        keys
          ? itcMomentumLoss(x.features, p.temp, keys, {
            alpha: momentum.alpha,
            ids: { queries: imageIds, keys: concat([imageIds, momentum.queues.ids], 0) },
          })
          : itcLoss(x.features, p.temp, { consistency: 0, imageIds }),
      itm: () => itmLoss(p, x, negatives, branch(context, 3)),
    }),
    features: { image: stopGradient(x.features.image), text: stopGradient(x.features.text) },
    ...(keys ? { queues: advanceQueues(momentum.queues, keys.features.image, keys.features.text, imageIds) } : {}),
  };
}

/** What is kept from step to step, under the parameters' names; nothing without momentum keys. */
export type RetrievalExtra = {
  readonly momentum?: Pick<Retrieval, typeof MOMENTUM_PARTS[number]>;
  readonly queues?: Required<KeyQueues>;
};

/** The recipe. */
export const retrieval: PairRecipe<typeof retrievalFields, RetrievalSpec, RetrievalExtra, PairBatch> = {
  title: "fine-tuning for retrieval: ITC with several positives, ITM",
  fields: retrievalFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false, stepsPerEpoch = 1, seed = 0 }, given) {
    const values = withDefaults(retrievalFields, given);
    const collate = pairCollate({ view, maxLength: textLength, tokenizer }), pairs = albefPairs(config);
    const moved = (p: Retrieval, { momentum, queues }: RetrievalExtra): Required<RetrievalExtra> | undefined =>
      momentum && queues && { momentum: ema(momentum, p, values.momentum), queues };
    return {
      spec: retrievalSpec(config),
      bounds: { temp: TEMPERATURE_BOUNDS },
      collate,
      input: collate.shapes(batch),
      model: {
        image: (p, images) => pairs.image(asMatcher(p), images),
        text: (p, tokens) => pairs.text(asMatcher(p), tokens),
        match: (p, text, mask, image) => pairs.match(asMatcher(p), text, mask, image),
        keys: (p, image) => pairs.keys(asMatcher(p), image),
        temperature: (p) => p.temp,
      },
      extra: (p) =>
        values.momentumKeys
          ? {
            momentum: momentumEncoders(p),
            queues: startQueues(values.keyQueue, config.embedding, seed, true) as Required<KeyQueues>,
          }
          : {},
      loss(p, extra, input, { key, step }) {
        const next = moved(p, extra), alpha = rampedAlpha(values.alpha, step, stepsPerEpoch);
        const { loss, terms, features, queues } = retrievalLoss(
          asMatcher(p),
          { ...patched(input, config), imageIds: input.imageIds },
          { config, key, remat },
          {
            negatives: negativesAt(values.negatives, step),
            momentum: next && {
              encoders: { ...next.momentum, text_encoder: { bert: next.momentum.text_encoder } },
              queues: next.queues,
              alpha: values.alpha === 0 ? 0 : alpha,
            },
          },
        );
        return {
          loss,
          metrics: { ...terms, temperature: p.temp },
          features,
          extra: next ? { momentum: next.momentum, queues: queues as Required<KeyQueues> } : {},
        };
      },
    };
  },
};
