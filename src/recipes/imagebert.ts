/**
 * ImageBERT (Qi et al. 2020, section 4): one stream of words and detected regions that learns four tasks in one pass: masked words, the
 * classes and features of masked regions, and whether they belong together. Of pairs that do not, only the last is learned.
 *
 * Its stages of data are runs of their own, each from the parameters of the one before: many noisy pairs first, fewer clean ones then.
 *
 * @module
 */
import { type RegionBatch, regionCollate } from "../data/regions/collate.ts";
import type { RegionPair } from "../data/regions/dataset.ts";
import { classLoss } from "../losses/classes.ts";
import { mlmLoss } from "../losses/mlm.ts";
import { regionClassLoss, regionFeatureLoss } from "../losses/regions.ts";
import { type Total, total } from "../losses/total.ts";
import {
  predictedFeatures,
  regionClassLogits,
  type RegionContext,
  regionMatchLogits,
  type RegionModel,
  type RegionSpec,
  regionSpec,
  regionStates,
  regionVocabularyLogits,
} from "../models/regions.ts";
import { argmax } from "../ops/argmax.ts";
import { cast, equal, iota, less, multiply, where } from "../ops/elementwise.ts";
import { foldIn, type Key, uniform } from "../ops/random.ts";
import { reshape } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { number, share } from "../settings/kinds.ts";
import type { NoExtra } from "../train/task.ts";
import { accuracy } from "./_classes.ts";
import type { Recipe, RecipeObjective } from "./recipe.ts";
import { checkRegionSizes, DEFAULT_REGIONS, type FalsePairs, mixedRows } from "./regions.ts";
import { drawFalsePairs } from "./vilt.ts";

const weight = (meaning: string) => number(1, `weight of ${meaning}; 0 leaves a term out`, { min: 0, paper: "1" });

/** Its settings. @internal */
export const imagebertFields = fields({
  mask: share(0.15, "share of the tokens that are masked", { paper: "0.15" }),
  maskRegions: share(0.15, "share of the regions that are masked, one at least", { paper: "0.15" }),
  hideRegions: share(0.9, "share of the masked regions whose features are not seen", { paper: "0.9" }),
  itmWeight: weight("matching images and texts (ITM)"),
  mlmWeight: weight("masked words (MLM)"),
  classWeight: weight("masked regions' classes (MOC)"),
  featureWeight: weight("masked regions' features (MRFR)"),
});

/** Weights of the terms, and what is seen of masked regions. */
export interface ImagebertOptions {
  /** Weights. @default 1 each; a term of weight 0 is left out */
  readonly weights?: { readonly [N in "itm" | "mlm" | "class" | "feature"]?: number };
  /** Share of the masked regions whose features are not seen. @default 0.9 */
  readonly hideRegions?: number;
}

/** The losses, and what ITM was computed from. */
export interface ImagebertLoss extends Total<"itm" | "mlm" | "class" | "feature"> {
  /** Logits of (no match, match), [B, 2]. */
  readonly logits: Tensor;
}

/** The objective on one mini-batch. Branch 1 of the key decides on what is hidden, dropout takes branch 2. */
export function imagebertLoss(
  p: RegionModel,
  batch: Omit<RegionBatch, "imageIds">,
  drawn: FalsePairs,
  { key, ...context }: RegionContext & { readonly key: Key },
  { weights, hideRegions = 0.9 }: ImagebertOptions = {},
): ImagebertLoss {
  const { mask, mlmIds, mlmLabels, features, places, regionMask, maskedRegions, shares } = batch, { matches } = drawn;
  const hidden = multiply(maskedRegions, less(uniform(foldIn(key, 1), maskedRegions.shape), hideRegions));
  const shown = mixedRows({ features, places, regionMask, hidden }, drawn);
  const states = regionStates(p, { ids: mlmIds, mask }, shown, { ...context, key: foldIn(key, 2) });
  const logits = regionMatchLogits(p, states), isTrue = reshape(matches, [matches.size, 1]);
  const labels = cast(where(isTrue, cast(mlmLabels, "f32"), -100), "i32"); // ids are exact below 2^24
  const masked = multiply(maskedRegions, cast(isTrue, "f32"));
  return {
    ...total({
      itm: () => classLoss(logits, matches),
      mlm: () => mlmLoss(regionVocabularyLogits(p, states, context), labels),
      class: () => regionClassLoss(regionClassLogits(p, states, context), certain(shares!), masked),
      feature: () => regionFeatureLoss(predictedFeatures(p, states, context), features, masked),
    }, weights),
    logits,
  };
}

/** All of each region's probability for its most likely class: MOC is a classification. */
function certain(shares: Tensor): Tensor {
  const [batch, count, classes] = shares.shape as [number, number, number];
  return equal(iota([1, 1, classes], 2), reshape(argmax(shares), [batch, count, 1]));
}

/** The recipe. False images are drawn from the mini-batch, and a masked region's feature is learned (the paper: zeros). */
export const imagebert: Recipe<typeof imagebertFields, RecipeObjective<RegionPair, RegionSpec, NoExtra, RegionBatch>> =
  {
    title: "ImageBERT: one stream of words and detected regions, four tasks in one pass",
    fields: imagebertFields,
    looksAtRegions: true,
    objective(
      { config: { text }, batch, textLength, tokenizer, remat = false, regions: sizes = DEFAULT_REGIONS },
      given,
    ) {
      const values = withDefaults(imagebertFields, given), { mask, maskRegions, hideRegions, classWeight } = values;
      checkRegionSizes(sizes, { classWeight });
      const collate = regionCollate({
        regions: sizes,
        maxLength: textLength,
        tokenizer,
        probability: mask,
        regionProbability: maskRegions,
      });
      const config = { text, width: sizes.width, classes: sizes.classes };
      const weights = {
        itm: values.itmWeight,
        mlm: values.mlmWeight,
        class: classWeight,
        feature: values.featureWeight,
      };
      return {
        spec: regionSpec(config),
        collate,
        input: collate.shapes(batch),
        loss(p, _, { imageIds, ...input }, { key }) {
          const drawn = drawFalsePairs(imageIds, foldIn(key, 0)), context = { config, key, remat };
          const { loss, terms, logits } = imagebertLoss(p, input, drawn, context, { weights, hideRegions });
          return { loss, metrics: { ...terms, itmAccuracy: accuracy(logits, drawn.matches) } };
        },
      };
    },
  };
