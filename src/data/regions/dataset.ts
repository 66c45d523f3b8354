/**
 * Captions with the regions of their images.
 *
 * @module
 */
import type { CaptionDataset, CaptionPair } from "../caption_pairs.ts";
import type { Dataset } from "../dataset.ts";
import { openRegionFolder } from "./npz.ts";
import type { Regions, RegionSource } from "./regions.ts";
import { openRegionTsv } from "./tsv.ts";

/** An image's regions and one caption. */
export interface RegionPair extends CaptionPair {
  /** What is looked at in the place of pixels. */
  readonly regions: Regions;
}

/** Opens a `.tsv` file or a folder of `.npz` files; see {@linkcode openRegionTsv} and {@linkcode openRegionFolder}. */
export async function openRegions(path: string, classes?: number): Promise<RegionSource> {
  return /\.tsv$/i.test(path) ? await openRegionTsv(path, classes) : await openRegionFolder(path);
}

/** A data set of captions whose images are looked at as regions; no image is opened. */
export function withRegions(dataset: CaptionDataset, source: RegionSource): Dataset<RegionPair> {
  const { name, length, skipped } = dataset;
  return {
    name,
    length,
    skipped,
    example: async (index, random) => {
      const pair = dataset.example(index, random);
      return { ...pair, regions: await source.regions(pair.images[0].path) };
    },
  };
}
