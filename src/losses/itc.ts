/**
 * Image-text contrastive loss with consistency (Byun et al. 2022, section 3.4; GRIT-VLP's form: in the batch, key side constant).
 *
 * @module
 */
import { add, cast, divide, iota, multiply } from "../ops/elementwise.ts";
import { mean } from "../ops/reduce.ts";
import { stopGradient } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { softmaxLoss, type Targets } from "./softmax_loss.ts";

/** Switches of the contrastive loss. */
export interface ItcOptions {
  /** Weight of the consistency term, lambda. @default 0.2 */
  readonly consistency?: number;
  /** Whether the key side is a constant, as in the official code; the paper's equations do not say so. @default true */
  readonly detachKeys?: boolean;
  /** u32 [N]: captions of one image count as one another's positives. Default: only the pair itself. */
  readonly imageIds?: Tensor;
}

/**
 * Mean of the image-to-text and the text-to-image loss: features [N, d] of length 1, scalar temperature -> scalar. The
 * consistency term pulls each row of one softmax to the (constant) row of the other, by cross-entropy: the gradient is that
 * of equation 6's KL divergence, the value is larger by the target's entropy.
 */
export function itcLoss(image: Tensor, text: Tensor, temperature: Tensor, options: ItcOptions = {}): Tensor {
  const { consistency = 0.2, detachKeys = true, imageIds } = options;
  const keys = detachKeys ? stopGradient : (t: Tensor): Tensor => t;
  const targets: Targets = imageIds
    ? { rowIds: imageIds, columnIds: imageIds }
    : { labels: cast(iota([image.shape[0]!], 0), "i32") };
  const scale = divide(1, temperature), fixed = stopGradient(scale);
  const i2t = { rows: image, columns: keys(text), scale };
  const t2i = { rows: text, columns: keys(image), scale };
  const direction = (own: typeof i2t, other: typeof i2t): Tensor => {
    const still = { rows: stopGradient(other.rows), columns: stopGradient(other.columns), scale: fixed };
    const soft = consistency > 0 ? { soft: { logits: still, weight: consistency } } : {};
    return mean(softmaxLoss(own, { targets, ...soft }));
  };
  return multiply(add(direction(i2t, t2i), direction(t2i, i2t)), 0.5);
}

/** Keys and teachers of the momentum form (Li et al. 2021, equations 6 and 7). */
export interface MomentumKeys {
  /** Momentum features of the batch, [N, d], followed by the queue's: [N + Q, d]. */
  readonly imageKeys: Tensor;
  /** The same of the texts. */
  readonly textKeys: Tensor;
  /** Momentum features of the batch, [N, d]: the teacher's anchors. */
  readonly imageTeacher: Tensor;
  /** The same of the texts. */
  readonly textTeacher: Tensor;
  /** Weight of the soft targets, a scalar (it ramps up in the first epoch). */
  readonly alpha: Tensor | number;
  /** Image ids of the batch and of all keys, u32: positives are all keys of the same image. Default: only the pair itself. */
  readonly ids?: { readonly rows: Tensor; readonly columns: Tensor };
}

/** ALBEF's form: keys from the momentum encoders and a queue, targets alpha * softmax(teacher) + (1 - alpha) * positives. */
export function itcMomentumLoss(image: Tensor, text: Tensor, temperature: Tensor, keys: MomentumKeys): Tensor {
  const { alpha, ids } = keys;
  const scale = divide(1, temperature), fixed = stopGradient(scale);
  const targets: Targets = ids
    ? { rowIds: ids.rows, columnIds: ids.columns }
    : { labels: cast(iota([image.shape[0]!], 0), "i32") };
  const direction = (rows: Tensor, teacher: Tensor, columns: Tensor): Tensor => {
    const constantColumns = stopGradient(columns);
    const logits = { rows: stopGradient(teacher), columns: constantColumns, scale: fixed };
    const soft = alpha === 0 ? {} : { soft: { logits, weight: alpha } };
    return mean(softmaxLoss({ rows, columns: constantColumns, scale }, { targets, hard: oneMinus(alpha), ...soft }));
  };
  const i2t = direction(image, keys.imageTeacher, keys.textKeys);
  const t2i = direction(text, keys.textTeacher, keys.imageKeys);
  return multiply(add(i2t, t2i), 0.5);
}

function oneMinus(alpha: Tensor | number): Tensor | number {
  return typeof alpha === "number" ? 1 - alpha : add(1, multiply(alpha, -1));
}
