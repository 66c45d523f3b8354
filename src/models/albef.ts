/**
 * The ALBEF model with GRIT-VLP's pre-training objectives: ITC with consistency + ITM with hard negatives + MLM
 * (Li et al. 2021, figure 1; Byun et al. 2022, figure 2). ALBEF_Base of the GRIT-VLP paper is this without momentum.
 *
 * @module
 */
import { itcLoss, type ItcOptions } from "../losses/itc.ts";
import { mlmLoss, type MlmTeacher } from "../losses/mlm.ts";
import { chooseNegatives, type Negatives } from "../losses/negatives.ts";
import { type AffineSpec, defaultLinearSpec, linear } from "../nn/layers.ts";
import { type ParametersOf, Spec } from "../nn/spec.ts";
import { crossEntropy } from "../ops/cross_entropy.ts";
import { add, cast, divide, iota, less, maximum, multiply, sqrt, square } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { gather } from "../ops/gather.ts";
import { matmul } from "../ops/matmul.ts";
import { foldIn, type Key } from "../ops/random.ts";
import { mean, sum } from "../ops/reduce.ts";
import { concat, reshape, slice, stopGradient } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import {
  type BertContext,
  type BertEncoder,
  bertFusion,
  bertMultimodal,
  type BertSpec,
  bertSpec,
  bertText,
  mlmTransform,
} from "./bert.ts";
import type { AlbefConfig } from "./config.ts";
import { vit, type VitSpec, vitSpec } from "./vit.ts";

/** Parameters of ALBEF under their official names. */
export type AlbefSpec = {
  visual_encoder: VitSpec;
  text_encoder: BertSpec;
  vision_proj: AffineSpec;
  text_proj: AffineSpec;
  /** The learned temperature; kept in [0.001, 0.5] by the optimizer. */
  temp: Spec;
  itm_head: AffineSpec;
};

/** Parameters as tensors. */
export type Albef = ParametersOf<AlbefSpec>;

/** ALBEF without the MLM head: what retrieval needs. */
export type Matcher = Omit<Albef, "text_encoder"> & { text_encoder: BertEncoder };

/** Bounds of the temperature. */
export const TEMPERATURE_BOUNDS: readonly [number, number] = [0.001, 0.5];

/** Shapes and starting values. */
export function albefSpec({ vision, text, embedding }: AlbefConfig): AlbefSpec {
  return {
    visual_encoder: vitSpec(vision),
    text_encoder: bertSpec(text),
    vision_proj: defaultLinearSpec(vision.width, embedding),
    text_proj: defaultLinearSpec(text.width, embedding),
    temp: new Spec([], { constant: 0.07 }),
    itm_head: defaultLinearSpec(text.width, 2),
  };
}

/** One mini-batch on the GPU. B pairs, P patches, L token positions. */
export type PretrainBatch = {
  /** f32 [B, P, 3 * patch^2], see `patchify` and `patchifyBytes`. */
  readonly patches: Tensor;
  /** u32 [B, L]. */
  readonly ids: Tensor;
  /** f32 [B, L]: 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
  /** u32 [B, L]: ids with some replaced by [MASK] or random ones. */
  readonly mlmIds: Tensor;
  /** i32 [B, L]: the original ids at the chosen positions, -100 elsewhere. */
  readonly mlmLabels: Tensor;
  /** u32 [B]: equal for captions of one image. */
  readonly imageIds?: Tensor;
};

/** Switches of the objectives; the defaults are GRIT-VLP's. */
export interface PretrainOptions {
  /** Switches of the contrastive loss. */
  readonly itc?: Omit<ItcOptions, "imageIds">;
  /** How ITM's negatives are chosen. @default "multinomial" */
  readonly negatives?: Negatives;
  /** Whether captions of one image are no negatives of each other (needs `imageIds`). @default true */
  readonly useImageIds?: boolean;
  /** Given negatives instead of chosen ones: u32 [B] indices of an image for each text and of a text for each image. */
  readonly forced?: { readonly images: Tensor; readonly texts: Tensor };
  /** Weights of the three losses. @default 1 each; a weight of 0 leaves the objective out */
  readonly weights?: { readonly itc?: number; readonly itm?: number; readonly mlm?: number };
  /** Compute the layers' intermediates again in the backward pass instead of keeping them. @default false */
  readonly remat?: boolean;
}

/** Losses (scalars) and what the GRIT sampler collects. */
export type PretrainResult = {
  readonly loss: Tensor;
  readonly itc: Tensor;
  readonly itm: Tensor;
  readonly mlm: Tensor;
  /** Features of the pairs, [B, embedding], length 1, without gradient. */
  readonly imageFeatures: Tensor;
  readonly textFeatures: Tensor;
  /** The chosen negatives, u32 [B]: an image for each text, a text for each image. */
  readonly negativeImages: Tensor;
  readonly negativeTexts: Tensor;
};

/** Image tokens [B, P + 1, D] and unit features [B, embedding]. */
export function encodeImage(
  p: Pick<Matcher, "visual_encoder" | "vision_proj">,
  patches: Tensor,
  config: AlbefConfig,
  remat = false,
): { states: Tensor; features: Tensor } {
  const states = vit(p.visual_encoder, patches, config.vision, { remat });
  return { states, features: normalize(linear(p.vision_proj, firstToken(states))) };
}

/** Token states of the unimodal text encoder [B, L, D] and unit features [B, embedding]. */
export function encodeText(
  p: Pick<Matcher, "text_encoder" | "text_proj">,
  ids: Tensor,
  context: BertContext,
  config: AlbefConfig,
): { states: Tensor; features: Tensor } {
  const states = bertText(p.text_encoder, ids, context, config.text);
  return { states, features: normalize(linear(p.text_proj, firstToken(states))) };
}

/** Logits of (no match, match) for pairs of text states and image tokens: [B, 2]. */
export function matchLogits(
  p: Pick<Matcher, "text_encoder" | "itm_head">,
  textStates: Tensor,
  context: BertContext,
  config: AlbefConfig,
): Tensor {
  return linear(p.itm_head, firstToken(bertFusion(p.text_encoder, textStates, context, config.text)));
}

/** The sum of GRIT-VLP's objectives on a mini-batch. Without a key there is no dropout. */
export function pretrainLoss(
  p: Albef,
  batch: PretrainBatch,
  key: Key,
  config: AlbefConfig,
  options: PretrainOptions = {},
): PretrainResult {
  const {
    weights: { itc: itcWeight = 1, itm: itmWeight = 1, mlm: mlmWeight = 1 } = {},
    remat = false,
    useImageIds = true,
  } = options;
  const drop = (n: number): Pick<BertContext, "key" | "remat"> => ({
    key: config.text.dropout > 0 ? foldIn(key, n) : undefined,
    remat,
  });
  const imageIds = useImageIds ? batch.imageIds : undefined;

  const image = encodeImage(p, batch.patches, config, remat);
  const text = encodeText(p, batch.ids, { mask: batch.mask, ...drop(0) }, config);

  const itc = itcWeight
    ? itcLoss(image.features, text.features, p.temp, { ...options.itc, ...(imageIds ? { imageIds } : {}) })
    : full([], 0);

  const i2t = stopGradient(divide(matmul(image.features, text.features, { transposeB: true }), p.temp)); // [B, B]
  const t2i = stopGradient(divide(matmul(text.features, image.features, { transposeB: true }), p.temp));
  const kind = options.negatives ?? "multinomial";
  const negativeImages = options.forced?.images ?? chooseNegatives(t2i, kind, foldIn(key, 1), imageIds);
  const negativeTexts = options.forced?.texts ?? chooseNegatives(i2t, kind, foldIn(key, 2), imageIds);
  const itm = itmWeight
    ? itmLoss(p, image.states, text.states, batch.mask, { negativeImages, negativeTexts, context: drop(3) }, config)
    : full([], 0);

  const mlm = mlmWeight ? maskedLanguageLoss(p, batch, image.states, drop(4), config) : full([], 0);

  return {
    loss: weightedSum([[itcWeight, itc], [itmWeight, itm], [mlmWeight, mlm]]),
    itc,
    itm,
    mlm,
    imageFeatures: stopGradient(image.features),
    textFeatures: stopGradient(text.features),
    negativeImages,
    negativeTexts,
  };
}

/** The sum of weighted losses; those of weight 0 are left out. */
export function weightedSum(losses: readonly (readonly [number, Tensor])[]): Tensor {
  const parts = losses.filter(([weight]) => weight !== 0).map(([weight, l]) => weight === 1 ? l : multiply(l, weight));
  if (!parts.length) throw new RangeError("Cannot add up losses: at least one weight must not be 0: all are 0");
  return parts.reduce((a, b) => add(a, b));
}

/** What image-text matching adds to the positives. */
export interface ItmPairs {
  /** u32 [B]: an image for each text. */
  readonly negativeImages: Tensor;
  /** u32 [B]: a text for each image. */
  readonly negativeTexts: Tensor;
  readonly context?: Pick<BertContext, "key" | "remat">;
}

/** Image-text matching: B pairs, B texts with a negative image, B images with a negative text; mean cross-entropy over 3B. */
export function itmLoss(
  p: Pick<Matcher, "text_encoder" | "itm_head">,
  images: Tensor,
  texts: Tensor,
  mask: Tensor,
  pairs: ItmPairs,
  config: AlbefConfig,
): Tensor {
  const { negativeImages, negativeTexts, context } = pairs, count = texts.shape[0]!;
  const textStates = concat([texts, texts, gather(texts, negativeTexts)], 0); // [3B, L, D]
  const textMask = concat([mask, mask, gather(mask, negativeTexts)], 0);
  const image = concat([images, gather(images, negativeImages), images], 0); // [3B, P + 1, D]
  const logits = matchLogits(p, textStates, { ...context, mask: textMask, image }, config); // [3B, 2]
  const labels = cast(less(cast(iota([3 * count], 0), "i32"), count), "i32"); // B ones, 2B zeros
  return mean(crossEntropy(logits, labels)[0]);
}

/** Masked language modelling through all layers, with the image; with a teacher its softmax is a second target. */
export function maskedLanguageLoss(
  p: Pick<Albef, "text_encoder">,
  batch: Pick<PretrainBatch, "mlmIds" | "mlmLabels" | "mask">,
  image: Tensor,
  context: Pick<BertContext, "key" | "remat">,
  config: AlbefConfig,
  teacher?: MlmTeacher,
): Tensor {
  const words = p.text_encoder.bert.embeddings.word_embeddings.weight;
  const states = maskedStates(p, batch, image, context, config);
  return mlmLoss(states, words, p.text_encoder.cls.predictions.bias, batch.mlmLabels, teacher);
}

/** States of the masked text before the vocabulary product: [B, L, D]. */
export function maskedStates(
  p: Pick<Albef, "text_encoder">,
  { mlmIds, mask }: Pick<PretrainBatch, "mlmIds" | "mask">,
  image: Tensor,
  context: Pick<BertContext, "key" | "remat">,
  config: AlbefConfig,
): Tensor {
  const states = bertMultimodal(p.text_encoder, mlmIds, { ...context, mask, image }, config.text);
  return mlmTransform(p.text_encoder, states, config.text);
}

/** The [CLS] states: [B, T, D] -> [B, D]. */
export function firstToken(states: Tensor): Tensor {
  const [batch, , width] = states.shape;
  return reshape(slice(states, 1, 0, 1), [batch!, width!]);
}

/** Rows scaled to length 1 (rows shorter than 1e-12 are divided by that, as `F.normalize` does). */
export function normalize(x: Tensor): Tensor {
  return divide(x, maximum(sqrt(sum(square(x), { axes: [-1], keepDims: true })), 1e-12));
}
