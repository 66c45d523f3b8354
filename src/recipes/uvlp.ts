/**
 * Pre-training without pairs (UVLP: Zhou et al. 2022, section 3.3; the names of regions as anchors: Li et al. 2021, "Unsupervised
 * vision-and-language pre-training without parallel images and captions"). Texts were found for images by their tags (`weakPairs`); one
 * stream learns of three grains: regions and their tags, regions and the words of a sentence that name them, images and sentences.
 *
 * @module
 */
import { type RegionBatch, regionCollate, type RegionSizes } from "../data/regions/collate.ts";
import type { RegionPair } from "../data/regions/dataset.ts";
import { namedRegions } from "../data/regions/named.ts";
import { regionClassLoss, regionFeatureLoss } from "../losses/regions.ts";
import { type Total, total } from "../losses/total.ts";
import { matchWeights, weightedTokenLoss } from "../losses/weak_pairs.ts";
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
import { predicted } from "../nn/attack.ts";
import { cast, multiply, where } from "../ops/elementwise.ts";
import { crossEntropy } from "../ops/cross_entropy.ts";
import { foldIn } from "../ops/random.ts";
import { mean } from "../ops/reduce.ts";
import { full } from "../ops/full.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { count, number, share } from "../settings/kinds.ts";
import type { NoExtra } from "../train/task.ts";
import { accuracy } from "./_classes.ts";
import type { Recipe, RecipeObjective } from "./recipe.ts";
import { DEFAULT_REGIONS, type FalsePairs, mixedRows } from "./regions.ts";
import { drawFalsePairs } from "./vilt.ts";

const weight = (meaning: string) => number(1, `weight of ${meaning}; 0 leaves a term out`, { min: 0, paper: "1" });

/** Its settings. @internal */
export const uvlpFields = fields({
  mask: share(0.15, "share of the tokens that are masked, of sentences and of tags", { paper: "0.15" }),
  maskRegions: share(0.15, "share of the regions that are masked, one at least", { paper: "0.15" }),
  tagLength: count(8, "tokens of all tags of an image, [CLS] included", { min: 2 }),
  itmWeight: weight("matching images and sentences"),
  mlmWeight: weight("masked words of sentences"),
  phraseWeight: weight("the names, by a sentence, of masked regions"),
  tagWeight: weight("masked tags"),
  featureWeight: weight("masked regions' features"),
  classWeight: weight("masked regions' classes"),
  filterFrom: number(2, "epoch, from 0, from which on pairs count as much as the model takes them for true", {
    min: 0,
    paper: "2",
  }),
});

/** Terms of the loss. */
export type UvlpTerm = "itm" | "mlm" | "phrase" | "tag" | "feature" | "class";

/** A mini-batch of weak pairs. */
export type UvlpBatch = RegionBatch & Required<Pick<RegionBatch, "tags" | "shares">> & {
  /** i32 [B, R]: the token of a region's name where the sentence names it, else -100. */
  readonly names: Tensor;
};

/** Weights, and from when on the model's own judgement of pairs is trusted. */
export interface UvlpOptions {
  /** Weights of the terms. @default 1 each; a term of weight 0 is left out */
  readonly weights?: { readonly [N in UvlpTerm]?: number };
  /** The epoch, from 0. @default 2 */
  readonly filterFrom?: number;
}

/** The losses, and what ITM was computed from. */
export interface UvlpLoss extends Total<UvlpTerm> {
  /** Logits of (no match, match), [B, 2]. */
  readonly logits: Tensor;
}

/**
 * The objective on one mini-batch. Three passes: sentences with their own or other regions; masked sentences with masked regions; masked
 * tags with masked regions. Dropout takes branches 1 to 3 of the key.
 *
 * @param epoch Scalar, from 0.
 */
export function uvlpLoss(
  p: RegionModel,
  batch: Omit<UvlpBatch, "imageIds">,
  drawn: FalsePairs,
  epoch: Tensor,
  context: RegionContext,
  { weights, filterFrom = 2 }: UvlpOptions = {},
): UvlpLoss {
  const { ids, mask, mlmIds, mlmLabels, tags, features, places, regionMask, maskedRegions, shares, names } = batch;
  const at = (branch: number): RegionContext => ({ ...context, key: context.key && foldIn(context.key, branch) });
  const seen = { features, places, regionMask }, guessed = { ...seen, hidden: maskedRegions };
  const logits = regionMatchLogits(p, regionStates(p, { ids, mask }, mixedRows(seen, drawn), at(1)));
  const sentence = once(() => regionStates(p, { ids: mlmIds, mask }, guessed, at(2)));
  const trusted = once(() => matchWeights(regionMatchLogits(p, sentence()), epoch, filterFrom));
  const tagged = once(() => regionStates(p, { ids: tags.mlmIds, mask: tags.mask }, guessed, at(3)));
  const words = (text: Tensor) => regionVocabularyLogits(p, { text }, context), one = full([ids.shape[0]!], 1);
  return {
    ...total({
      itm: () => {
        const weight = where(drawn.matches, matchWeights(logits, epoch, filterFrom), 1);
        predicted(logits, weight);
        return mean(multiply(weight, crossEntropy(logits, drawn.matches)[0]));
      },
      mlm: () => weightedTokenLoss(words(sentence().text), mlmLabels, trusted()),
      phrase: () => {
        const labels = cast(where(cast(maskedRegions, "i32"), cast(names, "f32"), -100), "i32"); // ids are exact below 2^24
        return weightedTokenLoss(words(sentence().image), labels, trusted());
      },
      tag: () => weightedTokenLoss(words(tagged().text), tags.mlmLabels, one),
      feature: () => regionFeatureLoss(predictedFeatures(p, tagged(), context), features, maskedRegions),
      class: () => regionClassLoss(regionClassLogits(p, tagged(), context), shares, maskedRegions),
    }, weights),
    logits,
  };
}

/** Computes a value when it is first asked for. */
function once<T>(of: () => T): () => T {
  let value: T | undefined;
  return () => value ??= of();
}

/**
 * The recipe. What a sentence calls a region is found by words (the paper: by parsed noun phrases and their embeddings); features are
 * learned by squared errors (official: smooth L1); all terms are of every mini-batch (official: one of four tasks is drawn).
 */
export const uvlp: Recipe<typeof uvlpFields, RecipeObjective<RegionPair, RegionSpec, NoExtra, UvlpBatch>> = {
  title: "UVLP: unpaired images and texts, found for each other by tags; three grains of alignment",
  fields: uvlpFields,
  looksAtRegions: true,
  objective(
    { config: { text }, batch, textLength, tokenizer, remat = false, regions: sizes = DEFAULT_REGIONS },
    given,
  ) {
    const values = withDefaults(uvlpFields, given), { mask, maskRegions, tagLength, filterFrom } = values;
    checkNames(sizes);
    const own = regionCollate({
      regions: sizes,
      maxLength: textLength,
      tagLength,
      tokenizer,
      probability: mask,
      regionProbability: maskRegions,
    });
    const collate = namedRegions<UvlpBatch>(own, sizes, tokenizer);
    const config = { text, width: sizes.width, classes: sizes.classes };
    const weights = {
      itm: values.itmWeight,
      mlm: values.mlmWeight,
      phrase: values.phraseWeight,
      tag: values.tagWeight,
      feature: values.featureWeight,
      class: values.classWeight,
    };
    return {
      spec: regionSpec(config),
      collate,
      input: collate.shapes(batch),
      loss(p, _, { imageIds, ...input }, { key, epoch }) {
        const drawn = drawFalsePairs(imageIds, foldIn(key, 0));
        const { loss, terms, logits } = uvlpLoss(p, input, drawn, epoch, { config, key, remat }, {
          weights,
          filterFrom,
        });
        return { loss, metrics: { ...terms, itmAccuracy: accuracy(logits, drawn.matches) } };
      },
    };
  },
};

/** Tags need names. */
function checkNames({ classes, names }: RegionSizes): void {
  if (!classes) throw new RangeError("Cannot learn from tags: the regions must have classes: they have none");
  if (names && names.length < classes) {
    throw new RangeError(
      `Cannot learn from tags: there must be a name for each of ${classes} classes: there are ${names.length}`,
    );
  }
}
