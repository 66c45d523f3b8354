/**
 * Image files to squares of RGB bytes. Decoding is sharp's, so this module is for Workers and scripts; a program that
 * trains takes them from a `Loader`.
 *
 * @module
 */
import sharp from "npm:sharp@0.35.5";
import { randAugment } from "./augment.ts";
import type { Random } from "../random/random.ts";
import { resizeImage } from "./resize.ts";
import { drawCrop, flipImage, type ImagePlan, type RgbImage } from "./transform.ts";

// Threads of its own per image and a cache of its own would only compete with the Workers and their cache.
sharp.concurrency(1);
sharp.cache(false);

/** Why an image cannot be used: a predicate that follows the file's name in a message. */
export class ImageError extends Error {
  /** "ImageError". */
  override name = "ImageError";
}

/**
 * Decodes the first frame of an image file to 8 bits per channel in sRGB; grey becomes RGB, transparency is dropped, the
 * orientation tag ignored (all as in the originals).
 *
 * @throws {ImageError} If the file is missing, truncated, damaged, no image or has more than `maxPixels` pixels.
 */
export async function decodeImage(path: string, maxPixels: number): Promise<RgbImage> {
  try {
    const image = sharp(path, { limitInputPixels: maxPixels, failOn: "error" });
    const { data, info } = await image.toColourspace("srgb").removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    return { data: bytes, width: info.width, height: info.height };
  } catch (error) {
    throw new ImageError(reasonOf((error as Error).message, maxPixels));
  }
}

function reasonOf(message: string, maxPixels: number): string {
  if (/missing/i.test(message)) return "does not exist";
  if (/pixel limit/i.test(message)) return `has more than ${maxPixels} pixels`;
  // The decoder's own words get lost when several images fail at once.
  const detail = message.split("\n")[0]!;
  return `is damaged or not an image${/unknown error/i.test(detail) ? "" : ` (${detail})`}`;
}

/** Reads images through the whole pipeline. Decoded images are kept while they fit; the result does not depend on that. */
export class ImageReader {
  readonly #kept = new Map<string, RgbImage>();
  #bytesLeft: number;

  /**
   * Reads nothing yet.
   *
   * @param plan What happens to the images.
   * @param cacheBytes Memory for decoded images; those that come first stay.
   */
  constructor(
    /** What happens to the images. */
    readonly plan: ImagePlan,
    cacheBytes = 0,
  ) {
    this.#bytesLeft = cacheBytes;
  }

  /**
   * Reads one image.
   *
   * @param random Decides on the crop, the flip and the augmentation.
   * @throws {ImageError} If the file cannot be used.
   * @returns resolution x resolution x 3 bytes; not to be written to.
   */
  async read(path: string, random: Random): Promise<Uint8Array<ArrayBuffer>> {
    const { resolution, cropArea, flip } = this.plan;
    const original = this.#kept.get(path) ?? await this.#decode(path);
    const crop = cropArea ? drawCrop(original.width, original.height, cropArea, random) : undefined;
    let image = resizeImage(original, resolution, crop);
    if (flip && random.uniform() < 0.5) image = flipImage(image);
    if (this.plan.randAugment) image = randAugment(image, random);
    return image.data;
  }

  /** The image as the cache holds it: in full where crops are taken from it, else in its final size. */
  async #decode(path: string): Promise<RgbImage> {
    const { resolution, cropArea, maxPixels } = this.plan;
    const decoded = await decodeImage(path, maxPixels);
    const image = cropArea ? decoded : resizeImage(decoded, resolution);
    if (image.data.length <= this.#bytesLeft && !this.#kept.has(path)) {
      this.#kept.set(path, image);
      this.#bytesLeft -= image.data.length;
    }
    return image;
  }
}
