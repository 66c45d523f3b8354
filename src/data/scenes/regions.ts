/**
 * Regions of scenes, as a detector might have found them: the objects' attributes with noise.
 *
 * @module
 */
import { writeFileAtomic } from "../../io/atomic.ts";
import { Random } from "../../random/random.ts";
import type { SceneFacts } from "./pictures.ts";
import { COLORS, SHAPES, SIZES } from "./world.ts";

/** Names of the classes of scenes' regions: their shapes. */
export const SCENE_REGION_CLASSES: readonly string[] = SHAPES;

/** Options of {@linkcode writeSceneRegions}. */
export interface SceneRegionOptions {
  /** Decides on the noise. @default 0 */
  readonly seed?: number;
  /** Standard deviation of the features' noise; attributes are 0 or 1. @default 0.2 */
  readonly noise?: number;
  /** Width and height of the pictures in pixels. @default 64 */
  readonly size?: number;
}

/** The number of the random stream, apart from those of the splits. */
const STREAM = 5;

/**
 * Writes the regions of a split in LXMERT's 10 columns: a region for each object, its box moved a little, its feature a place for each of
 * the 8 shapes, 8 colours and 2 sizes (1 where it is so, else 0) and normal noise on top; its class is the shape, its attribute the colour.
 *
 * @param files Those of `sceneFiles`.
 * @returns The path of what was written.
 */
export async function writeSceneRegions(
  files: { readonly facts: string; readonly regions: string },
  { seed = 0, noise = 0.2, size = 64 }: SceneRegionOptions = {},
): Promise<string> {
  const { images } = JSON.parse(await Deno.readTextFile(files.facts)) as { images: SceneFacts[] };
  const root = new Random(seed).fork(STREAM);
  const line = ({ image_id, objects }: SceneFacts): string => {
    const random = root.fork(image_id), count = objects.length;
    const features = objects.flatMap(({ shape, color, size }) =>
      [...SHAPES.map((s) => s === shape), ...COLORS.map((c) => c === color), ...SIZES.map((s) => s === size)]
        .map((is) => Number(is) + noise * random.normal())
    );
    const boxes = objects.flatMap(({ bbox }) => {
      const [left, top, width, height] = bbox as [number, number, number, number];
      const moved = (at: number): number => Math.min(Math.max(at + 0.05 * width * random.normal(), 0), size);
      const [x, y] = [moved(left), moved(top)];
      return [x, y, Math.min(x + width, size), Math.min(y + height, size)];
    });
    const sure = Float32Array.from({ length: count }, () => random.uniform(0.5, 1));
    return [
      `${image_id}`,
      `${size}`,
      `${size}`,
      base64(BigInt64Array.from(objects, ({ shape }) => BigInt(SHAPES.indexOf(shape)))),
      base64(sure),
      base64(BigInt64Array.from(objects, ({ color }) => BigInt(COLORS.indexOf(color)))),
      base64(sure),
      `${count}`,
      base64(Float32Array.from(boxes)),
      base64(Float32Array.from(features)),
    ].join("\t");
  };
  await writeFileAtomic(files.regions, images.map((image) => `${line(image)}\n`).join(""));
  return files.regions;
}

function base64(values: Float32Array | BigInt64Array): string {
  return btoa(String.fromCharCode(...new Uint8Array(values.buffer)));
}
