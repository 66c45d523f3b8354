/**
 * Scenes on disk, in the layout of COCO captions.
 *
 * @module
 */

import { writeFileAtomic } from "../../io/atomic.ts";
import { Random } from "../../random/random.ts";
import { type RelationFact, relationFacts } from "./facts.ts";
import { drawHardScenes, GROUP, HARD, type HardScene } from "./hard.ts";
import { captionScene } from "./language.ts";
import { claimFolder, finishFolder } from "./manifest.ts";
import { resolveSceneOptions, type SceneOptions } from "./options.ts";
import { type Placement, placeObjects, renderPng, sceneSvg } from "./render.ts";
import { drawScenes, type Scene, type SceneObject, type SceneSplit, SPLITS } from "./world.ts";

/** Pictures rendered at once. */
const CONCURRENCY = 6;

/** Where the parts of one split are. */
export interface SceneFiles {
  /** JSON in the format of COCO captions. */
  readonly captions: string;
  /** Folder of the pictures. */
  readonly images: string;
  /** JSON of objects, attributes and relations of every picture. */
  readonly facts: string;
}

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

/** The paths of one split in a folder of scenes. */
export function sceneFiles(folder: string, split: SceneSplit): SceneFiles {
  return {
    captions: `${folder}/annotations/captions_${split}.json`,
    images: `${folder}/${split}`,
    facts: `${folder}/annotations/facts_${split}.json`,
  };
}

/**
 * Makes a set of scenes: PNG pictures in a folder for each split, their captions in the format of COCO captions, and their facts. No
 * scene is in two splits or twice in one. With `hard` there is a fourth split of that name: groups of 8 scenes, one and 7 that differ from
 * it by one attribute of one object or by two objects that have exchanged places, on the same background, with captions that are true of
 * no other scene of the group. The other splits are the same with and without it. What is written follows from the options alone; a folder that already holds these scenes is
 * left as it is, one that was left unfinished is written again.
 *
 * @returns Whether the scenes had to be written.
 * @throws {RangeError} If an option is outside its range or the world has too few scenes.
 * @throws {Error} If the folder holds anything else.
 */
export async function writeScenes(
  folder: string,
  options: SceneOptions = {},
  onProgress?: (progress: SceneProgress) => void,
): Promise<boolean> {
  const resolved = resolveSceneOptions(options);
  const { train, val, test, hard, captions, ...world } = resolved;
  const splits = drawScenes({ ...world, counts: { train, val, test, hard: hard * GROUP } });
  const seen = SPLITS.flatMap((split) => splits[split]);
  const groups = drawHardScenes({ ...world, groups: hard, captions, seen });
  if (!await claimFolder(folder, resolved)) return false;
  const total = seen.length + groups.length;
  await Deno.mkdir(`${folder}/annotations`, { recursive: true });
  let done = 0, firstId = 0;
  const writeSplit = async (split: SceneSplit, scenes: readonly DescribedScene[]) => {
    await writeAnnotations(sceneFiles(folder, split), scenes, resolved);
    await writeImages(sceneFiles(folder, split).images, scenes, () => {
      done++;
      onProgress?.({ done, total });
    });
    firstId += scenes.length;
  };
  for (const split of SPLITS) await writeSplit(split, describeScenes(splits[split], split, firstId, resolved));
  if (hard) await writeSplit("hard", describeGroups(groups, firstId, resolved));
  await finishFolder(folder, resolved);
  return true;
}

/** A scene with all that is drawn at random for its picture and its captions. */
interface DescribedScene {
  readonly id: number;
  readonly file: string;
  readonly scene: Scene;
  readonly places: readonly Placement[];
  readonly captions: readonly string[];
  readonly svg: string;
  readonly group?: number;
}

function describeScenes(
  scenes: readonly Scene[],
  split: typeof SPLITS[number],
  firstId: number,
  { seed, size, captions }: Required<SceneOptions>,
): DescribedScene[] {
  return scenes.map((scene, index) => {
    const random = new Random(seed).fork(SPLITS.indexOf(split), index);
    return describe(scene, firstId + index, random, size, captionScene(scene, captions, random.fork(1)));
  });
}

/** The scenes of a group are drawn with the same random numbers: their pictures differ in nothing else. */
function describeGroups(
  scenes: readonly HardScene[],
  firstId: number,
  { seed, size }: Required<SceneOptions>,
): DescribedScene[] {
  return scenes.map(({ scene, captions }, index) => {
    const group = Math.floor(index / GROUP), random = new Random(seed).fork(HARD, group);
    return { ...describe(scene, firstId + index, random, size, captions), group };
  });
}

function describe(
  scene: Scene,
  id: number,
  random: Random,
  size: number,
  captions: readonly string[],
): DescribedScene {
  const places = placeObjects(scene, random.fork(0));
  const svg = sceneSvg(scene, places, size, random.fork(2));
  return { id, file: `${String(id).padStart(12, "0")}.png`, scene, places, captions, svg };
}

async function writeAnnotations(
  files: SceneFiles,
  scenes: readonly DescribedScene[],
  { size, captions }: Required<SceneOptions>,
): Promise<void> {
  const images = scenes.map(({ id, file }) => ({ id, file_name: file, width: size, height: size }));
  const annotations = scenes.flatMap((scene) =>
    scene.captions.map((caption, i) => ({ id: scene.id * captions + i, image_id: scene.id, caption }))
  );
  await writeFileAtomic(files.captions, JSON.stringify({ images, annotations }));
  await writeFileAtomic(files.facts, JSON.stringify({ images: scenes.map((scene) => sceneFacts(scene, size)) }));
}

function sceneFacts({ id, file, scene, places, group }: DescribedScene, size: number): SceneFacts {
  const box = ({ x, y, radius }: Placement) =>
    [x - radius, y - radius, 2 * radius, 2 * radius].map((part) => Number((part * size).toFixed(2)));
  const objects = scene.map((object, i) => ({ ...object, bbox: box(places[i]!) }));
  return {
    image_id: id,
    file_name: file,
    objects,
    relations: relationFacts(scene),
    ...(group === undefined ? {} : { group }),
  };
}

async function writeImages(folder: string, scenes: readonly DescribedScene[], onImage: () => void): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (let start = 0; start < scenes.length; start += CONCURRENCY) {
    await Promise.all(
      scenes.slice(start, start + CONCURRENCY).map(async ({ file, svg }) => {
        await Deno.writeFile(`${folder}/${file}`, await renderPng(svg));
        onImage();
      }),
    );
  }
}
