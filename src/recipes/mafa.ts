/**
 * What of MAFA (Byun et al., CVPR 2024) stands on GRIT's sampler: pairs that were drawn as negatives and that a judge holds for true
 * become positives of ITM and ITC, and ITC's targets are smoothed in the place of GRIT-VLP's consistency term.
 *
 * The judge is a momentum copy of the model; the authors' is a model that was fine-tuned for matching and stays as it is: that is momentum 1
 * from its checkpoint (`--momentum 1 --init`). Their found positives are examples of MLM too, here they are not.
 *
 * @module
 */
import { type MlmBatch, mlmCollate } from "../data/pair_collate.ts";
import { itcLoss } from "../losses/itc.ts";
import { itmLoss } from "../losses/itm.ts";
import { maskedLogits, mlmLoss } from "../losses/mlm.ts";
import {
  type FoundPositives,
  type NegativeKind,
  type NegativeMix,
  negativesAt,
  negativesBesides,
  type PairNegatives,
  pairNegatives,
} from "../losses/negatives.ts";
import { total } from "../losses/total.ts";
import {
  type Albef,
  albefPairs,
  type AlbefSpec,
  albefSpec,
  branch,
  encodePairs,
  matchLogits,
  type ModelContext,
  TEMPERATURE_BOUNDS,
} from "../models/albef.ts";
import { type MomentumEncoders, momentumEncoders } from "../models/momentum.ts";
import { clean } from "../nn/attack.ts";
import { add, cast, greaterEqual, multiply, subtract, where } from "../ops/elementwise.ts";
import { greater } from "../ops/comparisons.ts";
import { gather } from "../ops/gather.ts";
import { mean } from "../ops/reduce.ts";
import { reshape, slice, stopGradient } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { ema } from "../optim/adamw.ts";
import type { Key } from "../ops/random.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { count, share } from "../settings/kinds.ts";
import type { GritLoss, MaskedPairs } from "./grit.ts";
import { negativesField, type PairRecipe, patched } from "./recipe.ts";

/** Its settings. @internal */
export const mafaFields = fields({
  mask: share(0.5, "share of the tokens that MLM masks", { paper: "0.5" }),
  negatives: negativesField("top1"),
  momentum: share(0.995, "share of the judge that a step leaves; 1: it stays as it starts", { paper: "1" }),
  trueAbove: share(0.8, "probability of a match above which a drawn negative counts as a positive", { paper: "0.8" }),
  falseBelow: share(
    0.5,
    "probability of a match up to which it stays a negative; between, the second choice is taken",
    {
      paper: "0.5",
    },
  ),
  itcSmoothing: share(0.5, "share of ITC's targets that all pairs have equally", { paper: "0.5" }),
  itcSmoothingFrom: count(1, "epoch from which ITC's targets are smoothed", { min: 0, paper: "1" }),
});

/** The momentum copy that judges pairs. */
export type Judge = MomentumEncoders & Pick<Albef, "itm_head">;

/** What is kept from step to step. */
export type MafaExtra = { readonly judge: Judge };

/** Switches of the objective. */
export interface MafaOptions {
  /** How negatives are chosen. @default "multinomial" */
  readonly negatives?: NegativeKind | NegativeMix;
  /** See the settings. @default 0.8 */
  readonly trueAbove?: number;
  /** See the settings. @default 0.5 */
  readonly falseBelow?: number;
  /** Share of ITC's targets that all pairs have equally. @default 0.5 */
  readonly smoothing?: Tensor | number;
}

/** The losses, and what the judge said. */
export interface MafaLoss extends GritLoss {
  /** Which of the negatives are taught as positives. */
  readonly found: FoundPositives;
  /** The judge's probabilities of a match for the first choices, f32 [B]. */
  readonly judged: FoundPositives;
}

/** The judge's probability that drawn pairs match, f32 [B] for each side; constants, without dropout. */
export function judgePairs(
  judge: Judge,
  batch: MaskedPairs,
  { images, texts }: PairNegatives,
  { config }: Pick<ModelContext, "config">,
): FoundPositives {
  const { image, text, mask } = encodePairs(judge, batch, { config }), count = mask.shape[0]!;
  const matching = (states: Tensor, mask: Tensor, image: Tensor): Tensor => {
    const shares = softmax(matchLogits(judge, states, { mask, image }, { config }));
    return stopGradient(reshape(slice(shares, 1, 1, 2), [count]));
  };
  return {
    images: matching(text.states, mask, gather(image.states, images)),
    texts: matching(gather(text.states, texts), gather(mask, texts), image.states),
  };
}

/** The objective on one mini-batch, with a judge that has been moved already. Keys as of `gritLoss`. */
export function mafaLoss(
  p: Albef,
  judge: Judge,
  batch: MaskedPairs,
  context: ModelContext & { readonly key: Key },
  { negatives: kind = "multinomial", trueAbove = 0.8, falseBelow = 0.5, smoothing = 0.5 }: MafaOptions = {},
): MafaLoss {
  const x = encodePairs(p, batch, context), { features } = x, { imageIds } = batch;
  const similar = { queries: features, keys: features, temperature: p.temp };
  const first = pairNegatives(kind, similar, context.key, imageIds);
  const second = negativesBesides(first, kind, similar, context.key, imageIds);
  const judged = clean(() => judgePairs(judge, batch, first, context));
  const sides = <T>(of: (side: keyof PairNegatives) => T): { images: T; texts: T } => ({
    images: of("images"),
    texts: of("texts"),
  });
  const found = sides((side) => greater(judged[side], trueAbove));
  const negatives = sides((side) => {
    const unsure = subtract(greater(judged[side], falseBelow), found[side]);
    return cast(where(unsure, cast(second[side], "f32"), cast(first[side], "f32")), "u32"); // exact below 2^24
  });
  return {
    ...total({
      itc: () => itcLoss(features, p.temp, { consistency: 0, imageIds, smoothing, judged: { negatives, found } }),
      itm: () => itmLoss(p, x, negatives, branch(context, 3), found),
      mlm: () => mlmLoss(maskedLogits(p, batch, x.image.states, branch(context, 4)), batch.mlmLabels),
    }),
    features: { image: stopGradient(features.image), text: stopGradient(features.text) },
    negatives,
    found,
    judged,
  };
}

/** The recipe. */
export const mafa: PairRecipe<typeof mafaFields, AlbefSpec, MafaExtra, MlmBatch> = {
  title: "MAFA: GRIT-VLP with a judge of false negatives and smoothed targets",
  fields: mafaFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false }, given) {
    const values = withDefaults(mafaFields, given), { trueAbove, falseBelow, itcSmoothing, itcSmoothingFrom } = values;
    if (trueAbove < falseBelow) {
      throw new RangeError(
        `Cannot judge pairs: --true-above must be at least --false-below: they are ${trueAbove} and ${falseBelow}`,
      );
    }
    const collate = mlmCollate({ view, maxLength: textLength, tokenizer, probability: values.mask });
    return {
      spec: albefSpec(config),
      bounds: { temp: TEMPERATURE_BOUNDS },
      collate,
      input: collate.shapes(batch),
      model: albefPairs(config),
      extra: (p) => ({ judge: { ...momentumEncoders(p), itm_head: p.itm_head } }),
      loss(p, extra, input, { key, step, epoch }) {
        const judge = ema(extra.judge, p, values.momentum);
        const { loss, terms, features, negatives, found, judged } = mafaLoss(
          p,
          judge,
          { ...input, ...patched(input, config) },
          { config, key, remat },
          {
            negatives: negativesAt(values.negatives, step),
            trueAbove,
            falseBelow,
            smoothing: multiply(greaterEqual(epoch, itcSmoothingFrom), itcSmoothing),
          },
        );
        const unsure = (side: keyof FoundPositives): Tensor => mean(greater(judged[side], falseBelow));
        const half = (a: Tensor, b: Tensor): Tensor => multiply(add(a, b), 0.5);
        const foundShare = half(mean(found.images), mean(found.texts));
        const metrics = {
          ...terms,
          temperature: p.temp,
          found: foundShare,
          unsure: subtract(half(unsure("images"), unsure("texts")), foundShare),
        };
        return { loss, metrics, features, negatives, found, extra: { judge } };
      },
    };
  },
};
