/**
 * TCL, triple contrastive learning (Yang et al. 2022, section 3): ALBEF with contrastive losses across images and texts (CMA), within
 * images and within texts (IMC), and of wholes to their parts (LMI). The momentum encoders see a second view of the images.
 *
 * @module
 */
import { type TwoViewBatch, twoViewCollate } from "../data/pair_collate.ts";
import { momentumDirection } from "../losses/itc.ts";
import { itmLoss } from "../losses/itm.ts";
import { imageLocals, localLoss, textLocals } from "../losses/local.ts";
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
  imagePatches,
  type ModelContext,
  type PairFeatures,
  TEMPERATURE_BOUNDS,
} from "../models/albef.ts";
import {
  advanceQueues,
  encodeKeys,
  type KeyQueues,
  type MomentumEncoders,
  momentumEncoders,
  type MomentumPairs,
  startQueues,
} from "../models/momentum.ts";
import { clean, weighed } from "../nn/attack.ts";
import { add, multiply } from "../ops/elementwise.ts";
import type { Key } from "../ops/random.ts";
import { stopGradient } from "../ops/shape.ts";
import { ema } from "../optim/adamw.ts";
import type { Tensor } from "../program/graph.ts";
import { withDefaults } from "../settings/field.ts";
import { type AlbefExtra, albefFields, type AlbefOptions, type MomentumSide, rampedAlpha } from "./albef.ts";
import type { GritLoss, MaskedPairs } from "./grit.ts";
import { type PairRecipe, patched } from "./recipe.ts";

/** A mini-batch with masked texts and a second view of its images. */
export type TwoViewPairs = MaskedPairs & {
  /** f32 [B, P, 3 * patch^2]: what the momentum encoders see. */
  readonly secondPatches: Tensor;
};

/** The six contrastive terms, scalars. */
export type AlignmentTerms = {
  /** CMA: images to texts, with soft targets. */
  readonly i2t: Tensor;
  /** CMA: texts to images, with soft targets. */
  readonly t2i: Tensor;
  /** IMC: images to second views of images. */
  readonly i2i: Tensor;
  /** IMC: texts to texts with another dropout. */
  readonly t2t: Tensor;
  /** LMI: images to their windows. */
  readonly i2iLocal: Tensor;
  /** LMI: texts to their tokens. */
  readonly t2tLocal: Tensor;
};

/** The losses of {@linkcode tclLoss}. */
export interface TclLoss extends GritLoss {
  /** The six terms that `itc` is the mean of; none if its weight is 0. */
  readonly alignment: AlignmentTerms | undefined;
  /** The queues after the step. */
  readonly queues: KeyQueues;
}

/**
 * The contrastive terms of features [B, d] of length 1 with the momentum encoders' keys. Soft targets of weight alpha are across images and
 * texts only: within them, as in the official code, an example's own key is the only positive.
 */
export function alignmentTerms(
  { image, text }: PairFeatures,
  temperature: Tensor,
  { keys, encoders, mask }: {
    readonly keys: MomentumPairs;
    readonly encoders: Pick<MomentumEncoders, "vision_proj" | "text_proj">;
    /** f32 [B, L]: the texts' tokens. */
    readonly mask: Tensor;
  },
  alpha: Tensor | number,
): AlignmentTerms {
  const own = keys.features;
  const direction = (queries: Tensor, momentum: Tensor, keys: Tensor, alpha: Tensor | number): Tensor =>
    momentumDirection({ queries, momentum, keys }, temperature, { alpha });
  return {
    i2t: direction(image, own.image, keys.text, alpha),
    t2i: direction(text, own.text, keys.image, alpha),
    i2i: direction(image, own.image, keys.image, 0),
    t2t: direction(text, own.text, keys.text, 0),
    i2iLocal: localLoss(image, imageLocals(encoders.vision_proj, keys.imageStates), temperature),
    t2tLocal: localLoss(text, textLocals(encoders.text_proj, keys.textStates, mask), temperature),
  };
}

/** The objective on one mini-batch, and the queues after it. */
export function tclLoss(
  p: Albef,
  { momentum, queues, alpha }: MomentumSide,
  batch: TwoViewPairs,
  context: ModelContext & { readonly key: Key },
  { negatives: kind = "multinomial", weights }: AlbefOptions = {},
): TclLoss {
  const x = encodePairs(p, batch, context);
  const keys = encodeKeys(momentum, queues, { ...batch, patches: batch.secondPatches }, branch(context, 5));
  const similar = { queries: x.features, keys: keys.features, temperature: p.temp };
  const negatives = pairNegatives(kind, similar, context.key, batch.imageIds);
  const { itc = 1 } = weights ?? {}, sides = { keys, encoders: momentum, mask: batch.mask };
  const alignment = itc === 0 ? undefined : weighed(itc / 6, () => alignmentTerms(x.features, p.temp, sides, alpha)); // their mean is the term
  const soft = () => ({
    logits: clean(() => maskedLogits(momentum, batch, keys.imageStates, branch(context, 6))),
    alpha,
  });
  return {
    ...total({
      itc: () => meanOf(Object.values(alignment!)),
      itm: () => itmLoss(p, x, negatives, branch(context, 3)),
      mlm: () => mlmLoss(maskedLogits(p, batch, x.image.states, branch(context, 4)), batch.mlmLabels, soft()),
    }, weights),
    features: { image: stopGradient(x.features.image), text: stopGradient(x.features.text) },
    negatives,
    alignment,
    queues: advanceQueues(queues, keys.features.image, keys.features.text),
  };
}

function meanOf(scalars: readonly Tensor[]): Tensor {
  return multiply(scalars.reduce((a, b) => add(a, b)), 1 / scalars.length);
}

/** The recipe. Its settings are ALBEF's. */
export const tcl: PairRecipe<typeof albefFields, AlbefSpec, AlbefExtra, TwoViewBatch> = {
  title: "TCL: contrastive losses across, within and inside images and texts",
  fields: albefFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false, stepsPerEpoch = 1, seed = 0 }, given) {
    const values = withDefaults(albefFields, given);
    const collate = twoViewCollate({ view, maxLength: textLength, tokenizer, probability: values.mask });
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
        const secondPatches = imagePatches(input.secondImages, config.vision);
        const { loss, terms, alignment, features, negatives, queues } = tclLoss(
          p,
          { momentum, queues: extra.queues, alpha },
          { ...input, ...patched(input, config), secondPatches },
          { config, key, remat },
          { negatives: negativesAt(values.negatives, step) },
        );
        const { i2t, t2i, i2i, t2t, i2iLocal, t2tLocal } = alignment!;
        const kinds = { cma: meanOf([i2t, t2i]), imc: meanOf([i2i, t2t]), lmi: meanOf([i2iLocal, t2tLocal]) };
        const metrics = { ...terms, ...kinds, temperature: p.temp, alpha };
        return { loss, metrics, features, negatives, extra: { momentum, queues } };
      },
    };
  },
};
