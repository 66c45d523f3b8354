/**
 * Images and their captions as examples.
 *
 * @module
 */
import { cleanCaption } from "./captions.ts";
import { type Dataset, type Example, ExampleError, type ImageFile } from "./dataset.ts";
import type { Random } from "../random/random.ts";

/** An image with its caption, or with several captions of which a draw takes one. */
export interface CaptionEntry {
  /** Path of the image file. */
  readonly image: string;
  /** At least one. */
  readonly captions: readonly string[];
  /** The same for all entries of one image, from 0. */
  readonly imageId: number;
}

/** An image and one caption. */
export interface CaptionPair extends Example {
  /** The image. */
  readonly images: readonly [ImageFile];
  /** The caption as the model sees it; not empty. */
  readonly caption: string;
  /** The same for all pairs of one image. */
  readonly imageId: number;
}

/** Images and captions by index. */
export interface CaptionDataset extends Dataset<CaptionPair> {
  /** An example; it is at hand, since no image is opened. */
  example(index: number, random: Random): CaptionPair;
  /** An entry with all its captions. @throws {RangeError} If the index is not from 0 to length - 1. */
  entry(index: number): CaptionEntry;
}

/**
 * An entry with one of its captions, cleaned; nothing is drawn where there is only one.
 *
 * @throws {ExampleError} If nothing is left of the caption.
 */
export function captionPair({ image, captions, imageId }: CaptionEntry, random: Random): CaptionPair {
  const caption = cleanCaption(captions.length > 1 ? random.pick(captions) : captions[0] ?? "");
  if (caption === "") throw new ExampleError(`has an empty caption (${JSON.stringify(captions)})`, image);
  return { images: [{ path: image, id: imageId }], caption, imageId };
}
