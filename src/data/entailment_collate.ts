/**
 * Mini-batches of sentences about images that they follow from or not (visual entailment).
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { cleanCaption } from "./captions.ts";
import { type Collate, givenTokenizer, imageShape, tokenShapes, type TokenTensors, tokenTensors } from "./collate.ts";
import type { Example, ImageFile } from "./dataset.ts";
import type { PairCollateOptions } from "./pair_collate.ts";

/** What an image can be to a sentence, in the order of the official class numbers. */
export const ENTAILMENT_CLASSES = ["contradiction", "neutral", "entailment"] as const;

/** What an image is to a sentence. */
export type EntailmentClass = typeof ENTAILMENT_CLASSES[number];

/** A sentence about an image. */
export interface EntailmentExample extends Example {
  /** The image. */
  readonly images: readonly [ImageFile];
  /** As it was written: {@linkcode entailmentCollate} cleans it. */
  readonly sentence: string;
  /** What the image is to it. */
  readonly label: EntailmentClass;
}

/** B sentences about an image each. */
export type EntailmentBatch = TokenTensors & {
  /** u32 [B, H * W * 3 / 4]: packed RGB bytes. */
  readonly images: Tensor;
  /** i32 [B]: numbers of {@linkcode ENTAILMENT_CLASSES}. */
  readonly labels: Tensor;
};

/**
 * Images, sentences and labels.
 *
 * @throws {RangeError} When it collates, if a label is none of the classes.
 */
export function entailmentCollate(
  { view, maxLength, tokenizer }: PairCollateOptions,
): Collate<EntailmentExample, EntailmentBatch> {
  return {
    views: [view],
    shapes: (count) => ({
      images: imageShape(view, count),
      ...tokenShapes(count, maxLength),
      labels: { shape: [count], dtype: "i32" },
    }),
    collate: (examples, [images]) => ({
      images: images!,
      ...tokenTensors(givenTokenizer(tokenizer), examples.map(({ sentence }) => cleanCaption(sentence)), maxLength),
      labels: tensor(Int32Array.from(examples, ({ label }) => classNumber(label))),
    }),
  };
}

function classNumber(label: EntailmentClass): number {
  const found = ENTAILMENT_CLASSES.indexOf(label);
  if (found >= 0) return found;
  throw new RangeError(
    `Cannot collate: a label must be one of ${ENTAILMENT_CLASSES.join(", ")}: it is ${JSON.stringify(label)}`,
  );
}
