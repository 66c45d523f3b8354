/**
 * ALBEF's momentum mode: slow copies of the encoders give keys for a queue and soft targets (Li et al. 2021, sections 3.2 and 3.3).
 * The model and its parameters are those of `albef.ts`; a teacher, two queues and alpha come in addition.
 *
 * @module
 */
import { itcMomentumLoss, type MomentumKeys } from "../losses/itc.ts";
import type { MlmTeacher } from "../losses/mlm.ts";
import { chooseNegatives, type Negatives } from "../losses/negatives.ts";
import { initialValues, Spec } from "../nn/spec.ts";
import { add, cast, divide, equal, multiply, subtract } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { matmul } from "../ops/matmul.ts";
import { foldIn, type Key } from "../ops/random.ts";
import { concat, stopGradient } from "../ops/shape.ts";
import { updateRows } from "../ops/update_rows.ts";
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { entries, mapTree, type Tree } from "../program/tree.ts";
import {
  type Albef,
  encodeImage,
  encodeText,
  itmLoss,
  maskedLanguageLoss,
  maskedStates,
  type Matcher,
  type PretrainBatch,
  type PretrainResult,
  weightedSum,
} from "./albef.ts";
import type { BertContext } from "./bert.ts";
import type { AlbefConfig } from "./config.ts";

/** Names of what has a momentum copy; its official names have `_m` behind these. */
export const TAUGHT = ["visual_encoder", "vision_proj", "text_encoder", "text_proj"] as const;

/** The momentum copies, under the names of what they are copies of. `M` is the model. */
export type Teacher<M extends Matcher = Albef> = Pick<M, typeof TAUGHT[number]>;

/** Features of the last examples, as keys. Official tensors are [d, Q]. */
export type Queues = {
  /** f32 [Q, d], rows of length 1. */
  readonly images: Tensor;
  readonly texts: Tensor;
  /** u32 [1]: the row that is replaced next. */
  readonly pointer: Tensor;
  /** u32 [Q]: the image of each row, {@linkcode NO_IMAGE} at the start. Only in fine-tuning. */
  readonly ids?: Tensor;
};

/** Id of the random rows that a queue starts with. */
export const NO_IMAGE = 0xffffffff;

/** Queues of random rows of length 1. */
export function startQueues(length: number, width: number, seed: number, withIds = false): Queues {
  const rows = (stream: number): Tensor => {
    const values = initialValues(new Spec([length, width], { normal: 1 }), seed, stream);
    for (let at = 0; at < values.length; at += width) {
      const norm = Math.hypot(...values.subarray(at, at + width));
      for (let k = at; k < at + width; k++) values[k]! /= norm;
    }
    return tensor(values, [length, width]);
  };
  return {
    images: rows(0),
    texts: rows(1),
    pointer: tensor(Uint32Array.of(0)),
    ...(withIds ? { ids: tensor(new Uint32Array(length).fill(NO_IMAGE)) } : {}),
  };
}

/** The queues after a step: momentum features (and image ids) of the batch in place of the oldest rows. */
export function advanceQueues(queues: Queues, images: Tensor, texts: Tensor, ids?: Tensor): Queues {
  const { pointer } = queues, length = queues.images.shape[0]!, count = images.shape[0]!;
  if (length % count !== 0) {
    throw new RangeError(`Cannot use a queue: its length must be a multiple of the batch of ${count}: it is ${length}`);
  }
  const next = add(pointer, count);
  return {
    images: updateRows(queues.images, images, pointer),
    texts: updateRows(queues.texts, texts, pointer),
    pointer: subtract(next, multiply(cast(equal(next, length), "u32"), length)),
    ...(queues.ids && ids ? { ids: updateRows(queues.ids, ids, pointer) } : {}),
  };
}

/** Momentum copies after the step's update, which comes before they are used: momentum * copy + (1 - momentum) * parameter. */
export function updateTeacher<T extends Tree>(teacher: T, params: Tree, momentum = 0.995): T {
  const values = new Map(entries(params));
  return mapTree(teacher, (copy, path) => {
    const value = values.get(path);
    if (!value) throw new Error(`Cannot update a momentum copy: there is no parameter "${path}"`);
    return add(multiply(copy, momentum), multiply(stopGradient(value), 1 - momentum));
  });
}

/** What the momentum encoders see in a batch. */
export interface Lesson {
  /** Image tokens of the momentum encoder. */
  readonly imageStates: Tensor;
  /** Features of the batch, and the same followed by those of the queue. */
  readonly keys: Omit<MomentumKeys, "alpha" | "ids">;
}

/** Runs the momentum encoders and puts their features before the queues'. No gradient flows. */
export function consultTeacher(
  teacher: Teacher<Matcher>,
  queues: Queues,
  batch: Pick<PretrainBatch, "patches" | "ids" | "mask">,
  config: AlbefConfig,
  context: Pick<BertContext, "key"> = {},
): Lesson {
  const image = encodeImage(teacher, batch.patches, config);
  const text = encodeText(teacher, batch.ids, { mask: batch.mask, ...context }, config);
  const imageTeacher = stopGradient(image.features), textTeacher = stopGradient(text.features);
  return {
    imageStates: stopGradient(image.states),
    keys: {
      imageTeacher,
      textTeacher,
      imageKeys: concat([imageTeacher, queues.images], 0), // [B + Q, d]
      textKeys: concat([textTeacher, queues.texts], 0),
    },
  };
}

/** Negatives by the similarities of the features with given features of the batch, those of the momentum encoders. */
export function momentumNegatives(
  features: { readonly image: Tensor; readonly text: Tensor },
  { imageTeacher, textTeacher }: Pick<MomentumKeys, "imageTeacher" | "textTeacher">,
  temperature: Tensor,
  kind: Negatives,
  key: Key,
  imageIds?: Tensor,
): { images: Tensor; texts: Tensor } {
  const logits = (rows: Tensor, columns: Tensor): Tensor =>
    stopGradient(divide(matmul(rows, columns, { transposeB: true }), temperature));
  return {
    images: chooseNegatives(logits(features.text, imageTeacher), kind, foldIn(key, 1), imageIds),
    texts: chooseNegatives(logits(features.image, textTeacher), kind, foldIn(key, 2), imageIds),
  };
}

/** Switches of the momentum mode. */
export interface MomentumOptions {
  /** Weight of the soft targets; a scalar where it changes, see {@linkcode rampedAlpha}. @default 0.4 */
  readonly alpha?: Tensor | number;
  /** How ITM's negatives are chosen. @default "multinomial" */
  readonly negatives?: Negatives;
  /** Given negatives instead of chosen ones: u32 [B] indices of an image for each text and of a text for each image. */
  readonly forced?: { readonly images: Tensor; readonly texts: Tensor };
  /** Weights of the three losses. @default 1 each; a weight of 0 leaves the objective out */
  readonly weights?: { readonly itc?: number; readonly itm?: number; readonly mlm?: number };
  /** Compute the layers' intermediates again in the backward pass instead of keeping them. @default false */
  readonly remat?: boolean;
}

/** ALBEF's pre-training losses, and the queues after the step. The teacher must have been updated, see {@linkcode updateTeacher}. */
export function momentumPretrainLoss(
  p: Albef,
  teacher: Teacher,
  queues: Queues,
  batch: PretrainBatch,
  key: Key,
  config: AlbefConfig,
  options: MomentumOptions = {},
): PretrainResult & { readonly queues: Queues } {
  const { alpha = 0.4, remat = false, negatives = "multinomial" } = options;
  const { itc: itcWeight = 1, itm: itmWeight = 1, mlm: mlmWeight = 1 } = options.weights ?? {};
  const drop = (n: number): Pick<BertContext, "key" | "remat"> => ({
    key: config.text.dropout > 0 ? foldIn(key, n) : undefined,
    remat,
  });
  const image = encodeImage(p, batch.patches, config, remat);
  const text = encodeText(p, batch.ids, { mask: batch.mask, ...drop(0) }, config);
  const { imageStates, keys } = consultTeacher(teacher, queues, batch, config, { key: drop(5).key });

  const itc = itcWeight ? itcMomentumLoss(image.features, text.features, p.temp, { ...keys, alpha }) : full([], 0);

  const features = { image: image.features, text: text.features };
  const chosen = options.forced ?? momentumNegatives(features, keys, p.temp, negatives, key, batch.imageIds);
  const pairs = { negativeImages: chosen.images, negativeTexts: chosen.texts, context: drop(3) };
  const itm = itmWeight ? itmLoss(p, image.states, text.states, batch.mask, pairs, config) : full([], 0);

  const mlmTeacher = (): MlmTeacher => ({
    logits: {
      rows: maskedStates(teacher, batch, imageStates, { key: drop(6).key }, config),
      columns: teacher.text_encoder.bert.embeddings.word_embeddings.weight,
      bias: teacher.text_encoder.cls.predictions.bias,
    },
    alpha,
  });
  const mlm = mlmWeight ? maskedLanguageLoss(p, batch, image.states, drop(4), config, mlmTeacher()) : full([], 0);

  return {
    loss: weightedSum([[itcWeight, itc], [itmWeight, itm], [mlmWeight, mlm]]),
    itc,
    itm,
    mlm,
    imageFeatures: stopGradient(image.features),
    textFeatures: stopGradient(text.features),
    negativeImages: chosen.images,
    negativeTexts: chosen.texts,
    queues: advanceQueues(queues, keys.imageTeacher, keys.textTeacher),
  };
}

/** ALBEF's alpha: it rises from 0 to its value in the first epoch. */
export function rampedAlpha(epoch: number, step: number, stepsPerEpoch: number, alpha = 0.4): number {
  return epoch > 0 ? alpha : alpha * Math.min(1, step / stepsPerEpoch);
}
