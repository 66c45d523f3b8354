/**
 * Scenes on disk for the downstream tasks, with all answers known.
 *
 * @module
 */
import { writeFileAtomic } from "../../io/atomic.ts";
import { Random } from "../../random/random.ts";
import { claimFolder, finishFolder } from "./manifest.ts";
import { resolveSceneOptions, type SceneOptions } from "./options.ts";
import { drawPicture, type SceneProgress, writePictures } from "./pictures.ts";
import { possibleAnswers } from "./questions.ts";
import { detect, type Split, taskRows } from "./task_rows.ts";
import { drawScenes, type SceneSplit, SPLITS } from "./world.ts";

/** Options of scenes for tasks. */
export type TaskSceneOptions = Omit<SceneOptions, "hard" | "swapped">;

/** Where the parts of one split are. */
export interface TaskSceneFiles {
  /** Folder of the pictures of all splits. */
  readonly images: string;
  /** Captions for retrieval, in ALBEF's format: an entry for each picture. */
  readonly captions: string;
  /** Questions in ALBEF's format, with the fields `question_type` and `answer_type` of VQA v2. */
  readonly questions: string;
  /** All answers that questions can have: a list, the same for all splits. */
  readonly answers: string;
  /** Statements about two pictures in ALBEF's format, with NLVR2's identifiers. */
  readonly statements: string;
  /** Sentences for visual entailment in ALBEF's format. */
  readonly entailment: string;
  /** Referring expressions in ALBEF's format, with boxes. */
  readonly expressions: string;
  /** Boxes of all objects of all splits, each a little off. */
  readonly detections: string;
  /** Objects and relations of every picture, as `writeScenes` writes them. */
  readonly facts: string;
}

/** The paths of one split in a folder of scenes for tasks. */
export function taskSceneFiles(folder: string, split: Exclude<SceneSplit, "hard">): TaskSceneFiles {
  return {
    images: `${folder}/images`,
    captions: `${folder}/captions-${split}.json`,
    questions: `${folder}/questions-${split}.json`,
    answers: `${folder}/answers.json`,
    statements: `${folder}/statements-${split}.json`,
    entailment: `${folder}/entailment-${split}.json`,
    expressions: `${folder}/expressions-${split}.json`,
    detections: `${folder}/detections.json`,
    facts: `${folder}/facts-${split}.json`,
  };
}

/** Number of the detections' random stream, after those of the splits. */
const DETECTIONS = 4;

/** The fewest pictures of a split: statements compare different ones. */
const FEWEST = 16;

/**
 * Makes a set of scenes for the downstream tasks: pictures, and for each of the splits
 *
 * - captions;
 * - questions of four types (existence, count, colour, relation), about one of each type for a picture;
 * - true and false statements about two pictures, four pairs of pictures for a sentence, two for a picture;
 * - sentences that follow, contradict, or are about something that is not drawn, about three for a picture;
 * - expressions that refer to objects, one for every object, with the object's box.
 *
 * A text alone tells next to nothing. Measured on 2,000 training and 256 test scenes of the defaults: of the test questions 25 %
 * are answered by "no", the most frequent answer, and 36 % by the most frequent answer to each text in training (existence 50,
 * count 32, colour 13, relation 50); of the statements 50 % and 50 %; of the entailment sentences 33 % and 33 %. A detected box
 * at random is right for 40 % of the expressions, the largest one too; an object's box covers 6 % of the picture.
 *
 * With the same seed, kinds of objects and numbers of held-out scenes, the scenes of a split are the first of the same split of
 * `writeScenes`: what is held out here is in no training there. What is written follows from the options alone; a folder that
 * already holds these scenes is left as it is, one that was left unfinished is written again.
 *
 * @returns Whether the scenes had to be written.
 * @throws {RangeError} If an option is outside its range, a split has fewer than 16 scenes but some, or the world has too few.
 * @throws {Error} If the folder holds anything else.
 */
export async function writeTaskScenes(
  folder: string,
  options: TaskSceneOptions = {},
  onProgress?: (progress: SceneProgress) => void,
): Promise<boolean> {
  const { hard: _, swapped: __, ...resolved } = resolveSceneOptions({ ...options, hard: 0, swapped: 0 });
  const { train, val, test, ...world } = resolved, counts = { train, val, test };
  for (const split of SPLITS) {
    if (counts[split] === 0 || counts[split] >= FEWEST) continue;
    throw new RangeError(`Cannot make scenes: "${split}" is ${counts[split]}, but it must be 0 or at least ${FEWEST}`);
  }
  const scenes = drawScenes({ ...world, counts });
  const manifest = { format: "gritstone-task-scenes", version: 1, ...resolved };
  if (!await claimFolder(folder, manifest)) return false;
  let firstId = 0;
  const splits = SPLITS.filter((split) => counts[split]).map((split): Split => {
    const random = new Random(world.seed).fork(SPLITS.indexOf(split));
    const pictures = scenes[split].map((scene, i) => drawPicture(scene, firstId + i, random.fork(i), world.size));
    firstId += pictures.length;
    return { ...world, split, pictures, random };
  });
  const all = splits.flatMap(({ pictures }) => pictures), random = new Random(world.seed).fork(DETECTIONS);
  const write = (path: string, rows: unknown) => writeFileAtomic(path, JSON.stringify(rows));
  for (const part of splits) {
    const files = taskSceneFiles(folder, part.split);
    for (const [name, rows] of Object.entries(taskRows)) await write(files[name as keyof typeof taskRows], rows(part));
  }
  const { answers, detections, images } = taskSceneFiles(folder, "train");
  await write(answers, possibleAnswers(world));
  await write(detections, Object.fromEntries(all.map((p) => [p.id, detect(p, world.size, random.fork(p.id))])));
  let done = 0;
  await writePictures(images, all, () => onProgress?.({ done: ++done, total: all.length }));
  await finishFolder(folder, manifest);
  return true;
}
