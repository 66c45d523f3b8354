/**
 * Momentum encoders: slow copies of the encoders that give keys for a queue and soft targets (Li et al. 2021, sections 3.2 and 3.3).
 *
 * @module
 */
import { clean } from "../nn/attack.ts";
import { initialValues, Spec } from "../nn/spec.ts";
import { add, cast, greaterEqual, multiply, subtract } from "../ops/elementwise.ts";
import { concat, stopGradient } from "../ops/shape.ts";
import { ringUpdate } from "../ops/ring_update.ts";
import { lazyTensor, tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import {
  type Albef,
  encodePairs,
  type Matcher,
  type ModelContext,
  type PairFeatures,
  type PatchedPairs,
} from "./albef.ts";

/** Names of what has a momentum copy; its official names have `_m` behind these. */
export const MOMENTUM_PARTS = ["visual_encoder", "vision_proj", "text_encoder", "text_proj"] as const;

/** The momentum copies, under the names of what they are copies of. `M` is the model. */
export type MomentumEncoders<M extends Matcher = Albef> = Pick<M, typeof MOMENTUM_PARTS[number]>;

/** The parts of a model that have a momentum copy, as they are: how the copies start. */
export function momentumEncoders<M extends Record<typeof MOMENTUM_PARTS[number], unknown>>(
  p: M,
): Pick<M, typeof MOMENTUM_PARTS[number]> {
  const { visual_encoder, vision_proj, text_encoder, text_proj } = p;
  return { visual_encoder, vision_proj, text_encoder, text_proj };
}

/** Features of the last examples, as keys. Official tensors are [d, Q]. */
export type KeyQueues = {
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

/** Queues of random rows of length 1, which are drawn when they are needed: a resumed run and a plan have no use for them. */
export function startQueues(length: number, width: number, seed: number, withIds = false): KeyQueues {
  const rows = (stream: number): Tensor =>
    lazyTensor([length, width], "f32", () => {
      const values = initialValues(new Spec([length, width], { normal: 1 }), seed, stream);
      for (let at = 0; at < values.length; at += width) {
        const norm = Math.hypot(...values.subarray(at, at + width));
        for (let k = at; k < at + width; k++) values[k]! /= norm;
      }
      return values;
    });
  return {
    images: rows(0),
    texts: rows(1),
    pointer: tensor(Uint32Array.of(0)),
    ...(withIds ? { ids: tensor(new Uint32Array(length).fill(NO_IMAGE)) } : {}),
  };
}

/**
 * The queues after a step: momentum features (and image ids) of the batch in place of the oldest rows.
 *
 * @throws {RangeError} If the batch is larger than the queues.
 */
export function advanceQueues(queues: KeyQueues, images: Tensor, texts: Tensor, ids?: Tensor): KeyQueues {
  const { pointer } = queues, length = queues.images.shape[0]!, count = images.shape[0]!;
  if (count > length) {
    throw new RangeError(
      `Cannot keep keys: the queues must hold at least the mini-batch of ${count} (--key-queue): they hold ${length}`,
    );
  }
  const next = add(pointer, count);
  return {
    images: ringUpdate(queues.images, images, pointer),
    texts: ringUpdate(queues.texts, texts, pointer),
    pointer: subtract(next, multiply(cast(greaterEqual(next, length), "u32"), length)),
    ...(queues.ids && ids ? { ids: ringUpdate(queues.ids, ids, pointer) } : {}),
  };
}

/** Keys of a contrastive loss. */
export interface MomentumKeys {
  /** Features of the batch by the momentum encoders. */
  readonly features: PairFeatures;
  /** The same followed by the queue's: [B + Q, d]. */
  readonly image: Tensor;
  /** The same of the texts. */
  readonly text: Tensor;
}

/** What the momentum encoders make of a batch: keys, and the states of tokens. */
export interface MomentumPairs extends MomentumKeys {
  /** Image tokens [B, P + 1, D] of the momentum encoder. */
  readonly imageStates: Tensor;
  /** Text tokens [B, L, D] of the momentum encoder, without the image. */
  readonly textStates: Tensor;
}

/** Runs the momentum encoders and puts their features before the queues'. No gradient flows. */
export function encodeKeys(
  encoders: MomentumEncoders<Matcher>,
  queues: KeyQueues,
  batch: PatchedPairs,
  context: ModelContext,
): MomentumPairs {
  const pairs = clean(() => encodePairs(encoders, batch, context));
  const image = stopGradient(pairs.image.features), text = stopGradient(pairs.text.features);
  return {
    features: { image, text },
    image: concat([image, queues.images], 0), // [B + Q, d]
    text: concat([text, queues.texts], 0),
    imageStates: stopGradient(pairs.image.states),
    textStates: stopGradient(pairs.text.states),
  };
}
