/**
 * Negatives for image-text matching: for each row of a similarity matrix one other column.
 *
 * @module
 */
import type { PairFeatures } from "../models/albef.ts";
import { clean } from "../nn/attack.ts";
import { argmax } from "../ops/argmax.ts";
import { add, divide, equal, iota, less, multiply, subtract, where } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { matmul } from "../ops/matmul.ts";
import { foldIn, gumbel, type Key } from "../ops/random.ts";
import { reshape, stopGradient } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { parseStages, stagesRule } from "../settings/stages.ts";

/** `top1`: the hardest (the released GRIT-VLP code); `multinomial`: drawn by softmax (ALBEF, both papers); `random`: uniform. */
export type NegativeKind = typeof NEGATIVE_KINDS[number];

/** All of {@linkcode NegativeKind}. */
export const NEGATIVE_KINDS = ["top1", "multinomial", "random"] as const;

/** Kinds by weights, f32 scalars 0 or 1: of the similarities and of the noise of a draw. See {@linkcode negativesAt}. */
export interface NegativeMix {
  /** 1 where similar ones are taken, 0 where all are alike. */
  readonly similarity: Tensor;
  /** 1 where they are drawn, 0 where the largest is taken. */
  readonly noise: Tensor;
}

/** The kinds as weights. */
const WEIGHTS: Readonly<Record<NegativeKind, { readonly [N in keyof NegativeMix]: number }>> = {
  top1: { similarity: 1, noise: 0 },
  multinomial: { similarity: 1, noise: 1 },
  random: { similarity: 0, noise: 1 },
};

/**
 * What a schedule chooses at a step, an f32 scalar: "random:500,multinomial" is random before step 500, then drawn by softmax. The program
 * is one for all steps.
 *
 * @throws {RangeError} If the text is no schedule of {@linkcode NEGATIVE_KINDS}.
 */
export function negativesAt(schedule: string, step: Tensor): NegativeKind | NegativeMix {
  const stages = parseStages(schedule, NEGATIVE_KINDS);
  if (!stages) {
    throw new RangeError(
      `Cannot choose negatives: the schedule must be ${stagesRule(NEGATIVE_KINDS)}: it is "${schedule}"`,
    );
  }
  const last = stages.at(-1)!.value;
  if (stages.length === 1) return last;
  const weight = (name: keyof NegativeMix): Tensor =>
    stages.slice(0, -1).reduceRight<Tensor>(
      (later, { value, until }) => where(less(step, until!), WEIGHTS[value][name], later),
      full([], WEIGHTS[last][name]),
    );
  return { similarity: weight("similarity"), noise: weight("noise") };
}

/** Which pairs of a batch do not belong together, u32 [B]. */
export type PairNegatives = {
  /** An image for each text. */
  readonly images: Tensor;
  /** A text for each image. */
  readonly texts: Tensor;
};

/** Which pairs that were drawn as negatives are counted as positives all the same, f32 [B]: 1 or 0. */
export type FoundPositives = {
  /** Of the image for each text. */
  readonly images: Tensor;
  /** Of the text for each image. */
  readonly texts: Tensor;
};

/** What is taken from columns that must not be chosen; the row itself gets twice as much, so that it is the last choice. */
export const EXCLUDED = 1e30;

/**
 * Negatives of both sides of B pairs by the similarity of features: of `queries` (the model's) to `keys` (the same, or a momentum
 * encoder's), divided by the temperature. Given negatives are returned as they are.
 */
export function pairNegatives(
  kind: NegativeKind | NegativeMix | PairNegatives,
  features: { readonly queries: PairFeatures; readonly keys: PairFeatures; readonly temperature: Tensor },
  key: Key,
  imageIds?: Tensor,
): PairNegatives {
  if (typeof kind === "object" && "images" in kind) return kind;
  return negativesBesides(undefined, kind, features, key, imageIds);
}

/** The same without `first`: with the same key and features, the second choice where `first` is the first. */
export function negativesBesides(
  first: PairNegatives | undefined,
  kind: NegativeKind | NegativeMix,
  { queries, keys, temperature }: Parameters<typeof pairNegatives>[1],
  key: Key,
  imageIds?: Tensor,
): PairNegatives {
  const logits = (rows: Tensor, columns: Tensor): Tensor =>
    stopGradient(divide(matmul(rows, columns, { transposeB: true }), temperature));
  return clean(() => ({
    images: chooseNegatives(logits(queries.text, keys.image), kind, foldIn(key, 1), imageIds, first?.images),
    texts: chooseNegatives(logits(queries.image, keys.text), kind, foldIn(key, 2), imageIds, first?.texts),
  }));
}

/**
 * A column for each row of logits [N, N], u32 [N]: never the row itself and, where there is a choice, no column of the same
 * image (`imageIds` u32 [N]) nor the column `except` (u32 [N], of each row). Chosen on masked raw logits: weights after a softmax underflow when the temperature is small,
 * and a zeroed diagonal is then as good as any other column (what the official code does). A draw by softmax is an arg-max
 * over logits plus Gumbel noise.
 */
export function chooseNegatives(
  logits: Tensor,
  kind: NegativeKind | NegativeMix,
  key: Key,
  imageIds?: Tensor,
  except?: Tensor,
): Tensor {
  const n = logits.shape[0]!;
  if (n < 2) throw new RangeError(`Cannot choose negatives: a batch must hold at least 2 pairs: it holds ${n}`);
  const { similarity, noise } = typeof kind === "object" ? kind : WEIGHTS[kind];
  const scores = weighted(stopGradient(logits), similarity);
  const noisy = noise === 0 ? scores : add(scores, weighted(gumbel(foldIn(key, 0), [n, n]), noise));
  const self = equal(iota([n, 1], 0), iota([1, n], 1));
  let masked = subtract(noisy, multiply(self, 2 * EXCLUDED));
  if (imageIds) {
    masked = subtract(masked, multiply(equal(reshape(imageIds, [n, 1]), reshape(imageIds, [1, n])), EXCLUDED));
  }
  if (except) masked = subtract(masked, multiply(equal(reshape(except, [n, 1]), iota([1, n], 1)), 1.5 * EXCLUDED));
  return argmax(masked);
}

function weighted(x: Tensor, weight: Tensor | number): Tensor {
  return weight === 1 ? x : multiply(x, weight);
}
