/**
 * What is retrieved from, and a data set on disk as such.
 *
 * @module
 */
import type { CaptionDataset } from "../data/caption_pairs.ts";
import { cleanCaption } from "../data/captions.ts";
import type { ImageReader } from "../data/images.ts";
import { Random } from "../random/random.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import { imagePlan } from "../data/transform.ts";
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";

/** Images and texts to be found by one another. */
export interface RetrievalSet {
  /** The images, loaded when they are needed. */
  readonly images: {
    /** Number of images. */
    readonly count: number;
    /**
     * The images of these numbers as the model takes them: [indices, ...]. With a second stage asked twice for each image, always for a whole
     * batch: the last one repeats numbers.
     */
    load(indices: readonly number[]): Tensor | Promise<Tensor>;
  };
  /** Token ids and their mask (1 at tokens, 0 at padding), row-major [texts, length]. */
  readonly texts: { readonly ids: ArrayLike<number>; readonly mask: ArrayLike<number>; readonly length: number };
  /** The image of each text; every image has at least one text. */
  readonly imageOf: ArrayLike<number>;
}

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
  let reader: ImageReader | undefined;
  const bytes = resolution * resolution * 3, unused = new Random(0);
  const load = async (indices: readonly number[]) => {
    // Not at import: the decoder is native code, which who only trains on tensors need not permit.
    const images = reader ??= new (await import("../data/images.ts")).ImageReader(
      [imagePlan({ resolution, transform: "eval" })],
    );
    const packed = new Uint8Array(indices.length * bytes);
    await Promise.all(indices.map(async (place, row) => {
      const i = kept[place]!, path = dataset.entry(i).image;
      try {
        packed.set((await images.read(path, () => unused))[0]!, row * bytes);
      } catch (error) {
        throw new Error(`Cannot evaluate on image ${i}, "${path}": it ${(error as Error).message}`);
      }
    }));
    return tensor(new Uint32Array(packed.buffer), [indices.length, bytes / 4]);
  };
  return { images: { count: kept.length, load }, texts: { ids, mask, length: maxLength }, imageOf };
}
