/**
 * What a decoder language model is trained on: rows of tokens in which whole documents stand one behind the other, some tokens of
 * which stand for patches of images.
 *
 * @module
 */
import type { Tensor } from "../../program/graph.ts";
import type { Avals } from "../../program/tree.ts";

/** Rows of B sequences of T tokens each: documents one behind the other, then padding. */
export type DecoderRows = {
  /** i32 [B, T]: ids; the id `imageToken` of the model stands P times, one behind the other, where an image of P tokens stands. */
  readonly tokens: Tensor;
  /** i32 [B, T]: the number of each token's document in its row, from 0 on; -1 at padding. */
  readonly documents: Tensor;
  /** i32 [B, T]: the place of each token in its document, from 0 on; any valid place at padding. */
  readonly positions: Tensor;
};

/** Rows with what is learned of them, and their images. */
export type DecoderBatch = DecoderRows & {
  /**
   * f32 [B, T]: the weight of the loss of the token that FOLLOWS each token in the row. 0 where the next token is a placeholder of an
   * image, belongs to another document or is padding, and at the last place of a row.
   */
  readonly lossMask: Tensor;
  /**
   * f32 [N, 3, S, S], normalised: image n belongs to the n-th run of placeholders, row after row. Images behind those that have a place
   * are not looked at, so that N may be the same for all mini-batches. Absent: there are no placeholders.
   */
  readonly images?: Tensor;
};

/** Shapes of mini-batches: rows and their tokens, images and their pixels on a side. */
export function sequenceShapes(
  { batch, length, images = 0, side = 0 }: {
    readonly batch: number;
    readonly length: number;
    readonly images?: number;
    readonly side?: number;
  },
): Avals<DecoderBatch> {
  const rows = { shape: [batch, length], dtype: "i32" } as const;
  return {
    tokens: rows,
    documents: rows,
    positions: rows,
    lossMask: { ...rows, dtype: "f32" },
    ...(images ? { images: { shape: [images, 3, side, side], dtype: "f32" } } : {}),
  };
}
