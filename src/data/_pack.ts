/**
 * Images of examples as tensors.
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Example } from "./dataset.ts";
import { type ImagePlan, imageWords } from "./transform.ts";

/** An example and the bytes of its images: all views of the first one, then all views of the second one. */
export interface Loaded<E extends Example> {
  readonly index: number;
  readonly example: E;
  readonly pixels: readonly Uint8Array[];
}

/**
 * For each view u32 [S * B, words]: of S images per example the first ones of all rows, then the second ones.
 *
 * @param name Of the data set, for messages.
 * @throws {Error} If the rows have no images or not the same number of them.
 */
export function packImages(name: string, rows: readonly Loaded<Example>[], views: readonly ImagePlan[]): Tensor[] {
  const slots = views.length ? imagesPerExample(name, rows) : 0, count = slots * rows.length;
  return views.map((plan, view) => {
    const words = imageWords(plan), packed = new Uint8Array(count * words * 4);
    rows.forEach(({ pixels }, row) => {
      for (let slot = 0; slot < slots; slot++) {
        packed.set(pixels[slot * views.length + view]!, (slot * rows.length + row) * words * 4);
      }
    });
    return tensor(new Uint32Array(packed.buffer), [count, words], "u32", { copy: false });
  });
}

function imagesPerExample(name: string, rows: readonly Loaded<Example>[]): number {
  const count = rows[0]?.example.images.length ?? 0;
  for (const { index, example: { images: { length } } } of rows) {
    if (length === count && count) continue;
    const required = count ? `as many images as the first entry of its mini-batch, ${count}` : "an image to be viewed";
    throw new Error(`Cannot load entry ${index} of "${name}": it must have ${required}: it has ${length || "none"}`);
  }
  return count;
}
