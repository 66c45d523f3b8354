/**
 * Mini-batches of sentences about two images each (NLVR2).
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { cleanCaption } from "./captions.ts";
import { type Collate, givenTokenizer, imageShape, tokenShapes, type TokenTensors, tokenTensors } from "./collate.ts";
import type { Example, ImageFile } from "./dataset.ts";
import type { PairCollateOptions } from "./pair_collate.ts";

/** A sentence about two images. */
export interface NlvrExample extends Example {
  /** The left and the right one. */
  readonly images: readonly [ImageFile, ImageFile];
  /** As it was written: {@linkcode nlvrCollate} cleans it. */
  readonly sentence: string;
  /** Whether it is true. */
  readonly label: boolean;
}

/** B sentences about two images each. */
export type NlvrBatch = TokenTensors & {
  /** u32 [2B, H * W * 3 / 4]: packed RGB bytes, all left images, then all right ones. */
  readonly images: Tensor;
  /** i32 [B]: 1 if the sentence is true, else 0. */
  readonly labels: Tensor;
};

/**
 * Pairs of images, sentences and labels.
 *
 * @throws {RangeError} When it collates, if an example has not two images.
 */
export function nlvrCollate({ view, maxLength, tokenizer }: PairCollateOptions): Collate<NlvrExample, NlvrBatch> {
  return {
    views: [view],
    shapes: (count) => ({
      images: imageShape(view, 2 * count),
      ...tokenShapes(count, maxLength),
      labels: { shape: [count], dtype: "i32" },
    }),
    collate: (examples, [images]) => ({
      images: ofTwo(images!, examples.length),
      ...tokenTensors(givenTokenizer(tokenizer), examples.map(({ sentence }) => cleanCaption(sentence)), maxLength),
      labels: tensor(Int32Array.from(examples, ({ label }) => Number(label))),
    }),
  };
}

function ofTwo(images: Tensor, count: number): Tensor {
  if (images.shape[0] === 2 * count) return images;
  throw new RangeError(`Cannot collate: an example must have 2 images: it has ${images.shape[0]! / count}`);
}
