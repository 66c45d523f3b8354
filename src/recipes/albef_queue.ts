/**
 * Queue-based ITC alone (Byun et al. 2022, table 5): two encoders, momentum copies of them, and queues of earlier keys (Li et al. 2021,
 * equations 6 and 7); no matching head, so retrieval is by cosine.
 *
 * @module
 */
import { type PairBatch, pairCollate } from "../data/pair_collate.ts";
import { itcMomentumLoss } from "../losses/itc.ts";
import {
  albefPairs,
  type AlbefSpec,
  albefSpec,
  branch,
  encodePairs,
  type Matcher,
  type PairModel,
  TEMPERATURE_BOUNDS,
} from "../models/albef.ts";
import { type BertSpec, bertSpec } from "../models/bert.ts";
import type { AlbefConfig } from "../models/config.ts";
import {
  advanceQueues,
  encodeKeys,
  type KeyQueues,
  type MomentumEncoders,
  momentumEncoders,
  startQueues,
} from "../models/momentum.ts";
import { stopGradient } from "../ops/shape.ts";
import { ema } from "../optim/adamw.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { share } from "../settings/kinds.ts";
import { albefFields, rampedAlpha } from "./albef.ts";
import { type PairRecipe, patched } from "./recipe.ts";

/** Its settings. @internal */
export const albefQueueFields = fields({
  momentum: albefFields.momentum,
  keyQueue: albefFields.keyQueue,
  alpha: share(0, "weight of the momentum model's soft targets, reached at the end of the first epoch", { paper: "0" }),
});

/** Parameters: ALBEF's encoders up to the fusion, under its names. */
export type AlbefQueueSpec = Omit<AlbefSpec, "text_encoder" | "itm_head"> & { text_encoder: Pick<BertSpec, "bert"> };

/** What is kept from step to step. */
export type AlbefQueueExtra = { readonly momentum: MomentumEncoders<Matcher>; readonly queues: KeyQueues };

function albefQueueSpec(config: AlbefConfig): AlbefQueueSpec {
  const { itm_head: _, ...spec } = albefSpec(config), { fusionLayer } = config.text;
  return { ...spec, text_encoder: { bert: bertSpec({ ...config.text, layers: fusionLayer }).bert } };
}

/** The recipe. */
export const albefQueue: PairRecipe<typeof albefQueueFields, AlbefQueueSpec, AlbefQueueExtra, PairBatch> = {
  title: "Two encoders with queue-based ITC (table 5)",
  fields: albefQueueFields,
  objective({ config, batch, textLength, view, tokenizer, stepsPerEpoch = 1, seed = 0, remat = false }, given) {
    const values = withDefaults(albefQueueFields, given);
    const collate = pairCollate({ view, maxLength: textLength, tokenizer });
    const { image, text } = albefPairs(config) as PairModel<unknown>;
    return {
      spec: albefQueueSpec(config),
      bounds: { temp: TEMPERATURE_BOUNDS },
      collate,
      input: collate.shapes(batch),
      model: { image, text },
      extra: (p) => ({ momentum: momentumEncoders(p), queues: startQueues(values.keyQueue, config.embedding, seed) }),
      loss(p, extra, input, { key, step }) {
        const momentum = ema(extra.momentum, p, values.momentum), context = { config, key, remat };
        const pairs = { ...input, ...patched(input, config) }, alpha = rampedAlpha(values.alpha, step, stepsPerEpoch);
        const { features } = encodePairs(p, pairs, context);
        const keys = encodeKeys(momentum, extra.queues, pairs, branch(context, 5));
        const itc = itcMomentumLoss(features, p.temp, keys, { alpha });
        return {
          loss: itc,
          metrics: { itc, temperature: p.temp },
          features: { image: stopGradient(features.image), text: stopGradient(features.text) },
          extra: { momentum, queues: advanceQueues(extra.queues, keys.features.image, keys.features.text) },
        };
      },
    };
  },
};
