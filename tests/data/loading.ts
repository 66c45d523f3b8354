/** Small data sets with their images, and loaders of them that tests run to the end. */
import sharp from "npm:sharp@0.35.5";
import { type CaptionDataset, type CaptionEntry, captionPair } from "../../src/data/caption_pairs.ts";
import type { Collate } from "../../src/data/collate.ts";
import type { Dataset, Example } from "../../src/data/dataset.ts";
import { type Batch, Loader, type LoaderOptions } from "../../src/data/loader.ts";
import { buildTokenizer, type Tokenizer } from "../../src/data/tokenizer.ts";
import type { HostArray, Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";

/** A folder that is removed when the tests have run. */
export const folder: string = await Deno.makeTempDir();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** One for each example. */
export const words = ["red", "green", "blue", "ring", "cube", "left", "right", "big", "small", "near", "far", "round"];

export const tokenizer: Tokenizer = buildTokenizer([words.join(" ")]);

/** Image i is a square of 8 pixels of the grey value 10 i. */
export const greyImages: string[] = await Promise.all(words.map(async (_, i) => {
  const path = `${folder}/${i}.png`, data = new Uint8Array(8 * 8 * 3).fill(10 * i);
  await sharp(data, { raw: { width: 8, height: 8, channels: 3 } }).png().toFile(path);
  return path;
}));

/** Examples in memory. */
export function listDataset<E extends Example>(examples: readonly E[]): Dataset<E> {
  return { name: "test", length: examples.length, skipped: [], example: (index) => at(examples, index) };
}

/** Images and captions in memory. */
export function captionDataset(entries: readonly CaptionEntry[]): CaptionDataset {
  const entry = (index: number): CaptionEntry => at(entries, index);
  return {
    name: "test",
    length: entries.length,
    skipped: [],
    entry,
    example: (index, random) => captionPair(entry(index), random),
  };
}

function at<T>(items: readonly T[], index: number): T {
  if (items[index] === undefined) throw new RangeError(`there is no entry ${index}`);
  return items[index];
}

/** Batches of `size` of the examples in order. */
export function inOrder(size: number, length = words.length): (batch: number) => Int32Array | undefined {
  return (batch) => {
    const left = length - batch * size;
    return left > 0 ? Int32Array.from({ length: Math.min(size, left) }, (_, i) => batch * size + i) : undefined;
  };
}

/** Which batches are loaded: those of `size` examples in order if nothing else is said. */
export interface Which {
  readonly size?: number;
  readonly epoch?: number;
  readonly from?: number;
  readonly order?: (batch: number) => Int32Array | undefined;
}

/** The batches of an epoch and what was skipped. */
export async function loadAll<E extends Example, B extends Tree>(
  dataset: Dataset<E>,
  collate: Collate<E, B>,
  options: LoaderOptions = {},
  { size = 4, epoch = 0, from = 0, order = inOrder(size) }: Which = {},
): Promise<{ batches: Batch<B>[]; skipped: Loader<E, B>["skipped"] }> {
  await using loader = new Loader(dataset, collate, { seed: 3, ...options });
  const batches = await Array.fromAsync(loader.batches(order, { epoch, from }));
  return { batches, skipped: loader.skipped };
}

/** The values of a tensor on the host. */
export function values<A extends HostArray = Uint32Array>(tensor: Tensor): A {
  return tensor.node.host as A;
}

/** The bytes of packed images. */
export function bytes(images: Tensor): Uint8Array {
  return new Uint8Array(values(images).buffer);
}

/** Numbers, shapes and values of batches, to be compared. */
export function plain(batches: readonly Batch<Record<string, Tensor>>[]): unknown[] {
  return batches.map(({ number, indices, input }) => [
    number,
    indices,
    Object.entries(input).map(([name, tensor]) => [name, `${tensor}`, values(tensor)]),
  ]);
}
