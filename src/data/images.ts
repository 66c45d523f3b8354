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
 * @param side Length of the longer side of the result, for pictures to look at; the image's own if not given.
 * @throws {ImageError} If the file is missing, truncated, damaged, no image or has more than `maxPixels` pixels.
 */
export async function decodeImage(path: string, maxPixels: number, side?: number): Promise<RgbImage> {
  try {
    const image = sharp(path, { limitInputPixels: maxPixels, failOn: "error" }).toColourspace("srgb").removeAlpha();
    const sized = side === undefined ? image : image.resize({ width: side, height: side, fit: "inside" });
    const { data, info } = await sized.raw().toBuffer({ resolveWithObject: true });
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    return { data: bytes, width: info.width, height: info.height };
  } catch (error) {
    throw new ImageError(reasonOf((error as Error).message, maxPixels));
  }
}

/** Rows and columns of an image file, from its head. @throws {ImageError} If the file is missing or no image. */
export async function imageSize(path: string): Promise<readonly [height: number, width: number]> {
  try {
    const { height, width } = await sharp(path).metadata();
    return [height, width];
  } catch (error) {
    throw new ImageError(reasonOf((error as Error).message, Infinity));
  }
}

/** An image as a PNG file. */
export async function encodePng({ data, width, height }: RgbImage): Promise<Uint8Array> {
  return await sharp(data, { raw: { width, height, channels: 3 } }).png().toBuffer();
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
  readonly #maxPixels: number;
  /** The side of all views if none needs more of an image than its final size. */
  readonly #side: number | undefined;
  #bytesLeft: number;

  /**
   * Reads nothing yet.
   *
   * @param views What happens to an image, once for each view of it.
   * @param cacheBytes Memory for decoded images; those that come first stay.
   */
  constructor(
    /** What happens to an image, once for each view of it. */
    readonly views: readonly ImagePlan[],
    cacheBytes = 0,
  ) {
    this.#bytesLeft = cacheBytes;
    this.#maxPixels = Math.min(...views.map(({ maxPixels }) => maxPixels));
    const side = views[0]?.resolution;
    this.#side = views.every(({ cropArea, resolution }) => !cropArea && resolution === side) ? side : undefined;
  }

  /**
   * Reads one image; it is decoded once for all views.
   *
   * @param random Decides on a view's crop, flip and augmentation.
   * @throws {ImageError} If the file cannot be used.
   * @returns resolution x resolution x 3 bytes for each view; not to be written to.
   */
  async read(path: string, random: (view: number) => Random): Promise<Uint8Array<ArrayBuffer>[]> {
    const original = this.#kept.get(path) ?? await this.#decode(path);
    return this.views.map((plan, view) => viewOf(original, plan, random(view)).data);
  }

  /** The image as the cache holds it: in its final size where all views need that one only, else in full. */
  async #decode(path: string): Promise<RgbImage> {
    const decoded = await decodeImage(path, this.#maxPixels);
    const image = this.#side === undefined ? decoded : resizeImage(decoded, this.#side);
    if (image.data.length <= this.#bytesLeft && !this.#kept.has(path)) {
      this.#kept.set(path, image);
      this.#bytesLeft -= image.data.length;
    }
    return image;
  }
}

function viewOf(original: RgbImage, plan: ImagePlan, random: Random): RgbImage {
  const { resolution, cropArea, flip } = plan;
  const crop = cropArea ? drawCrop(original.width, original.height, cropArea, random) : undefined;
  let image = resizeImage(original, resolution, crop);
  if (flip && random.uniform() < 0.5) image = flipImage(image);
  return plan.randAugment ? randAugment(image, random) : image;
}
