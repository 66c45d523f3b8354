/**
 * Images of a set, decoded when they are asked for.
 *
 * @module
 */
import type { ImageReader } from "../data/images.ts";
import { imagePlan } from "../data/transform.ts";
import { tensor } from "../program/compile.ts";
import { Random } from "../random/random.ts";
import type { RetrievalSet } from "./retrieval.ts";

/** An image and its number in the data set. */
export interface NumberedImage {
  readonly path: string;
  readonly index: number;
}

/**
 * Images as squares of packed RGB bytes, u32 [indices, resolution^2 * 3 / 4]; an image that cannot be read is an error when it is
 * asked for.
 */
export function imagesOnDisk(images: readonly NumberedImage[], resolution: number): RetrievalSet["images"] {
  let reader: ImageReader | undefined;
  const bytes = resolution * resolution * 3, unused = new Random(0);
  const load = async (indices: readonly number[]) => {
    // Not at import: the decoder is native code, which who only trains on tensors need not permit.
    const own = reader ??= new (await import("../data/images.ts")).ImageReader(
      [imagePlan({ resolution, transform: "eval" })],
    );
    const packed = new Uint8Array(indices.length * bytes);
    await Promise.all(indices.map(async (place, row) => {
      const { path, index } = images[place]!;
      try {
        packed.set((await own.read(path, () => unused))[0]!, row * bytes);
      } catch (error) {
        throw new Error(`Cannot evaluate on image ${index}, "${path}": it ${(error as Error).message}`);
      }
    }));
    return tensor(new Uint32Array(packed.buffer), [indices.length, bytes / 4]);
  };
  return { count: images.length, load };
}
