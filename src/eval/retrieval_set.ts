/**
 * A data set on disk as something to retrieve from.
 *
 * @module
 */
import type { CaptionDataset } from "../data/caption_pairs.ts";
import { cleanCaption } from "../data/captions.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { imagesOnDisk } from "./_images.ts";
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
}

/** Images (one entry each, `groupBy: "image"`) and their captions; images are decoded when they are asked for. */
export function retrievalSet(
  dataset: CaptionDataset,
  tokenizer: Tokenizer,
  options: RetrievalSetOptions,
): RetrievalSet {
  const { resolution, maxLength, captions = Infinity } = options;
  const candidates = Array.from({ length: Math.min(dataset.length, options.images ?? Infinity) }, (_, i) => i);
  const kept = candidates.filter((i) => !options.without?.has(i));
  const texts: string[] = [], imageOf: number[] = [];
  for (const [place, i] of kept.entries()) {
    for (const caption of dataset.entry(i).captions.slice(0, captions)) {
      texts.push(cleanCaption(caption)), imageOf.push(place);
    }
  }
  const { ids, mask } = tokenizer.encodeBatch(texts, maxLength);
  const images = imagesOnDisk(kept.map((index) => ({ path: dataset.entry(index).image, index })), resolution);
  return { images, texts: { ids, mask, length: maxLength }, imageOf };
}
