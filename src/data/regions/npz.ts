/**
 * Regions in a folder of `.npz` files, one for each image, as UNITER takes them (Chen et al. 2020): `features` [N, width], `norm_bb` [N, 4 or
 * more] (left, top, right, bottom as shares of the image, then what follows from them), and perhaps `conf` [N] and `soft_labels` [N, classes].
 *
 * @module
 */
import { readNpz } from "../../io/npy.ts";
import { ExampleError } from "../dataset.ts";
import { checkRegions, type Regions, type RegionSource, stemOf } from "./regions.ts";

/**
 * Opens such a folder. The files have the names of the images; the first one in the alphabet tells the sizes.
 *
 * @throws {SyntaxError} If there is no such file or it cannot be read.
 */
export async function openRegionFolder(folder: string): Promise<RegionSource> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) if (name.endsWith(".npz")) names.push(name);
  const first = names.sort()[0];
  if (first === undefined) {
    throw new SyntaxError(`Cannot read "${folder}": it has no .npz file, at least one is needed`);
  }
  const arrays = await read(`${folder}/${first}`);
  const sizes = { width: arrays.features.shape[1]!, classes: arrays.soft?.shape[1] ?? 0 };
  return {
    name: folder,
    ...sizes,
    regions: async (image) => {
      const path = `${folder}/${stemOf(image)}.npz`;
      try {
        return checkRegions(regionsOf(await read(path)), sizes);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) throw new ExampleError(`has no file "${path}"`, image);
        if (error instanceof ExampleError) throw new ExampleError(error.message, path);
        throw error instanceof SyntaxError || error instanceof RangeError
          ? new ExampleError(`cannot be read: ${error.message}`, path)
          : error;
      }
    },
    close: () => {},
  };
}

async function read(path: string) {
  const arrays = await readNpz(path, ["features", "norm_bb", "conf", "soft_labels"]);
  const [features, boxes] = ["features", "norm_bb"].map((name) => {
    const array = arrays.get(name);
    if (array?.shape.length === 2) return array;
    throw new SyntaxError(`Cannot read "${path}": it must have "${name}" of two axes`);
  });
  const soft = arrays.get("soft_labels");
  if (soft && soft.shape.length !== 2) throw new SyntaxError(`Cannot read "${path}": "soft_labels" must have two axes`);
  return { features: features!, boxes: boxes!, confidences: arrays.get("conf"), soft };
}

function regionsOf({ features, boxes, confidences, soft }: Awaited<ReturnType<typeof read>>): Regions {
  const count = features.shape[0]!, [rows, extents] = boxes.shape as [number, number];
  if (rows !== count || extents < 4) {
    throw new ExampleError(
      `has "norm_bb" of (${rows}, ${extents}); 4 numbers or more for each of ${count} regions are expected`,
    );
  }
  const corners = Float32Array.from({ length: 4 * count }, (_, i) => boxes.data[Math.floor(i / 4) * extents + i % 4]!);
  return {
    count,
    boxes: corners,
    features: features.data,
    ...(confidences ? { confidences: confidences.data } : {}),
    ...(soft ? { shares: soft.data } : {}),
  };
}
