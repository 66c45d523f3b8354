/**
 * Mini-batches of images and captions, ready to use.
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { CaptionPair } from "./caption_pairs.ts";
import {
  type Collate,
  givenTokenizer,
  imageShape,
  maskedShapes,
  type MaskedTensors,
  maskedTokens,
  tokenShapes,
  type TokenTensors,
  tokenTensors,
} from "./collate.ts";
import { checkProbability } from "./masking.ts";
import type { Tokenizer } from "./tokenizer.ts";
import type { ImageOptions } from "./transform.ts";

/** Options of {@linkcode pairCollate}. */
export interface PairCollateOptions {
  /** What happens to an image. */
  readonly view: ImageOptions;
  /** Tokens per caption, `[CLS]` included: longer ones are truncated, shorter ones padded. Pre-training: 25. */
  readonly maxLength: number;
  /** Turns captions into ids. Shapes are known without it. */
  readonly tokenizer?: Tokenizer | undefined;
}

/** Options of {@linkcode mlmCollate}. */
export interface MlmCollateOptions extends PairCollateOptions {
  /** Probability that a token is to be predicted. @default 0.5 */
  readonly probability?: number;
}

/** B images and their captions. */
export type PairBatch = TokenTensors & {
  /** u32 [B, H * W * 3 / 4]: packed RGB bytes. */
  readonly images: Tensor;
  /** u32 [B]: the same number for the same image. */
  readonly imageIds: Tensor;
};

/** B images and their captions, which there are with and without masks. */
export type MlmBatch = PairBatch & MaskedTensors;

/** The same with every image once more, drawn anew from its file. */
export type TwoViewBatch = MlmBatch & {
  /** u32 [B, H * W * 3 / 4]: the second view of the images. */
  readonly secondImages: Tensor;
};

/**
 * Images and captions.
 *
 * @throws {RangeError} If `maxLength` is no length.
 */
export function pairCollate({ view, maxLength, tokenizer }: PairCollateOptions): Collate<CaptionPair, PairBatch> {
  if (!(Number.isInteger(maxLength) && maxLength > 0)) {
    throw new RangeError(`Cannot collate: "maxLength" must be a whole number of at least 1: it is ${maxLength}`);
  }
  return {
    views: [view],
    shapes: (count) => ({
      images: imageShape(view, count),
      ...tokenShapes(count, maxLength),
      imageIds: { shape: [count], dtype: "u32" },
    }),
    collate: (pairs, [images]) => ({
      images: images!,
      ...tokenTensors(givenTokenizer(tokenizer), pairs.map(({ caption }) => caption), maxLength),
      imageIds: tensor(Uint32Array.from(pairs, ({ imageId }) => imageId)),
    }),
  };
}

/**
 * Images and captions, and the captions once more with masks that are drawn anew for every example and epoch.
 *
 * @throws {RangeError} If `maxLength` is no length or `probability` none.
 */
export function mlmCollate(options: MlmCollateOptions): Collate<CaptionPair, MlmBatch> {
  const { maxLength, tokenizer, probability = 0.5 } = options, pair = pairCollate(options);
  checkProbability(probability);
  return {
    views: pair.views,
    shapes: (count) => ({ ...pair.shapes(count), ...maskedShapes(count, maxLength) }),
    collate: (pairs, images, random) => {
      const batch = pair.collate(pairs, images, random);
      return { ...batch, ...maskedTokens(batch, givenTokenizer(tokenizer), probability, random) };
    },
  };
}

/**
 * Images in two views, whose crops and augmentations are drawn apart, and captions with and without masks. The first view is that of
 * {@linkcode mlmCollate}.
 *
 * @throws {RangeError} If `maxLength` is no length or `probability` none.
 */
export function twoViewCollate(options: MlmCollateOptions): Collate<CaptionPair, TwoViewBatch> {
  const mlm = mlmCollate(options);
  return {
    views: [...mlm.views, options.view],
    shapes: (count) => ({ ...mlm.shapes(count), secondImages: imageShape(options.view, count) }),
    collate: (pairs, images, random) => ({ ...mlm.collate(pairs, images, random), secondImages: images[1]! }),
  };
}
