/**
 * Image-text contrastive losses: GRIT-VLP's in the batch with consistency (Byun et al. 2022, section 3.4), and ALBEF's with keys of
 * momentum encoders and queues (Li et al. 2021, equations 6 and 7).
 *
 * @module
 */
import type { PairFeatures } from "../models/albef.ts";
import type { MomentumKeys } from "../models/momentum.ts";
import { predicted, weighed } from "../nn/attack.ts";
import { add, cast, divide, iota, multiply, subtract } from "../ops/elementwise.ts";
import { mean } from "../ops/reduce.ts";
import { stopGradient } from "../ops/shape.ts";
import type { FoundPositives, PairNegatives } from "./negatives.ts";
import type { Tensor } from "../program/graph.ts";
import { constantLogits, distilled, type Logits, softmaxLoss, type Targets } from "./softmax_loss.ts";

/** Switches of the contrastive loss. */
export interface ItcOptions {
  /** Weight of the consistency term, lambda. @default 0.2 */
  readonly consistency?: number | undefined;
  /**
   * Share of the targets that all pairs of the mini-batch have equally, as in MAFA (Byun et al. 2024), which puts it in the place of
   * consistency: 0.5 there. @default 0
   */
  readonly smoothing?: Tensor | number | undefined;
  /** Whether the key side is a constant, as in the official code; the paper's equations do not say so. @default true */
  readonly detachKeys?: boolean | undefined;
  /** u32 [N]: captions of one image count as one another's positives. Default: only the pair itself. */
  readonly imageIds?: Tensor | undefined;
  /** Drawn pairs that are positives too, as in MAFA: where `found` is 1 it takes half of the positives' share. */
  readonly judged?: { readonly negatives: PairNegatives; readonly found: FoundPositives } | undefined;
}

/**
 * Mean of the image-to-text and the text-to-image loss, a scalar. The consistency term pulls each row of one softmax to the
 * (constant) row of the other, by cross-entropy: the gradient is that of equation 6's KL divergence, the value is larger by the
 * target's entropy.
 */
export function itcLoss({ image, text }: PairFeatures, temperature: Tensor, options: ItcOptions = {}): Tensor {
  const { consistency = 0.2, detachKeys = true, imageIds, smoothing = 0, judged } = options;
  const keys = detachKeys ? stopGradient : (t: Tensor): Tensor => t;
  const targets = pairTargets(image.shape[0]!, imageIds && { queries: imageIds, keys: imageIds });
  const scale = divide(1, temperature);
  const i2t = { queries: image, keys: keys(text), scale }, t2i = { queries: text, keys: keys(image), scale };
  const smoothed = smoothing === 0 ? {} : { hard: subtract(1, smoothing), uniform: smoothing };
  const direction = (own: Logits, other: Logits, side: keyof PairNegatives): Tensor => {
    const soft = consistency > 0 ? { soft: { logits: constantLogits(other), weight: consistency } } : {};
    const lossFor = (targets: Targets): Tensor => softmaxLoss(own, { targets, ...smoothed, ...soft });
    predicted(own);
    const loss = lossFor(targets);
    if (!judged) return mean(loss);
    // Cross-entropy is linear in its targets.
    const share = multiply(judged.found[side], 0.5), extra = lossFor({ labels: judged.negatives[side] });
    return mean(add(loss, multiply(share, subtract(extra, loss))));
  };
  return meanOfBoth(() => direction(i2t, t2i, "texts"), () => direction(t2i, i2t, "images"));
}

/** Switches of the momentum form. */
export interface MomentumItcOptions {
  /** Weight of the soft targets, a scalar (it ramps up in the first epoch). */
  readonly alpha: Tensor | number;
  /** Image ids of the batch and of all keys, u32: positives are all keys of the same image. Default: only the pair itself. */
  readonly ids?: { readonly queries: Tensor; readonly keys: Tensor } | undefined;
}

/** ALBEF's form: keys from the momentum encoders and a queue, targets alpha * softmax(momentum) + (1 - alpha) * positives. */
export function itcMomentumLoss(
  { image, text }: PairFeatures,
  temperature: Tensor,
  keys: MomentumKeys,
  options: MomentumItcOptions,
): Tensor {
  const own = keys.features;
  return meanOfBoth(
    () => momentumDirection({ queries: image, momentum: own.image, keys: keys.text }, temperature, options),
    () => momentumDirection({ queries: text, momentum: own.text, keys: keys.image }, temperature, options),
  );
}

function meanOfBoth(i2t: () => Tensor, t2i: () => Tensor): Tensor {
  return weighed(0.5, () => multiply(add(i2t(), t2i()), 0.5));
}

/** Features of one direction of a contrastive loss with momentum encoders. */
export interface MomentumQueries {
  /** f32 [B, d]. */
  readonly queries: Tensor;
  /** The momentum encoder's features of the queries, [B, d]: soft targets are their similarities to the keys. */
  readonly momentum: Tensor;
  /** f32 [B + Q, d]; without ids key b is the one of query b. Constants. */
  readonly keys: Tensor;
}

/** One direction of {@linkcode itcMomentumLoss}, of any features to any keys; a scalar. */
export function momentumDirection(
  { queries, momentum, keys }: MomentumQueries,
  temperature: Tensor,
  { alpha, ids }: MomentumItcOptions,
): Tensor {
  const scale = divide(1, temperature), constant = stopGradient(keys), targets = pairTargets(queries.shape[0]!, ids);
  const soft = { queries: momentum, keys: constant, scale }, logits = { queries, keys: constant, scale };
  predicted(logits);
  return mean(softmaxLoss(logits, { targets, ...distilled(soft, alpha) }));
}

function pairTargets(count: number, ids: MomentumItcOptions["ids"]): Targets {
  return ids ? { queryIds: ids.queries, keyIds: ids.keys } : { labels: cast(iota([count], 0), "i32") };
}
