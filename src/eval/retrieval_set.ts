/**
 * A data set on disk as something to retrieve from.
 *
 * @module
 */
import type { CaptionDataset } from "../data/caption_pairs.ts";
import { cleanCaption } from "../data/captions.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { imagesOnDisk, type NumberedImage } from "./_images.ts";
import type { RetrievalSet } from "./retrieval.ts";

/** How images and captions are taken. */
export interface RetrievalSetOptions {
  /** Side of the images, pixels. */
  readonly resolution: number;
  /** Tokens per caption; longer ones are truncated. */
  readonly maxLength: number;
  /** Captions of each image that are candidates. Default: all. */
  readonly captions?: number;
  /** Images that are candidates. Default: all. */
  readonly images?: number;
  /** Entries among them that are left out, for instance since their image cannot be read. */
  readonly without?: ReadonlySet<number>;
  /**
   * Is told of a caption of which the clean-up leaves nothing; it is left out, and so is an image without another one. Default: it is an
   * error, as in training.
   */
  readonly onEmptyCaption?: (sentence: string) => void;
}

/** What is retrieved, and where it comes from. */
export interface DiskRetrievalSet extends RetrievalSet {
  /** The entry of each image in the data set. */
  readonly entries: readonly number[];
}

/**
 * Images (one entry each, `groupBy: "image"`) and their captions; images are decoded when they are asked for.
 *
 * @throws {Error} If a caption is empty after the clean-up, unless `onEmptyCaption` is given; or if none is left.
 */
export function retrievalSet(
  dataset: CaptionDataset,
  tokenizer: Tokenizer,
  options: RetrievalSetOptions,
): DiskRetrievalSet {
  const { resolution, maxLength } = options, count = Math.min(dataset.length, options.images ?? Infinity);
  const kept: NumberedImage[] = [], texts: string[] = [], imageOf: number[] = [];
  for (let index = 0; index < count; index++) {
    if (options.without?.has(index)) continue;
    const captions = cleanCaptions(dataset, index, options);
    for (const caption of captions) texts.push(caption), imageOf.push(kept.length);
    if (captions.length) kept.push({ path: dataset.entry(index).image, index });
  }
  if (!texts.length) throw new Error(`Cannot retrieve from "${dataset.name}": none of its captions can be used`);
  const { ids, mask } = tokenizer.encodeBatch(texts, maxLength);
  return {
    images: imagesOnDisk(kept, resolution),
    texts: { ids, mask, length: maxLength },
    imageOf,
    entries: kept.map(({ index }) => index),
  };
}

/** The captions of an entry as the model sees them, without empty ones if these may be left out. */
function cleanCaptions(
  dataset: CaptionDataset,
  index: number,
  { captions: count = Infinity, onEmptyCaption }: RetrievalSetOptions,
): string[] {
  const { image, captions } = dataset.entry(index);
  return captions.slice(0, count).flatMap((caption) => {
    const clean = cleanCaption(caption);
    if (clean !== "") return [clean];
    const sentence = `Cannot load entry ${index}: "${image}" has an empty caption (${JSON.stringify(caption)})`;
    if (!onEmptyCaption) throw new Error(sentence);
    onEmptyCaption(sentence);
    return [];
  });
}
