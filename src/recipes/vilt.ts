/**
 * ViLT (Kim et al. 2021, section 3.2): one stream of words and patches, trained by ITM on pairs of which half are false, word-patch
 * alignment by optimal transport in the same pass, and MLM in a pass of its own.
 *
 * @module
 */
import type { CaptionPair } from "../data/caption_pairs.ts";
import { type MlmBatch, mlmCollate } from "../data/pair_collate.ts";
import { classLoss } from "../losses/classes.ts";
import { type MaskedTexts, mlmLoss } from "../losses/mlm.ts";
import { chooseNegatives } from "../losses/negatives.ts";
import {
  type Alignment,
  alignmentLoss,
  innerPatches,
  innerWords,
  type TransportOptions,
  wordPatchAlignment,
} from "../losses/optimal_transport.ts";
import { type Total, total } from "../losses/total.ts";
import { imagePatches, type Tokens } from "../models/albef.ts";
import {
  type Vilt,
  type ViltContext,
  viltMatchLogits,
  type ViltSpec,
  viltSpec,
  type ViltStates,
  viltStates,
  viltVocabularyLogits,
} from "../models/vilt.ts";
import type { CanvasImages } from "../models/vilt_patches.ts";
import { cast, less, where } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { gather } from "../ops/gather.ts";
import { foldIn, type Key, uniform } from "../ops/random.ts";
import { reshape } from "../ops/shape.ts";
import { argsort } from "../ops/sort.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { count, number, share } from "../settings/kinds.ts";
import type { NoExtra } from "../train/task.ts";
import { accuracy } from "./_classes.ts";
import type { Recipe, RecipeObjective } from "./recipe.ts";

/** Its settings. @internal */
export const viltFields = fields({
  mask: share(0.15, "share of the tokens that MLM masks", { paper: "0.15 (whole words)" }),
  itmWeight: number(1, "weight of ITM; 0 leaves a term out", { min: 0, paper: "1" }),
  mlmWeight: number(1, "weight of MLM", { min: 0, paper: "1" }),
  wpaWeight: number(0.1, "weight of word-patch alignment", { min: 0, paper: "0.1" }),
  transportRounds: count(50, "rounds in which the transport plan is found", { min: 1, paper: "50" }),
});

/** A mini-batch: texts, the same ones masked, their images, and an image that takes the place of the own one where ITM is false. */
export type ViltBatch = Tokens & MaskedTexts & {
  /** Each text's own image. */
  readonly images: CanvasImages;
  /** An image of another pair for each text; with `sizes` if `images` has them. */
  readonly falseImages: CanvasImages;
  /** i32 [B]: 1 where ITM shows a text its own image, 0 where it shows the other. */
  readonly matches: Tensor;
};

/** Weights of the terms, and how the transport plan is found. */
export interface ViltOptions extends TransportOptions {
  /** Weights of the terms. @default 1, 1, 0.1; a term of weight 0 is left out */
  readonly weights?: { readonly itm?: number; readonly mlm?: number; readonly wpa?: number };
}

/** The losses, and what ITM and the alignment were computed from. */
export interface ViltLoss extends Total<"itm" | "mlm" | "wpa"> {
  /** Texts with the images that ITM shows them. */
  readonly states: ViltStates;
  /** Logits of (no match, match), [B, 2]. */
  readonly logits: Tensor;
  /** Words and patches of the same pass; a word that takes part is neither [CLS] nor the last token, a patch not [CLS]. */
  readonly alignment: Alignment;
}

/** The objective on one mini-batch. Dropout takes branches 1 and 2 of the key. */
export function viltLoss(p: Vilt, batch: ViltBatch, context: ViltContext, options: ViltOptions = {}): ViltLoss {
  const { ids, mask, images, falseImages, matches, mlmIds, mlmLabels } = batch;
  const { weights, ...transport } = options, keyAt = (n: number) => context.key && foldIn(context.key, n);
  const shown = shownImages(images, falseImages, matches);
  const states = viltStates(p, { ids, mask }, shown, { ...context, key: keyAt(1) });
  const logits = viltMatchLogits(p, states), words = innerWords(mask);
  const alignment = wordPatchAlignment(
    { text: states.text, words, image: states.image, patches: innerPatches(states.imageMask) },
    transport,
  );
  const masked = () => viltStates(p, { ids: mlmIds, mask }, images, { ...context, key: keyAt(2) });
  return {
    ...total({
      itm: () => classLoss(logits, matches),
      mlm: () => mlmLoss(viltVocabularyLogits(p, masked(), context), mlmLabels),
      wpa: () => alignmentLoss(alignment.distance, cast(matches, "f32")),
    }, { wpa: 0.1, ...weights }),
    states,
    logits,
    alignment,
  };
}

/** The own image where a pair is true, else the other. */
function shownImages(own: CanvasImages, other: CanvasImages, matches: Tensor): CanvasImages {
  const batch = matches.size, { sizes } = own;
  const choose = (axes: number[], a: Tensor, b: Tensor): Tensor => where(reshape(matches, [batch, ...axes]), a, b);
  return {
    patches: choose([1, 1], own.patches, other.patches),
    ...(sizes ? { sizes: choose([1], sizes, other.sizes!) } : {}),
  };
}

/**
 * Which half of the pairs is true, i32 [B] (with an odd number one more is false), and an image of another pair for each text, u32 [B]:
 * none of the same image (`imageIds` u32 [B]) where there is a choice.
 */
export function drawFalsePairs(imageIds: Tensor, key: Key): { matches: Tensor; images: Tensor } {
  const count = imageIds.size, order = argsort(uniform(foldIn(key, 0), [count]));
  return {
    matches: cast(less(cast(order, "f32"), Math.floor(count / 2)), "i32"),
    images: chooseNegatives(full([count, count], 0), "random", foldIn(key, 1), imageIds),
  };
}

/**
 * The recipe, on square images. It has no `model` for retrieval: a ViLT has no features of one side, so it is no `PairRecipe`, cannot be
 * grouped by GRIT, and is trained by `train()`. Retrieval is quadratic, a pass for each text with each image; `viltPairs` leaves it to
 * the shortlists of a dual encoder. False images are drawn from the mini-batch (official: from all data), and dropout is on the
 * embeddings of words only (official: in the blocks too).
 */
export const vilt: Recipe<typeof viltFields, RecipeObjective<CaptionPair, ViltSpec, NoExtra, MlmBatch>> = {
  title: "ViLT: one stream; ITM, word-patch alignment, MLM",
  fields: viltFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false }, given) {
    const { mask, itmWeight, mlmWeight, wpaWeight, transportRounds } = withDefaults(viltFields, given);
    const collate = mlmCollate({ view, maxLength: textLength, tokenizer, probability: mask });
    const weights = { itm: itmWeight, mlm: mlmWeight, wpa: wpaWeight };
    return {
      spec: viltSpec(config),
      collate,
      input: collate.shapes(batch),
      loss(p, _, { images, imageIds, ...texts }, { key }) {
        const drawn = drawFalsePairs(imageIds, foldIn(key, 0)), patches = imagePatches(images, config.vision);
        const pairs = { images: { patches }, falseImages: { patches: gather(patches, drawn.images) } };
        const { loss, terms, logits } = viltLoss(
          p,
          { ...texts, ...pairs, matches: drawn.matches },
          { config, key, remat },
          { weights, rounds: transportRounds },
        );
        return { loss, metrics: { ...terms, itmAccuracy: accuracy(logits, drawn.matches) } };
      },
    };
  },
};
