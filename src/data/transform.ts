/**
 * What happens to an image between the file and the model, as in the originals (GRIT-VLP's data set code): for training a
 * random resized crop, a flip and RandAugment, for evaluation a plain resize.
 *
 * @module
 */
import type { Random } from "../random/random.ts";

/** Mean of the red, green and blue values from 0 to 1 that a model's input is normalised with (CLIP's). */
export const MEAN: readonly [number, number, number] = [0.48145466, 0.4578275, 0.40821073];

/** Standard deviation that belongs to {@linkcode MEAN}. */
export const STD: readonly [number, number, number] = [0.26862954, 0.26130258, 0.27577711];

/** Pixels of three bytes (red, green, blue), row by row. */
export interface RgbImage {
  /** height x width x 3. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** Pixels of a row. */
  readonly width: number;
  /** Number of rows. */
  readonly height: number;
}

/** Options of the image pipeline. */
export interface ImageOptions {
  /** Side of the square that the model sees, in pixels. Pre-training: 256. */
  readonly resolution: number;
  /** `eval` resizes, ignoring the aspect ratio, and takes no notice of the switches. */
  readonly transform: "train" | "eval";
  /** Least and largest share of the image's area that a crop has; `null` for the whole image. @default [0.2, 1] */
  readonly cropArea?: readonly [number, number] | null;
  /** Flip every other image. Switch it off where captions tell left from right. @default true */
  readonly flip?: boolean;
  /** RandAugment; a number from 0 to 1 is a share of its strength. @default true */
  readonly randAugment?: boolean | number;
  /** Images of more pixels are refused. @default 2^26 */
  readonly maxPixels?: number;
}

/** {@linkcode ImageOptions} with nothing left open. */
export type ImagePlan = Required<Omit<ImageOptions, "transform">>;

/**
 * Fills in the defaults.
 *
 * @throws {RangeError} If the resolution or the crop's area is no usable number.
 */
export function imagePlan(options: ImageOptions): ImagePlan {
  const { resolution, transform, cropArea = [0.2, 1], flip = true, randAugment = true, maxPixels = 2 ** 26 } = options;
  if (!Number.isInteger(resolution) || resolution < 1) {
    throw new RangeError(`Cannot load images: "resolution" must be a whole number of at least 1: it is ${resolution}`);
  }
  if (cropArea && !(cropArea[0] > 0 && cropArea[0] <= cropArea[1] && cropArea[1] <= 1)) {
    throw new RangeError(
      `Cannot load images: "cropArea" must be two shares, 0 < least <= largest <= 1: it is ${cropArea}`,
    );
  }
  if (!(Number(randAugment) >= 0 && Number(randAugment) <= 1)) {
    throw new RangeError(`Cannot load images: "randAugment" must be a switch or a share: it is ${randAugment}`);
  }
  const train = transform === "train";
  return {
    resolution,
    maxPixels,
    cropArea: train ? cropArea : null,
    flip: train && flip,
    randAugment: train && randAugment,
  };
}

/**
 * 32-bit words of an image: its bytes go to the GPU packed, four to a word.
 *
 * @throws {RangeError} If an image would end inside a word.
 */
export function imageWords({ resolution }: Pick<ImageOptions, "resolution">): number {
  const words = resolution ** 2 * 3 / 4;
  if (Number.isInteger(words)) return words;
  throw new RangeError(`Cannot pack images: "resolution" must be even, or they end inside a word: it is ${resolution}`);
}

/** A rectangle in an image. */
export interface Crop {
  /** Column of its first pixel. */
  readonly left: number;
  /** Row of its first pixel. */
  readonly top: number;
  /** Number of columns. */
  readonly width: number;
  /** Number of rows. */
  readonly height: number;
}

const CROP_TRIES = 10;
const CROP_RATIO = [3 / 4, 4 / 3] as const;

/**
 * A random rectangle: its share of the area is uniform, the logarithm of its aspect ratio uniform from 3:4 to 4:3. If ten
 * of them do not fit, it is the largest one in the middle with a ratio in this range.
 */
export function drawCrop(width: number, height: number, area: readonly [number, number], random: Random): Crop {
  for (let i = 0; i < CROP_TRIES; i++) {
    const pixels = width * height * random.uniform(area[0], area[1]);
    const ratio = Math.exp(random.uniform(Math.log(CROP_RATIO[0]), Math.log(CROP_RATIO[1])));
    const w = Math.round(Math.sqrt(pixels * ratio)), h = Math.round(Math.sqrt(pixels / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    return { left: random.below(width - w + 1), top: random.below(height - h + 1), width: w, height: h };
  }
  return middleCrop(width, height);
}

function middleCrop(width: number, height: number): Crop {
  const w = Math.min(width, Math.max(1, Math.round(height * CROP_RATIO[1])));
  const h = Math.min(height, Math.max(1, Math.round(width / CROP_RATIO[0])));
  return { left: (width - w) >> 1, top: (height - h) >> 1, width: w, height: h };
}

/** Left and right exchanged. */
export function flipImage({ data, width, height }: RgbImage): RgbImage {
  const flipped = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * 3, to = (y * width + width - 1 - x) * 3;
      flipped[to] = data[from]!;
      flipped[to + 1] = data[from + 1]!;
      flipped[to + 2] = data[from + 2]!;
    }
  }
  return { data: flipped, width, height };
}
