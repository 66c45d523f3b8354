/**
 * MUG (Zhao et al. 2024, "Vision learners meet web image-text pairs", section 4): an image of which most patches are hidden is encoded once;
 * one decoder paints what is hidden, another one writes the caption from the patches that are seen.
 *
 * @module
 */
import type { CaptionPair } from "../data/caption_pairs.ts";
import { type PairBatch, pairCollate } from "../data/pair_collate.ts";
import { nextTokenLogits, tokenLosses } from "../losses/answers.ts";
import { maskedPixelLoss } from "../losses/masked_pixels.ts";
import type { Logits } from "../losses/softmax_loss.ts";
import { type Total, total } from "../losses/total.ts";
import type { ModelContext, PatchedPairs } from "../models/albef.ts";
import { bertMultimodal, type BertSpec, bertSpec, mlmTransform } from "../models/bert.ts";
import type { BertConfig } from "../models/bert_layer.ts";
import type { AlbefConfig } from "../models/config.ts";
import {
  encodeSeen,
  hidePatches,
  paintPatches,
  type PixelDecoderConfig,
  type PixelDecoderSpec,
  pixelDecoderSpec,
  type SeenOfImages,
} from "../models/masked_autoencoder.ts";
import { patchCount, type VitSpec, vitSpec } from "../models/vit.ts";
import type { ParametersOf } from "../nn/spec.ts";
import { notEqual } from "../ops/comparisons.ts";
import { divide, maximum } from "../ops/elementwise.ts";
import { foldIn } from "../ops/random.ts";
import { sum } from "../ops/reduce.ts";
import { slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { fields, withDefaults } from "../settings/field.ts";
import { count, number, share } from "../settings/kinds.ts";
import type { NoExtra } from "../train/task.ts";
import { patched, type Recipe, type RecipeObjective } from "./recipe.ts";

/** Its settings. @internal */
export const mugFields = fields({
  hide: share(0.75, "share of an image's patches that are hidden", { paper: "0.75" }),
  pixelWeight: number(1, "weight of the pixels of hidden patches; 0 leaves a term out", { min: 0, paper: "not found" }),
  captionWeight: number(1, "weight of the caption", { min: 0, paper: "not found" }),
  pixelWidth: count(64, "width of the decoder of pixels, a multiple of 32", { min: 32, paper: "512 (MAE)" }),
  pixelLayers: count(2, "blocks of the decoder of pixels", { min: 1, paper: "8 (MAE)" }),
});

/** Parameters: the encoder under ALBEF's name, the decoders under MAE's and VQA's. */
export type MugSpec = { visual_encoder: VitSpec; pixel_decoder: PixelDecoderSpec; text_decoder: BertSpec };

/** Parameters as tensors. */
export type Mug = ParametersOf<MugSpec>;

/** The writer of captions: as many layers as ALBEF's fusion has, each with cross-attention to the image. */
export function captionConfig({ text, vision }: AlbefConfig): BertConfig {
  return { ...text, layers: text.layers - text.fusionLayer, fusionLayer: 0, encoderWidth: vision.width };
}

/** Vocabulary logits of the tokens that follow each but the last, B * (L - 1) rows, from states [B, K + 1, D] of what is seen. */
export function captionLogits(
  p: Pick<Mug, "text_decoder">,
  { ids, mask }: Pick<PatchedPairs, "ids" | "mask">,
  image: Tensor,
  { config, key, remat }: ModelContext,
): Logits {
  const own = captionConfig(config);
  const states = bertMultimodal(p.text_decoder, ids, { mask, image, causal: true, key, remat }, own);
  return nextTokenLogits(p, mlmTransform(p.text_decoder, states, own));
}

/** Weights of the terms, and sizes of the decoder of pixels. */
export interface MugOptions {
  /** Weights. @default 1 each; a term of weight 0 is left out */
  readonly weights?: { readonly pixel?: number; readonly caption?: number };
  /** Sizes. */
  readonly pixels: PixelDecoderConfig;
}

/** The losses, and what was seen. */
export interface MugLoss extends Total<"pixel" | "caption"> {
  /** States of [CLS] and the patches that are seen, [B, K + 1, D]. */
  readonly states: Tensor;
}

/** The objective on one mini-batch: the pixels of hidden patches, and the mean cross-entropy of the captions' tokens. */
export function mugLoss(
  p: Mug,
  batch: PatchedPairs,
  seen: SeenOfImages,
  context: ModelContext,
  { weights, pixels }: MugOptions,
): MugLoss {
  const { config: { vision, text }, remat = false } = context, { patches, ids } = batch;
  const states = encodeSeen(p.visual_encoder, patches, seen, vision, { remat });
  return {
    ...total({
      pixel: () => {
        const painted = paintPatches(p.pixel_decoder, states, seen, vision, pixels, { remat });
        return maskedPixelLoss(painted, patches, seen.hidden);
      },
      caption: () => {
        const tokens = sum(notEqual(slice(ids, 1, 1, ids.shape[1]!), text.padId));
        const losses = tokenLosses(captionLogits(p, batch, states, context), ids, text.padId);
        return divide(sum(losses), maximum(tokens, 1));
      },
    }, weights),
    states,
  };
}

/** The recipe. It has no `model` for retrieval: nothing compares images and texts. */
export const mug: Recipe<typeof mugFields, RecipeObjective<CaptionPair, MugSpec, NoExtra, PairBatch>> = {
  title: "MUG: masked images, painted by one decoder and described by another",
  fields: mugFields,
  objective({ config, batch, textLength, view, tokenizer, remat = false }, given) {
    const values = withDefaults(mugFields, given), { hide, pixelWidth: width, pixelLayers: depth } = values;
    if (width % 32) {
      throw new RangeError(`Cannot make the decoder of pixels: --pixel-width must be a multiple of 32: it is ${width}`);
    }
    const collate = pairCollate({ view, maxLength: textLength, tokenizer });
    const pixels = { width, depth, heads: width / 32 }; // MAE's heads are 32 wide
    const weights = { pixel: values.pixelWeight, caption: values.captionWeight };
    return {
      spec: {
        visual_encoder: vitSpec(config.vision),
        pixel_decoder: pixelDecoderSpec(config.vision, pixels),
        text_decoder: bertSpec(captionConfig(config)),
      },
      collate,
      input: collate.shapes(batch),
      loss(p, _, input, { key }) {
        const seen = hidePatches(foldIn(key, 0), batch, patchCount(config.vision), hide);
        const context = { config, key: foldIn(key, 1), remat };
        const { loss, terms } = mugLoss(p, { ...input, ...patched(input, config) }, seen, context, { weights, pixels });
        return { loss, metrics: { ...terms } };
      },
    };
  },
};
