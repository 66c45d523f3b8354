/**
 * Images and their captions as sequences.
 *
 * @module
 */
import type { CaptionDataset } from "../caption_pairs.ts";
import type { Random } from "../../random/random.ts";
import { type Segment, type SequenceOptions, toSequence } from "./sequence.ts";
import { ShuffledSource, type SourceOptions } from "./source.ts";

/** Options of {@linkcode pairSource}. */
export interface PairSourceOptions extends Pick<SourceOptions, "seed">, SequenceOptions {
  /** For messages and counts. @default the data set's name */
  readonly name?: string;
  /** `shuffled` gives every image the caption of another one, drawn anew each time: a control. @default "own" */
  readonly captions?: "own" | "shuffled";
}

/** An image, then its caption: the caption is learned. One of several captions is drawn. */
export function pairSource(dataset: CaptionDataset, options: PairSourceOptions): ShuffledSource<number> {
  const { captions = "own", name = dataset.name } = options, { length } = dataset;
  if (captions === "shuffled" && length < 2) {
    throw new RangeError(`Cannot shuffle the captions of ${name}: it must have at least 2 pairs: it has ${length}`);
  }
  const encode = (index: number, random: Random) => {
    const { images: [image], caption } = dataset.example(index, random);
    const other = captions === "own" ? undefined : (index + 1 + random.below(length - 1)) % length;
    const text = other === undefined ? caption : dataset.example(other, random).caption;
    return toSequence(captionSegments(image, text), options);
  };
  const read = () => [Array.from({ length }, (_, index) => index)];
  return new ShuffledSource(name, read, encode, { ...options, shuffle: Math.max(1, length), images: 1 });
}

/** An image and its caption; to be written by a model, the caption is left out. */
export function captionSegments(image: Extract<Segment, { image: unknown }>["image"], caption?: string): Segment[] {
  return caption === undefined ? [{ image }] : [{ image }, { text: ` ${caption}` }, "end"];
}
