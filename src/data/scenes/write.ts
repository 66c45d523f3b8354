/**
 * Scenes on disk, in the layout of COCO captions.
 *
 * @module
 */

import { writeFileAtomic } from "../../io/atomic.ts";
import { Random } from "../../random/random.ts";
import { drawHardScenes, GROUP, HARD, type HardScene } from "./hard.ts";
import { captionScene } from "./language.ts";
import { claimFolder, finishFolder, sceneManifest } from "./manifest.ts";
import { resolveSceneOptions, type SceneOptions } from "./options.ts";
import {
  drawPicture,
  type Picture,
  pictureFacts,
  type SceneFacts,
  type SceneProgress,
  writePictures,
} from "./pictures.ts";
import { swapCaptions, SWAPS } from "./swaps.ts";
import { drawScenes, type Scene, type SceneSplit, SPLITS } from "./world.ts";

/** Where the parts of one split are. */
export interface SceneFiles {
  /** JSON in the format of COCO captions. */
  readonly captions: string;
  /** Folder of the pictures. */
  readonly images: string;
  /** JSON of objects, attributes and relations of every picture. */
  readonly facts: string;
  /** Regions as bottom-up attention writes them; there once `writeSceneRegions` has made it. */
  readonly regions: string;
}

/** The paths of one split in a folder of scenes. */
export function sceneFiles(folder: string, split: SceneSplit): SceneFiles {
  return {
    captions: `${folder}/annotations/captions_${split}.json`,
    images: `${folder}/${split}`,
    facts: `${folder}/annotations/facts_${split}.json`,
    regions: `${folder}/annotations/regions_${split}.tsv`,
  };
}

/**
 * Makes a set of scenes: PNG pictures in a folder for each split, their captions in the format of COCO captions, and their facts. No
 * scene is in two splits or twice in one. With `swapped` some training pictures have each other's captions. With `hard` there is a fourth split of that name: groups of 8 scenes, one and 7 that differ from
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
  if (!await claimFolder(folder, sceneManifest(resolved))) return false;
  const total = seen.length + groups.length;
  await Deno.mkdir(`${folder}/annotations`, { recursive: true });
  let done = 0, firstId = 0;
  const writeSplit = async (split: SceneSplit, scenes: readonly DescribedScene[]) => {
    await writeAnnotations(sceneFiles(folder, split), scenes, resolved);
    await writePictures(sceneFiles(folder, split).images, scenes, () => {
      done++;
      onProgress?.({ done, total });
    });
    firstId += scenes.length;
  };
  for (const split of SPLITS) await writeSplit(split, describeSplit(splits[split], split, firstId, resolved));
  if (hard) await writeSplit("hard", describeGroups(groups, firstId, resolved));
  await finishFolder(folder, sceneManifest(resolved));
  return true;
}

/** A picture with its captions. */
interface DescribedScene extends Picture {
  readonly captions: readonly string[];
  readonly group?: number;
}

/** The scenes of a split; of the training split some may have each other's captions. */
function describeSplit(
  scenes: readonly Scene[],
  split: typeof SPLITS[number],
  firstId: number,
  options: Required<SceneOptions>,
): DescribedScene[] {
  const described = describeScenes(scenes, split, firstId, options), { swapped, seed } = options;
  return split === "train" ? swapCaptions(described, swapped, new Random(seed).fork(SWAPS)) : described;
}

function describeScenes(
  scenes: readonly Scene[],
  split: typeof SPLITS[number],
  firstId: number,
  { seed, size, captions }: Required<SceneOptions>,
): DescribedScene[] {
  return scenes.map((scene, index) => {
    const random = new Random(seed).fork(SPLITS.indexOf(split), index);
    return {
      ...drawPicture(scene, firstId + index, random, size),
      captions: captionScene(scene, captions, random.fork(1)),
    };
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
    return { ...drawPicture(scene, firstId + index, random, size), captions, group };
  });
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
  const facts = scenes.map((scene): SceneFacts => ({
    ...pictureFacts(scene, size),
    ...(scene.group === undefined ? {} : { group: scene.group }),
  }));
  await writeFileAtomic(files.captions, JSON.stringify({ images, annotations }));
  await writeFileAtomic(files.facts, JSON.stringify({ images: facts }));
}
