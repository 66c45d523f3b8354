/** A validation split where the data has none: some images with all that is said of them. */
import { type Dataset, type Example, Random, settings } from "../../mod.ts";

export type Entries<E extends Example> = Dataset<E> & {
  entry(index: number): { readonly images?: E["images"]; readonly image?: string };
};

/**
 * Entries without some images, and a function that keeps the entries of these images alone, of the same files opened in any way.
 *
 * @throws {UsageError} If one side has no image.
 */
export function splitImages<E extends Example, D extends Entries<E>>(
  dataset: D,
  share: number,
  seed: number,
): [rest: D, held: (other: D) => D] {
  const paths = [...new Set(indices(dataset).map((index) => imageOf(dataset, index)))];
  const count = Math.round(share * paths.length);
  if (count < 1 || count >= paths.length) {
    throw new settings.UsageError(`--hold-out must leave images on both sides: it takes ${count} of ${paths.length}`);
  }
  const held = new Set(new Random(seed).fork(HOLD_OUT).shuffle(paths).slice(0, count));
  const isHeld = (dataset: D) => (index: number) => held.has(imageOf(dataset, index));
  const rest = indices(dataset).filter((index) => !isHeld(dataset)(index));
  return [subset(dataset, rest), (other) => subset(other, indices(other).filter(isHeld(other)), "held out of ")];
}

/** The word of the stream that chooses the images. */
const HOLD_OUT = 0x401d;

function indices({ length }: { readonly length: number }): number[] {
  return Array.from({ length }, (_, index) => index);
}

/** The path of the first image. */
function imageOf<E extends Example>(dataset: Entries<E>, index: number): string {
  const { images, image } = dataset.entry(index);
  return images?.[0]?.path ?? image!;
}

/** Some entries, numbered anew. */
function subset<E extends Example, D extends Entries<E>>(dataset: D, kept: readonly number[], prefix = ""): D {
  return {
    ...dataset,
    name: prefix + dataset.name,
    length: kept.length,
    entry: (index: number) => dataset.entry(kept[index]!),
    example: (index: number, random: Random) => dataset.example(kept[index]!, random),
  };
}
