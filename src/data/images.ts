/**
 * Image files to squares of RGB bytes. Decoding is sharp's, so this module is for Workers and scripts; a program that
 * trains takes them from a `Loader`.
 *
 * @module
 */
import sharp from "npm:sharp@0.35.5";
import { randAugment } from "./augment.ts";
import { makeOpaque } from "./gif.ts";
import { ImageError, type ImageKind, jpegComponents, kindOf, readHead } from "./image_head.ts";
import type { Random } from "../random/random.ts";
import { resizeImage } from "./resize.ts";
import { drawCrop, flipImage, type ImagePlan, type RgbImage } from "./transform.ts";

export { ImageError } from "./image_head.ts";

type Sharp = ReturnType<typeof sharp>;
type SharpOptions = Parameters<typeof sharp>[1];

// Threads of its own per image and a cache of its own would only compete with the Workers and their cache.
sharp.concurrency(1);
sharp.cache(false);

/**
 * Decodes the first frame of an image file to 8 bits per channel in sRGB; grey becomes RGB, transparency is dropped, the
 * orientation tag ignored, inks of CMYK are multiplied without a profile (all as Pillow does in the originals).
 *
 * @param side Length of the longer side of the result, for pictures to look at; the image's own if not given.
 * @throws {ImageError} If the file is missing, truncated, damaged, no image, of a kind that is not supported (vector graphics among them) or
 *   has more than `maxPixels` pixels.
 */
export async function decodeImage(path: string, maxPixels: number, side?: number): Promise<RgbImage> {
  const head = await readHead(path), kind = kindOf(head);
  const options = { limitInputPixels: maxPixels, failOn: "error" } as const;
  try {
    const opened = sharp(path, options);
    if (kind === "GIF") return await reduced(await decodeGif(path, options), side);
    if (await isCmyk(kind, head, opened)) return await reduced(await decodeCmyk(opened), side);
    return await toRgb(opened, side);
  } catch (error) {
    throw error instanceof ImageError ? error : new ImageError(reasonOf((error as Error).message, maxPixels));
  }
}

/** Rows and columns of an image file, from its head. @throws {ImageError} If the file is missing or no image. */
export async function imageSize(path: string): Promise<readonly [height: number, width: number]> {
  kindOf(await readHead(path));
  try {
    const { height, width } = await sharp(path).metadata();
    return [height, width];
  } catch (error) {
    throw new ImageError(reasonOf((error as Error).message, Infinity));
  }
}

async function toRgb(opened: Sharp, side?: number): Promise<RgbImage> {
  const image = opened.toColourspace("srgb").removeAlpha();
  return await toPixels(side === undefined ? image : image.resize({ width: side, height: side, fit: "inside" }));
}

async function toPixels(image: Sharp): Promise<RgbImage> {
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  return { data: bytes, width: info.width, height: info.height };
}

async function reduced({ data, width, height }: RgbImage, side: number | undefined): Promise<RgbImage> {
  if (side === undefined) return { data, width, height };
  return await toRgb(sharp(data, { raw: { width, height, channels: 3 } }), side);
}

/** Whether pixels are inks. The head of a JPEG file tells sooner than the decoder. */
async function isCmyk(kind: ImageKind, head: Uint8Array, opened: Sharp): Promise<boolean> {
  const components = kind === "JPEG" ? jpegComponents(head) : kind === "TIFF" ? undefined : 3;
  return components === undefined ? (await opened.metadata()).space === "cmyk" : components === 4;
}

/** Cyan, magenta, yellow and black to light. */
async function decodeCmyk(opened: Sharp): Promise<RgbImage> {
  const { data: inks, width, height } = await toPixels(opened.pipelineColourspace("cmyk").toColourspace("cmyk"));
  const data = new Uint8Array(3 * width * height), channels = inks.length / (width * height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const from = channels * pixel, white = 255 - inks[from + 3]!;
    for (let c = 0; c < 3; c++) data[3 * pixel + c] = white - Math.round(inks[from + c]! * white / 255);
  }
  return { data, width, height };
}

/** The most bytes of a GIF file, which is held whole. */
const LARGEST_GIF = 256 << 20;

async function decodeGif(path: string, options: SharpOptions): Promise<RgbImage> {
  if ((await Deno.stat(path)).size > LARGEST_GIF) {
    throw new ImageError(`is a GIF of more than ${LARGEST_GIF >> 20} MiB`);
  }
  const file = await Deno.readFile(path), frame = makeOpaque(file), image = await toRgb(sharp(file, options));
  if (!frame) return image;
  const { left, top, width, height, around } = frame;
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) {
      const isIn = x >= left && x < left + width && y >= top && y < top + height;
      if (!isIn) image.data.set(around, 3 * (y * image.width + x));
    }
  }
  return image;
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
  return plan.randAugment ? randAugment(image, random, Number(plan.randAugment)) : image;
}
