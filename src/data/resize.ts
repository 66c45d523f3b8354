/**
 * Bicubic resizing as Pillow does it for the originals: cubic convolution (Keys 1981, a = -0.5), stretched over all pixels
 * that a smaller result averages, first along the rows, then along the columns. (sharp's own resizing moves an image by up
 * to a pixel where a side grows and the other does not.)
 *
 * @module
 */
import type { Crop, RgbImage } from "./transform.ts";

/** Reach of the kernel in pixels of the larger grid. */
const SUPPORT = 2;

/** Cuts out a part (the whole image by default) and resizes it to a square, ignoring the aspect ratio. */
export function resizeImage(image: RgbImage, side: number, part?: Crop): RgbImage {
  const { left, top, width, height } = part ?? { left: 0, top: 0, width: image.width, height: image.height };
  if (image.width === side && image.height === side && width === side && height === side) return image;
  const start = (top * image.width + left) * 3;
  const rows = resample(image.data, start, 3, image.width * 3, width, height, side);
  // The columns of the narrowed image become rows, are resampled and become columns again.
  const columns = resample(rows, 0, side * 3, 3, height, side, side);
  return { data: transpose(columns, side), width: side, height: side };
}

/**
 * Resamples lines of RGB pixels.
 *
 * @param start Place of the first line's first pixel.
 * @param step From a pixel to the next one of its line.
 * @param stride From a line to the next one.
 * @returns `lines` x `to` pixels.
 */
function resample(
  data: ArrayLike<number>,
  start: number,
  step: number,
  stride: number,
  from: number,
  lines: number,
  to: number,
): Uint8ClampedArray<ArrayBuffer> {
  const { first, count, weights, most } = taps(from, to);
  const result = new Uint8ClampedArray(lines * to * 3); // rounds and clamps: the kernel overshoots
  for (let line = 0, out = 0; line < lines; line++) {
    for (let i = 0; i < to; i++, out += 3) {
      let red = 0, green = 0, blue = 0, at = start + line * stride + first[i]! * step;
      for (let k = i * most; k < i * most + count[i]!; k++, at += step) {
        const weight = weights[k]!;
        red += weight * data[at]!;
        green += weight * data[at + 1]!;
        blue += weight * data[at + 2]!;
      }
      result[out] = red;
      result[out + 1] = green;
      result[out + 2] = blue;
    }
  }
  return result;
}

/** Which pixels of a line each pixel of the resized line is made of. */
interface Taps {
  /** First pixel. */
  readonly first: Int32Array;
  /** Number of pixels, at most `most`. */
  readonly count: Int32Array;
  /** Rows of `most` weights; those used sum to 1. */
  readonly weights: Float64Array;
  readonly most: number;
}

function taps(from: number, to: number): Taps {
  const scale = from / to, stretch = Math.max(scale, 1), support = SUPPORT * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(to), count = new Int32Array(to), weights = new Float64Array(to * most);
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const begin = Math.max(0, Math.floor(center - support + 0.5)),
      end = Math.min(from, Math.floor(center + support + 0.5));
    const row = weights.subarray(i * most, i * most + end - begin);
    let sum = 0;
    for (let k = 0; k < row.length; k++) sum += row[k] = cubic((begin + k + 0.5 - center) / stretch);
    for (let k = 0; k < row.length; k++) row[k]! /= sum;
    first[i] = begin;
    count[i] = row.length;
  }
  return { first, count, weights, most };
}

/** Keys' kernel with a = -0.5. */
function cubic(x: number): number {
  const t = Math.abs(x);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
}

function transpose(data: Uint8ClampedArray, side: number): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(data.length);
  for (let x = 0, from = 0; x < side; x++) {
    for (let y = 0; y < side; y++, from += 3) {
      const to = (y * side + x) * 3;
      result[to] = data[from]!;
      result[to + 1] = data[from + 1]!;
      result[to + 2] = data[from + 2]!;
    }
  }
  return result;
}
