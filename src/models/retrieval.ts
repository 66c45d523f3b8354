/**
 * Retrieval fine-tuning: ITC with all pairs of one image as positives, and ITM (Li et al. 2021, section 5).
 *
 * @module
 */
import { itcLoss, itcMomentumLoss } from "../losses/itc.ts";
import type { Negatives } from "../losses/negatives.ts";
import { type AffineSpec, defaultLinearSpec } from "../nn/layers.ts";
import { type ParametersOf, Spec } from "../nn/spec.ts";
import { add } from "../ops/elementwise.ts";
import { foldIn, type Key } from "../ops/random.ts";
import { concat } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { encodeImage, encodeText, itmLoss, type Matcher, type PretrainBatch } from "./albef.ts";
import { type BertContext, type BertSpec, bertSpec } from "./bert.ts";
import type { AlbefConfig } from "./config.ts";
import { advanceQueues, consultTeacher, momentumNegatives, type Queues, type Teacher } from "./momentum.ts";
import { type VitSpec, vitSpec } from "./vit.ts";

/** Parameters of the retrieval model under their official names: the text encoder has no MLM head and no `bert.` in its names. */
export type RetrievalSpec = {
  visual_encoder: VitSpec;
  text_encoder: BertSpec["bert"];
  vision_proj: AffineSpec;
  text_proj: AffineSpec;
  temp: Spec;
  itm_head: AffineSpec;
};

/** Parameters as tensors. */
export type Retrieval = ParametersOf<RetrievalSpec>;

/** Shapes and starting values. */
export function retrievalSpec({ vision, text, embedding }: AlbefConfig): RetrievalSpec {
  return {
    visual_encoder: vitSpec(vision),
    text_encoder: bertSpec(text).bert,
    vision_proj: defaultLinearSpec(vision.width, embedding),
    text_proj: defaultLinearSpec(text.width, embedding),
    temp: new Spec([], { constant: 0.07 }),
    itm_head: defaultLinearSpec(text.width, 2),
  };
}

/** The same parameters as the functions of ALBEF take them. */
export function asMatcher(p: Retrieval): Matcher {
  return { ...p, text_encoder: { bert: p.text_encoder } };
}

/** One mini-batch of pairs, with the image of each. */
export type RetrievalBatch = Pick<PretrainBatch, "patches" | "ids" | "mask"> & {
  /** u32 [B]: equal for captions of one image. */
  readonly imageIds: Tensor;
};

/** Switches of the fine-tuning. */
export interface RetrievalLossOptions {
  /** Momentum copies and queues (with image ids) for keys; without them the keys are the batch's, as constants. */
  readonly momentum?: { readonly teacher: Teacher<Matcher>; readonly queues: Required<Queues> };
  /** Weight of the soft targets, with momentum: ALBEF takes 0.4, GRIT-VLP 0. @default 0 */
  readonly alpha?: Tensor | number;
  /** How ITM's negatives are chosen; never of the same image. @default "multinomial" */
  readonly negatives?: Negatives;
  /** Given negatives instead of chosen ones: u32 [B] indices of an image for each text and of a text for each image. */
  readonly forced?: { readonly images: Tensor; readonly texts: Tensor };
  /** Compute the layers' intermediates again in the backward pass instead of keeping them. @default false */
  readonly remat?: boolean;
}

/** Losses (scalars), and the queues after the step where there are any. */
export type RetrievalLoss = {
  readonly loss: Tensor;
  readonly itc: Tensor;
  readonly itm: Tensor;
  readonly queues?: Queues;
};

/** ITC over all keys of the same image in equal shares + ITM. */
export function retrievalLoss(
  p: Matcher,
  batch: RetrievalBatch,
  key: Key,
  config: AlbefConfig,
  options: RetrievalLossOptions = {},
): RetrievalLoss {
  const { momentum, alpha = 0, negatives = "multinomial", remat = false } = options;
  const drop = (n: number): Pick<BertContext, "key" | "remat"> => ({
    key: config.text.dropout > 0 ? foldIn(key, n) : undefined,
    remat,
  });
  const { imageIds, mask } = batch;
  const image = encodeImage(p, batch.patches, config, remat);
  const text = encodeText(p, batch.ids, { mask, ...drop(0) }, config);
  const features = { image: image.features, text: text.features };
  const lesson = momentum && consultTeacher(momentum.teacher, momentum.queues, batch, config, { key: drop(5).key });

  const itc = lesson
    ? itcMomentumLoss(features.image, features.text, p.temp, {
      ...lesson.keys,
      alpha,
      ids: { rows: imageIds, columns: concat([imageIds, momentum.queues.ids], 0) },
    })
    : itcLoss(features.image, features.text, p.temp, { consistency: 0, imageIds });

  const keys = lesson?.keys ?? { imageTeacher: features.image, textTeacher: features.text };
  const chosen = options.forced ?? momentumNegatives(features, keys, p.temp, negatives, key, imageIds);
  const pairs = { negativeImages: chosen.images, negativeTexts: chosen.texts, context: drop(3) };
  const itm = itmLoss(p, image.states, text.states, mask, pairs, config);

  return {
    loss: add(itc, itm),
    itc,
    itm,
    ...(lesson
      ? { queues: advanceQueues(momentum.queues, lesson.keys.imageTeacher, lesson.keys.textTeacher, imageIds) }
      : {}),
  };
}
