/**
 * RandAugment (Cubuk et al., 2020) as ALBEF and GRIT-VLP run it: two of ten operations at magnitude 7 of 10, each carried
 * out with probability 0.5. Operations on colours round down, warps are bilinear and round to the nearest value.
 *
 * @module
 */
import type { Random } from "../random/random.ts";
import type { RgbImage } from "./transform.ts";

const OPERATIONS_PER_IMAGE = 2;
const PROBABILITY = 0.5;
/** Magnitude as a share of the largest. */
const LEVEL = 0.7;
const ENHANCEMENT = 0.1 + 1.8 * LEVEL;
const SHEAR = 0.3 * LEVEL;
const TRANSLATION = 10 * LEVEL;
const ROTATION = 30 * LEVEL * Math.PI / 180;
/** What shows where a warp reaches beyond the image. */
const FILL = 128;

/** An operation of RandAugment. */
export type Operation = (image: RgbImage, random: Random) => RgbImage;

/** The ten operations by name, at a share of magnitude 7 of 10. Shears, shifts and turns draw their sign. */
export function operationsAt(strength: number): Readonly<Record<string, Operation>> {
  const enhancement = strength === 1 ? ENHANCEMENT : 1 + strength * (ENHANCEMENT - 1);
  const shear = strength * SHEAR, translation = strength * TRANSLATION, rotation = strength * ROTATION;
  return {
    identity: (image) => image,
    autoContrast: (image) => autoContrast(image),
    equalize: (image) => equalize(image),
    rotate: (image, random) => rotate(image, sign(random) * rotation),
    sharpness: (image) => sharpness(image, enhancement),
    shearX: (image, random) => warp(image, 1, sign(random) * shear, 0, 0, 1, 0),
    shearY: (image, random) => warp(image, 1, 0, 0, sign(random) * shear, 1, 0),
    translateX: (image, random) => warp(image, 1, 0, sign(random) * translation, 0, 1, 0),
    translateY: (image, random) => warp(image, 1, 0, 0, 0, 1, sign(random) * translation),
    brightness: (image) => brightness(image, enhancement),
  };
}

/** The ten operations at magnitude 7. */
export const OPERATIONS: Readonly<Record<string, Operation>> = operationsAt(1);

const NAMES = Object.keys(OPERATIONS);

/**
 * Draws two operations, with replacement, and carries each out or not. The image given is not changed.
 *
 * @param strength A share of magnitude 7.
 */
export function randAugment(image: RgbImage, random: Random, strength = 1): RgbImage {
  const operations = strength === 1 ? OPERATIONS : operationsAt(strength);
  let result = image;
  for (let i = 0; i < OPERATIONS_PER_IMAGE; i++) {
    const operation = operations[random.pick(NAMES)]!;
    if (random.uniform() < PROBABILITY) result = operation(result, random);
  }
  return result;
}

function sign(random: Random): 1 | -1 {
  return random.uniform() < 0.5 ? 1 : -1;
}

/** Stretches every channel so that its least value becomes 0 and its largest 255. */
export function autoContrast(image: RgbImage): RgbImage {
  return byChannel(image, (histogram) => {
    const low = histogram.findIndex((n) => n > 0), high = histogram.findLastIndex((n) => n > 0);
    return high > low ? (value) => (value - low) * 255 / (high - low) : (value) => value;
  });
}

/** Makes the values of every channel about equally frequent. */
export function equalize(image: RgbImage): RgbImage {
  return byChannel(image, (histogram) => {
    const last = histogram.findLast((n) => n > 0)!;
    const step = Math.floor((image.width * image.height - last) / 255);
    if (step === 0) return (value) => value;
    let below = Math.floor(step / 2);
    const table = Array.from(histogram, (n) => {
      const value = Math.floor(below / step);
      below += n;
      return value;
    });
    return (value) => table[value]!;
  });
}

/** Multiplies every value. */
export function brightness(image: RgbImage, factor: number): RgbImage {
  return byChannel(image, () => (value) => value * factor);
}

/** Goes away from the mean of each pixel and its neighbours (weights 5 and 1); pixels at the edge stay. */
export function sharpness({ data, width, height }: RgbImage, factor: number): RgbImage {
  const result = data.slice(), row = width * 3;
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
      const value = data[i]!, above = i - row, below = i + row;
      const neighbours = data[above - 3]! + data[above]! + data[above + 3]! + data[i - 3]! + data[i + 3]! +
        data[below - 3]! + data[below]! + data[below + 3]!;
      const mean = Math.round((5 * value + neighbours) / 13);
      result[i] = clampByte(mean + factor * (value - mean));
    }
  }
  return { data: result, width, height };
}

/** Turns an image around its middle, counter-clockwise for positive angles in radians. */
export function rotate(image: RgbImage, angle: number): RgbImage {
  const cos = Math.cos(angle), sin = Math.sin(angle), x = image.width / 2, y = image.height / 2;
  // The inverse of the turn: a place in the result to the place that it comes from.
  return warp(image, cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y);
}

/**
 * The image whose pixel (x, y) is the one at (ax x + ay y + a, bx x + by y + b) of this one, bilinear; whole numbers are the
 * middles of pixels, and everything outside is grey.
 */
export function warp(image: RgbImage, ax: number, ay: number, a: number, bx: number, by: number, b: number): RgbImage {
  const { data, width, height } = image, result = new Uint8Array(data.length);
  const at = (x: number, y: number, channel: number): number =>
    x < 0 || y < 0 || x >= width || y >= height ? FILL : data[(y * width + x) * 3 + channel]!;
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const fromX = ax * x + ay * y + a, fromY = bx * x + by * y + b;
      const left = Math.floor(fromX), top = Math.floor(fromY), u = fromX - left, v = fromY - top;
      for (let channel = 0; channel < 3; channel++, to++) {
        const upper = (1 - u) * at(left, top, channel) + u * at(left + 1, top, channel);
        const lower = (1 - u) * at(left, top + 1, channel) + u * at(left + 1, top + 1, channel);
        result[to] = Math.round((1 - v) * upper + v * lower);
      }
    }
  }
  return { data: result, width, height };
}

/** Sends every channel through a table of its own, made from its histogram. */
function byChannel(image: RgbImage, toMap: (histogram: Uint32Array) => (value: number) => number): RgbImage {
  const { data, width, height } = image, result = new Uint8Array(data.length);
  for (let channel = 0; channel < 3; channel++) {
    const histogram = new Uint32Array(256);
    for (let i = channel; i < data.length; i += 3) histogram[data[i]!]!++;
    const map = toMap(histogram), table = Uint8Array.from({ length: 256 }, (_, value) => clampByte(map(value)));
    for (let i = channel; i < data.length; i += 3) result[i] = table[data[i]!]!;
  }
  return { data: result, width, height };
}

function clampByte(value: number): number {
  return Math.max(0, Math.min(255, Math.floor(value)));
}
