/**
 * Pictures of maps: a photo in grey with the map over it, in colours that grow lighter with the value, so that they can be told apart
 * without seeing colours.
 *
 * @module
 */
import type { Rgb } from "../ops/patchify.ts";
import type { RgbImage } from "../data/transform.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { makeFolder } from "../io/files.ts";
import { type HeatMap, resizeMap } from "./grounding.ts";
import type { WordMap } from "./word_maps.ts";

/** Ten colours of viridis (van der Walt and Smith 2015, matplotlib's, in the public domain), from 0 to 1. */
const VIRIDIS: readonly Rgb[] = [
  [68, 1, 84],
  [72, 40, 120],
  [62, 74, 137],
  [49, 104, 142],
  [38, 130, 142],
  [31, 158, 137],
  [53, 183, 121],
  [109, 205, 89],
  [180, 222, 44],
  [253, 231, 37],
];

/** Share of the map in a pixel's colour; the rest is the photo's. */
const OPACITY = 0.6;

/** The colour of a value from 0 to 1, beyond which it stays the same. */
export function heatColor(value: number): Rgb {
  const last = VIRIDIS.length - 1,
    place = Math.min(Math.max(value, 0), 1) * last,
    at = Math.min(Math.floor(place), last - 1);
  const below = VIRIDIS[at]!, above = VIRIDIS[at + 1]!, share = place - at;
  return [0, 1, 2].map((c) => below[c]! + share * (above[c]! - below[c]!)) as [number, number, number];
}

/**
 * A map over its photo.
 *
 * @param map On any grid.
 * @param peak The value that has the lightest colour; 0 has the darkest. Default: the largest of the resized map.
 */
export function paintMap(photo: RgbImage, map: HeatMap, peak?: number): RgbImage {
  const { data, width, height } = photo, { values } = resizeMap(map, [height, width]);
  const top = peak ?? values.reduce((a, b) => Math.max(a, b), 0);
  const painted = new Uint8ClampedArray(data.length);
  values.forEach((value, i) => {
    const grey = 0.299 * data[3 * i]! + 0.587 * data[3 * i + 1]! + 0.114 * data[3 * i + 2]!; // luma of ITU-R BT.601
    heatColor(top > 0 ? value / top : 0).forEach((c, k) => painted[3 * i + k] = OPACITY * c + (1 - OPACITY) * grey);
  });
  return { data: new Uint8Array(painted.buffer), width, height };
}

/** A photo and the maps of a text over it. */
export interface PhotoMaps {
  /** Path of the photo. */
  readonly photo: string;
  /** The whole text's map. */
  readonly map: HeatMap;
  /** Those of its words. */
  readonly words: readonly WordMap[];
}

/** How pictures are made. */
export interface MapPictureOptions {
  /** Length of their longer side in pixels. @default 384 */
  readonly side?: number;
  /** Photos of more pixels are refused. @default 2^26 */
  readonly maxPixels?: number;
}

/** A picture as a file. */
export interface MapPicture {
  /** "text" of the whole text's map, else number and word: "2-red". */
  readonly name: string;
  /** A PNG file. */
  readonly png: Uint8Array;
}

/**
 * Paints the maps of a text and of its words over a photo, one picture each, that of the text first; colours go up to the largest value
 * of each.
 *
 * @throws {Error} If the photo cannot be read.
 */
export async function mapPictures(
  { photo, map, words }: PhotoMaps,
  { side = 384, maxPixels = 2 ** 26 }: MapPictureOptions = {},
): Promise<MapPicture[]> {
  // Not at import: the decoder is native code, which who only trains on tensors need not permit.
  const { decodeImage, encodePng } = await import("../data/images.ts");
  let image: RgbImage;
  try {
    image = await decodeImage(photo, maxPixels, side);
  } catch (error) {
    throw new Error(`Cannot paint maps over "${photo}": it ${(error as Error).message}`);
  }
  const maps = [{ name: "text", map }, ...words.map(({ word, map }, i) => ({ name: `${i + 1}-${word}`, map }))];
  return await Promise.all(maps.map(async ({ name, map }) => ({ name, png: await encodePng(paintMap(image, map)) })));
}

/**
 * Writes the pictures of {@linkcode mapPictures} into a folder, which is made if there is none.
 *
 * @returns Paths of the files, NAME.png with "_" for what file systems may not take.
 */
export async function writeMapPictures(
  folder: string,
  maps: PhotoMaps,
  options: MapPictureOptions = {},
): Promise<string[]> {
  const pictures = await mapPictures(maps, options), paths: string[] = [];
  await makeFolder(folder);
  for (const { name, png } of pictures) {
    const path = `${folder}/${name.replace(/[^\p{L}\p{N}-]+/gu, "_").slice(0, 40)}.png`;
    await writeFileAtomic(path, png);
    paths.push(path);
  }
  return paths;
}
