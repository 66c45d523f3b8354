/**
 * Usage of vision (Byun et al. 2022, section 4.4, figure 4): how much better masked words are predicted with the image than without.
 *
 * @module
 */
import { type Albef, encodeImage, imagePatches, vocabularyStates } from "../models/albef.ts";
import type { AlbefConfig } from "../models/config.ts";
import { add, cast, equal, iota, less, multiply } from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { sum } from "../ops/reduce.ts";
import { reshape } from "../ops/shape.ts";
import { compile, type Compiled, tensor, toDevice, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { Random } from "../random/random.ts";
import { indicesFrom, takeRows } from "./_batches.ts";
import type { RetrievalSet } from "./retrieval.ts";

/** How the image is taken away: cross-attention is left out; the image is one of the mean colour; it is the next pair's. */
export type WithoutImage = "skip" | "blank" | "other";

/** How usage of vision is measured. */
export interface UsageOptions {
  /** Ids of `[MASK]`, and of what is never masked besides padding: `[CLS]`. */
  readonly tokens: { readonly maskId: number; readonly clsId: number };
  /** Shares of the tokens that are masked, each replaced by `[MASK]`. @default 0.15, 0.25, 0.5, 0.75 */
  readonly masks?: readonly number[];
  /** A prediction is right if the word is among the k best. @default 1, 5 */
  readonly k?: readonly number[];
  /** How the image is taken away; the paper does not say. @default "skip" */
  readonly without?: WithoutImage;
  /** With the number of a caption, decides on its masked tokens. @default 0 */
  readonly seed?: number;
  /** Pairs that are taken at a time. @default 32 */
  readonly batch?: number;
}

/** Accuracy of one share of masked tokens and one k, in percent. */
export interface VisionUsage {
  /** Share of the tokens that were masked. */
  readonly mask: number;
  /** A prediction was right if the word was among the k best. */
  readonly k: number;
  /** Accuracy with the image, in percent. */
  readonly with: number;
  /** Without it, at the same tokens; usage of vision is the difference. */
  readonly without: number;
}

/** Means of the images' colours, as bytes. */
const MEAN_BYTES = [123, 117, 104] as const;

/** MLM's accuracy on a set's texts with and without their images, at the same masked tokens. */
export async function usageOfVision(
  params: Pick<Albef, "visual_encoder" | "vision_proj" | "text_encoder">,
  config: AlbefConfig,
  set: RetrievalSet,
  options: UsageOptions,
): Promise<VisionUsage[]> {
  const { masks = [0.15, 0.25, 0.5, 0.75], k = [1, 5], without = "skip" } = options;
  await toDevice(params as Tree);
  const programs = {
    seen: compile(ranks(config)),
    unseen: compile(without === "skip" ? ranksOfText(config) : ranks(config)),
  };
  const found = await ranksOf(params, set, programs, { ...options, without, masks });
  programs.seen.destroy();
  programs.unseen.destroy();
  const share = (ranks: readonly number[], k: number): number =>
    100 * ranks.filter((r) => r < k).length / Math.max(1, ranks.length);
  return masks.flatMap((mask, m) => {
    const { seen, unseen } = found[m]!;
    return k.map((n) => ({ mask, k: n, with: share(seen, n), without: share(unseen, n) }));
  });
}

type Programs = Readonly<Record<"seen" | "unseen", Compiled<[Tree, Tensor, Tensor, Tensor, Tensor], Tensor>>>;

/** Ranks of the masked words, from 0, of the whole set: with the image and without. */
interface Ranks {
  readonly seen: number[];
  readonly unseen: number[];
}

async function ranksOf(
  params: Tree,
  { images, texts, imageOf }: RetrievalSet,
  programs: Programs,
  { tokens, masks, without, seed = 0, batch = 32 }: UsageOptions & { masks: readonly number[]; without: WithoutImage },
): Promise<Ranks[]> {
  const found = masks.map((): Ranks => ({ seen: [], unseen: [] })), count = imageOf.length;
  for (let from = 0; from < count; from += batch) {
    const at = indicesFrom(from, batch, count), own = await images.load(at.map((text) => imageOf[text]!));
    const none = without === "blank"
      ? blank(own.shape)
      : without === "other"
      ? await images.load(at.map((text) => (imageOf[text]! + 1) % images.count))
      : own;
    for (const [m, share] of masks.entries()) {
      const { ids, mask, labels } = masked(texts, at, share, tokens, seed);
      labels.fill(-1, Math.min(batch, count - from) * texts.length); // rows that only fill the batch up
      const inputs = [tensor(ids, mask.shape), mask, tensor(labels)] as const;
      const [seen, unseen] = await toHost([
        await programs.seen(params, own, ...inputs),
        await programs.unseen(params, none, ...inputs),
      ]);
      labels.forEach((label, i) => label >= 0 && (found[m]!.seen.push(seen![i]!), found[m]!.unseen.push(unseen![i]!)));
    }
  }
  return found;
}

/** Some texts with a share of their tokens masked, what these were (-1 elsewhere), and which are tokens at all. */
function masked(
  texts: RetrievalSet["texts"],
  at: readonly number[],
  share: number,
  { maskId, clsId }: UsageOptions["tokens"],
  seed: number,
) {
  const { length } = texts, ids = takeRows(texts.ids, length, at, Uint32Array);
  const mask = takeRows(texts.mask, length, at, Float32Array), labels = new Int32Array(ids.length).fill(-1);
  for (const [row, text] of at.entries()) {
    const random = new Random(seed).fork(text);
    for (let i = row * length; i < (row + 1) * length; i++) {
      const hidden = random.uniform() < share;
      if (!hidden || mask[i] === 0 || ids[i] === clsId) continue;
      labels[i] = ids[i]!;
      ids[i] = maskId;
    }
  }
  return { ids, mask: tensor(mask, [at.length, length]), labels };
}

/** How many words of the vocabulary score better than each position's own: [B * L]. */
function ranks(config: AlbefConfig) {
  return (p: Tree, images: Tensor, ids: Tensor, mask: Tensor, labels: Tensor): Tensor => {
    const q = p as unknown as Albef, { states } = encodeImage(q, imagePatches(images, config.vision), { config });
    return betterWords(q, vocabularyStates(q, { ids, mask }, states, { config }), labels);
  };
}

function ranksOfText(config: AlbefConfig) {
  return (p: Tree, _: Tensor, ids: Tensor, mask: Tensor, labels: Tensor): Tensor =>
    betterWords(
      p as unknown as Albef,
      vocabularyStates(p as unknown as Albef, { ids, mask }, undefined, { config }),
      labels,
    );
}

function betterWords({ text_encoder }: Albef, states: Tensor, labels: Tensor): Tensor {
  const count = labels.size, words = text_encoder.bert.embeddings.word_embeddings.weight, size = words.shape[0]!;
  const flat = reshape(states, [count, states.shape.at(-1)!]);
  const logits = add(matmul(flat, words, { transposeB: true }), text_encoder.cls.predictions.bias); // [B * L, V]
  const own = equal(cast(iota([count, size], 1), "i32"), reshape(labels, [count, 1]));
  const score = sum(multiply(logits, own), { axes: [1], keepDims: true });
  return sum(less(score, logits), { axes: [1] });
}

/** Images of the mean colour, packed RGB bytes. */
function blank(shape: readonly number[]): Tensor {
  const bytes = new Uint8Array(4 * shape.reduce((a, b) => a * b, 1));
  for (let i = 0; i < bytes.length; i++) bytes[i] = MEAN_BYTES[i % 3]!;
  return tensor(new Uint32Array(bytes.buffer), [...shape]);
}
