/**
 * Scenes with all that is drawn at random for their pictures, and the pictures' files.
 *
 * @module
 */
import type { Random } from "../../random/random.ts";
import { type RelationFact, relationFacts } from "./facts.ts";
import { type Placement, placeObjects, renderPng, sceneSvg } from "./render.ts";
import type { Scene, SceneObject } from "./world.ts";

/** Pictures rendered at once. */
const CONCURRENCY = 6;

/** What is true of one picture: an element of `images` in a file of facts. */
export interface SceneFacts {
  /** The same as in the captions. */
  readonly image_id: number;
  /** The same as in the captions. */
  readonly file_name: string;
  /** The objects, each with its box in pixels: left, top, width, height. */
  readonly objects: readonly (SceneObject & { readonly bbox: readonly number[] })[];
  /** Every relation that holds, in both directions. */
  readonly relations: readonly RelationFact[];
  /** Number of the group, from 0: only in the split "hard", where 8 scenes in a row are one. */
  readonly group?: number;
}

/** How far the writing has come. */
export interface SceneProgress {
  /** Pictures written so far. */
  readonly done: number;
  /** Pictures in all splits together. */
  readonly total: number;
}

/** A scene and its picture, which is not rendered yet. */
export interface Picture {
  /** A whole number, its own among all splits. */
  readonly id: number;
  /** Name of the file. */
  readonly file: string;
  /** What it shows. */
  readonly scene: Scene;
  /** Where each object is. */
  readonly places: readonly Placement[];
  /** How it is drawn. */
  readonly svg: string;
}

/** The picture of a scene, `size` pixels wide and high. */
export function drawPicture(scene: Scene, id: number, random: Random, size: number): Picture {
  const places = placeObjects(scene, random.fork(0));
  const svg = sceneSvg(scene, places, size, random.fork(2));
  return { id, file: `${String(id).padStart(12, "0")}.png`, scene, places, svg };
}

/** What is true of a picture. */
export function pictureFacts({ id, file, scene, places }: Picture, size: number): SceneFacts {
  const box = ({ x, y, radius }: Placement) =>
    [x - radius, y - radius, 2 * radius, 2 * radius].map((part) => Number((part * size).toFixed(2)));
  const objects = scene.map((object, i) => ({ ...object, bbox: box(places[i]!) }));
  return { image_id: id, file_name: file, objects, relations: relationFacts(scene) };
}

/** Renders pictures into a folder, which is made if it is missing. */
export async function writePictures(
  folder: string,
  pictures: readonly Picture[],
  onPicture: () => void,
): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (let start = 0; start < pictures.length; start += CONCURRENCY) {
    await Promise.all(
      pictures.slice(start, start + CONCURRENCY).map(async ({ file, svg }) => {
        await Deno.writeFile(`${folder}/${file}`, await renderPng(svg));
        onPicture();
      }),
    );
  }
}
