/**
 * GRIT-VLP (Byun et al. 2022, sections 3.2 to 3.4): ALBEF without momentum encoders, trained by ITC with consistency, ITM with hard
 * negatives of grouped mini-batches and MLM with half of the tokens masked. The grouping itself is `grouped.ts`, a switch of any recipe.
 *
 * @module
 */
import { type MlmBatch, mlmCollate } from "../data/pair_collate.ts";
import { itcLoss } from "../losses/itc.ts";
import { itmLoss } from "../losses/itm.ts";
import { maskedLogits, type MaskedTexts, mlmLoss } from "../losses/mlm.ts";
import {
  type NegativeKind,
  type NegativeMix,
  negativesAt,
  type PairNegatives,
  pairNegatives,
} from "../losses/negatives.ts";
import { type Total, total } from "../losses/total.ts";
import {
  type Albef,
  albefPairs,
  type AlbefSpec,
  albefSpec,
  branch,
  encodePairs,
  type ModelContext,
  type PairFeatures,
  type PatchedPairs,
  TEMPERATURE_BOUNDS,
} from "../models/albef.ts";
import { greaterEqual, multiply } from "../ops/elementwise.ts";
import type { Key } from "../ops/random.ts";
import { stopGradient } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, type Values, withDefaults } from "../settings/field.ts";
import { count, number, share, toggle } from "../settings/kinds.ts";
import type { NoExtra } from "../train/task.ts";
import { negativesField, type PairRecipe, patched } from "./recipe.ts";

/** Its settings. @internal */
export const gritFields = fields({
  mask: share(0.5, "share of the tokens that MLM masks (ALBEF: 0.15)", { paper: "0.5" }),
  consistency: number(0.2, "weight of ITC's consistency term", { min: 0, paper: "0.2" }),
  negatives: negativesField("multinomial; top1 in the official code"),
  sameImage: toggle(false, "let captions of one image be each other's negatives, as the official code does", {
    paper: "true",
  }),
  itcWeight: number(1, "weight of ITC; 0 leaves a term out", { min: 0, paper: "1" }),
  itmWeight: number(1, "weight of ITM", { min: 0, paper: "1" }),
  mlmWeight: number(1, "weight of MLM", { min: 0, paper: "1" }),
  itcSmoothing: share(0, "share of ITC's targets that all pairs have equally (MAFA: 0.5, with no consistency)", {
    paper: "0",
  }),
  itcSmoothingFrom: count(0, "epoch from which ITC's targets are smoothed (MAFA: 1)", { min: 0 }),
  detachKeys: toggle(true, "no gradient through ITC's key side", { paper: "true in the official code" }),
});

/** Switches of the objective; the defaults are those of the settings. */
export interface GritOptions
  extends Partial<Omit<Values<typeof gritFields>, "negatives" | "mask" | "itcSmoothing" | "itcSmoothingFrom">> {
  /** Share of ITC's targets that all pairs have equally. @default 0 */
  readonly smoothing?: Tensor | number;
  /** How negatives are chosen, or which they are. */
  readonly negatives?: NegativeKind | NegativeMix | PairNegatives;
}

/** A mini-batch with masked texts; captions of one image share an id. */
export type MaskedPairs = PatchedPairs & MaskedTexts & { readonly imageIds?: Tensor };

/** The losses, what the sampler collects, and the pairs that met in ITM. */
export interface GritLoss extends Total<"itc" | "itm" | "mlm"> {
  /** Features of the mini-batch, constants. */
  readonly features: PairFeatures;
  /** Which pairs met in ITM. */
  readonly negatives: PairNegatives;
}

/** The objective on one mini-batch. Dropout and drawn negatives take branches 0 to 4 of the key. */
export function gritLoss(
  p: Albef,
  batch: MaskedPairs,
  context: ModelContext & { readonly key: Key },
  options: GritOptions = {},
): GritLoss {
  const { consistency, detachKeys, smoothing, sameImage = false, negatives: kind = "multinomial" } = options;
  const imageIds = sameImage ? undefined : batch.imageIds;
  const x = encodePairs(p, batch, context), { features } = x;
  const negatives = pairNegatives(
    kind,
    { queries: features, keys: features, temperature: p.temp },
    context.key,
    imageIds,
  );
  return {
    ...total({
      itc: () => itcLoss(features, p.temp, { consistency, detachKeys, imageIds, smoothing }),
      itm: () => itmLoss(p, x, negatives, branch(context, 3)),
      mlm: () => mlmLoss(maskedLogits(p, batch, x.image.states, branch(context, 4)), batch.mlmLabels),
    }, { itc: options.itcWeight ?? 1, itm: options.itmWeight ?? 1, mlm: options.mlmWeight ?? 1 }),
    features: { image: stopGradient(features.image), text: stopGradient(features.text) },
    negatives,
  };
}

/** The recipe. */
export const grit: PairRecipe<typeof gritFields, AlbefSpec, NoExtra, MlmBatch> = {
  title: "GRIT-VLP: ITC with consistency, ITM, MLM",
  fields: gritFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false }, given) {
    const { mask, ...options } = withDefaults(gritFields, given);
    const collate = mlmCollate({ view, maxLength: textLength, tokenizer, probability: mask });
    const model = albefPairs(config), { image, text } = model;
    return {
      spec: albefSpec(config),
      bounds: { temp: TEMPERATURE_BOUNDS },
      collate,
      input: collate.shapes(batch),
      model: options.itmWeight > 0 ? model : { image, text }, // an untrained head must not rank
      loss(p, _, input, { key, step, epoch }) {
        const from = options.itcSmoothingFrom, smoothing = options.itcSmoothing;
        const { loss, terms, features, negatives } = gritLoss(
          p,
          { ...input, ...patched(input, config) },
          { config, key, remat },
          {
            ...options,
            negatives: negativesAt(options.negatives, step),
            smoothing: smoothing && from ? multiply(greaterEqual(epoch, from), smoothing) : smoothing,
          },
        );
        return { loss, metrics: { ...terms, temperature: p.temp }, features, negatives };
      },
    };
  },
};
