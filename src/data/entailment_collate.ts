/**
 * Mini-batches of sentences about images that they follow from or not (visual entailment).
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { cleanCaption } from "./captions.ts";
import { type Collate, givenTokenizer, imageShape, tokenShapes, type TokenTensors, tokenTensors } from "./collate.ts";
import { ENTAILMENT_CLASSES, type EntailmentExample } from "./entailment.ts";
import type { PairCollateOptions } from "./pair_collate.ts";

/** B sentences about an image each. */
export type EntailmentBatch = TokenTensors & {
  /** u32 [B, H * W * 3 / 4]: packed RGB bytes. */
  readonly images: Tensor;
  /** i32 [B]: the places of the labels in {@linkcode ENTAILMENT_CLASSES}. */
  readonly labels: Tensor;
};

/** Images, sentences and labels. */
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
      labels: tensor(Int32Array.from(examples, ({ label }) => ENTAILMENT_CLASSES.indexOf(label))),
    }),
  };
}
