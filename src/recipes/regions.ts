/**
 * UNITER (Chen et al. 2020, section 3.2) and OSCAR (Li et al. 2020, section 3): one stream of words and detected regions. ITM on pairs of
 * which half are false, with word-region alignment by optimal transport in the same pass; MLM with all regions in sight; and, with all words
 * in sight, the features and classes of masked regions. With `tags` the names of the regions' classes stand behind the caption, OSCAR's.
 *
 * @module
 */
import { type RegionBatch, regionCollate, type RegionSizes } from "../data/regions/collate.ts";
import type { RegionPair } from "../data/regions/dataset.ts";
import { classLoss } from "../losses/classes.ts";
import { mlmLoss } from "../losses/mlm.ts";
import { alignmentLoss, innerWords, type TransportOptions, wordPatchAlignment } from "../losses/optimal_transport.ts";
import { regionClassLoss, regionFeatureLoss } from "../losses/regions.ts";
import { type Total, total } from "../losses/total.ts";
import type { Tokens } from "../models/albef.ts";
import {
  predictedFeatures,
  regionClassLogits,
  type RegionContext,
  regionMatchLogits,
  type RegionModel,
  type RegionSpec,
  regionSpec,
  type RegionStates,
  regionStates,
  regionVocabularyLogits,
  type RegionWords,
  type SeenRegions,
} from "../models/regions.ts";
import { cast, where } from "../ops/elementwise.ts";
import { gather } from "../ops/gather.ts";
import { foldIn, type Key } from "../ops/random.ts";
import { concat, reshape } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { count, number, oneOf, share, toggle } from "../settings/kinds.ts";
import type { NoExtra } from "../train/task.ts";
import { accuracy } from "./_classes.ts";
import type { Recipe, RecipeObjective } from "./recipe.ts";
import { drawFalsePairs } from "./vilt.ts";

/** Its settings. @internal */
export const regionsFields = fields({
  mask: share(0.15, "share of the tokens that MLM masks", { paper: "0.15" }),
  maskRegions: share(0.15, "share of the regions that are masked, one at least", { paper: "0.15" }),
  tags: toggle(false, "names of the regions' classes behind the caption (OSCAR)"),
  tagLength: count(8, "tokens of all tags of an image, [CLS] included", { min: 2 }),
  pollute: oneOf(["regions", "tags"], "regions", "what is another image's in a false pair (OSCAR: tags)"),
  itmWeight: number(1, "weight of ITM; 0 leaves a term out", { min: 0, paper: "1" }),
  mlmWeight: number(1, "weight of MLM", { min: 0, paper: "1" }),
  featureWeight: number(1, "weight of masked regions' features (MRFR)", { min: 0, paper: "1" }),
  classWeight: number(1, "weight of masked regions' classes (MRC-kl; MRC where the detector tells one class)", {
    min: 0,
    paper: "1",
  }),
  wpaWeight: number(0.1, "weight of word-region alignment", { min: 0, paper: "0.1" }),
  transportRounds: count(50, "rounds in which the transport plan is found", { min: 1, paper: "50" }),
});

/** Regions of which nothing is known: those of Visual Genome's detector. */
export const DEFAULT_REGIONS: RegionSizes = { most: 36, width: 2048, classes: 1600 };

/** Switches of the objective. */
export interface RegionsOptions extends TransportOptions {
  /** Weights of the terms. @default 1, 0.1 for wpa; a term of weight 0 is left out */
  readonly weights?: { readonly [N in "itm" | "mlm" | "feature" | "class" | "wpa"]?: number };
  /** What is another image's in a false pair. @default "regions" */
  readonly pollute?: "regions" | "tags";
}

/** The losses, and what ITM was computed from. */
export interface RegionLoss extends Total<"itm" | "mlm" | "feature" | "class" | "wpa"> {
  /** Words and regions of ITM's pass. */
  readonly states: RegionStates;
  /** Logits of (no match, match), [B, 2]. */
  readonly logits: Tensor;
}

/** Which pairs are true in ITM, i32 [B], and whose image the false ones take, u32 [B]. */
export type FalsePairs = ReturnType<typeof drawFalsePairs>;

/** The objective on one mini-batch. Dropout takes branches 1 to 3 of the key. */
export function regionsLoss(
  p: RegionModel,
  { ids, mask, mlmIds, mlmLabels, tags, maskedRegions, shares, ...regions }: Omit<RegionBatch, "imageIds">,
  drawn: FalsePairs,
  context: RegionContext,
  { weights, pollute = "regions", ...transport }: RegionsOptions = {},
): RegionLoss {
  const at = (branch: number): RegionContext => ({ ...context, key: context.key && foldIn(context.key, branch) });
  const { matches } = drawn, words: RegionWords = { ids, mask, tags };
  const shown = pollute === "tags"
    ? { words: { ...words, tags: tags && mixedRows<Tokens>({ ids: tags.ids, mask: tags.mask }, drawn) }, regions }
    : { words, regions: mixedRows<SeenRegions>(regions, drawn) };
  const states = regionStates(p, shown.words, shown.regions, at(1)), logits = regionMatchLogits(p, states);
  const alignment = () =>
    wordPatchAlignment({
      text: states.text,
      words: tags ? concat([innerWords(mask), innerWords(tags.mask)], 1) : innerWords(mask),
      image: states.image,
      patches: shown.regions.regionMask,
    }, transport);
  const masked = () => {
    const hidden = { ids: mlmIds, mask, tags: tags && { ids: tags.mlmIds, mask: tags.mask } };
    return regionVocabularyLogits(p, regionStates(p, hidden, regions, at(2)), context);
  };
  let guessed: RegionStates | undefined; // both terms of masked regions are of one pass
  const guess = (): RegionStates => guessed ??= regionStates(p, words, { ...regions, hidden: maskedRegions }, at(3));
  return {
    ...total({
      itm: () => classLoss(logits, matches),
      mlm: () => mlmLoss(masked(), tags ? concat([mlmLabels, tags.mlmLabels], 1) : mlmLabels),
      feature: () => regionFeatureLoss(predictedFeatures(p, guess(), context), regions.features, maskedRegions),
      class: () => regionClassLoss(regionClassLogits(p, guess(), context), shares!, maskedRegions),
      wpa: () => alignmentLoss(alignment().distance, cast(matches, "f32")),
    }, { wpa: 0.1, ...weights }),
    states,
    logits,
  };
}

/** Rows of a batch, of which those of false pairs are another's. */
export function mixedRows<T extends { readonly [K in keyof T]: Tensor | undefined }>(
  rows: T,
  { matches, images }: FalsePairs,
): T {
  const choose = (own: Tensor): Tensor =>
    cast(
      where(
        reshape(matches, [matches.size, ...own.shape.slice(1).map(() => 1)]),
        cast(own, "f32"), // ids are exact below 2^24
        cast(gather(own, images), "f32"),
      ),
      own.dtype,
    );
  return Object.fromEntries(Object.entries(rows).map(([name, own]) => [name, choose(own as Tensor)])) as unknown as T;
}

/** The recipe. It has no `model` for retrieval, as `vilt`: each text meets each image in a pass of its own. */
export const regions: Recipe<typeof regionsFields, RecipeObjective<RegionPair, RegionSpec, NoExtra, RegionBatch>> = {
  title: "UNITER and OSCAR: one stream of words and detected regions",
  fields: regionsFields,
  looksAtRegions: true,
  objective(
    { config: { text }, batch, textLength, tokenizer, remat = false, regions: sizes = DEFAULT_REGIONS },
    given,
  ) {
    const values = withDefaults(regionsFields, given), { mask, maskRegions, tags, tagLength, transportRounds } = values;
    checkRegionSizes(sizes, values);
    const collate = regionCollate({
      regions: sizes,
      maxLength: textLength,
      tagLength: tags ? tagLength : 0,
      tokenizer,
      probability: mask,
      regionProbability: maskRegions,
    });
    const config = { text, width: sizes.width, classes: sizes.classes };
    const options = {
      weights: {
        itm: values.itmWeight,
        mlm: values.mlmWeight,
        feature: values.featureWeight,
        class: values.classWeight,
        wpa: values.wpaWeight,
      },
      pollute: values.pollute,
      rounds: transportRounds,
    };
    return {
      spec: regionSpec(config),
      collate,
      input: collate.shapes(batch),
      loss(p, _, { imageIds, ...input }, { key }: { key: Key }) {
        const drawn = drawFalsePairs(imageIds, foldIn(key, 0));
        const { loss, terms, logits } = regionsLoss(p, input, drawn, { config, key, remat }, options);
        return { loss, metrics: { ...terms, itmAccuracy: accuracy(logits, drawn.matches) } };
      },
    };
  },
};

/** Settings ask for no more than the detector tells. */
export function checkRegionSizes(
  { classes, names }: RegionSizes,
  { tags = false, classWeight, pollute = "" }: {
    readonly tags?: boolean;
    readonly classWeight: number;
    readonly pollute?: string;
  },
): void {
  if (classWeight && !classes) {
    throw new RangeError("Cannot predict classes of regions: --class-weight must be 0: the regions have no classes");
  }
  if (tags && !classes) throw new RangeError("Cannot make tags: --tags needs regions with classes: they have none");
  if (tags && names && names.length < classes) {
    throw new RangeError(
      `Cannot make tags: there must be a name for each of ${classes} classes: there are ${names.length}`,
    );
  }
  if (pollute === "tags" && !tags) throw new RangeError("Cannot pollute tags: --pollute tags needs --tags");
}
