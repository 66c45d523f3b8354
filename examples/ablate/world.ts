/** What the ablations learn: scenes that are made, or photos that you have; all that every run of a world shares. */
import {
  type AlbefConfig,
  buildTokenizer,
  type CaptionDataset,
  configs,
  type ImageOptions,
  openDataset,
  type RetrievalSet,
  retrievalSet,
  sceneFiles,
  type SceneOptions,
  sceneTruth,
  type Tokenizer,
  writeScenes,
} from "../../mod.ts";
import type { WorldName } from "./result.ts";
import type { Truth } from "./truth.ts";

/** Sizes of a world and the budget that each of its runs has. */
export interface Budget {
  readonly batch: number;
  /** The search space M and the queue L of GRIT. */
  readonly subQueue: number;
  readonly queue: number;
  readonly epochs: number;
  readonly lr: number;
  /** Epochs of the common start. */
  readonly startEpochs: number;
  /** Training scenes; photos are as many as there are. */
  readonly scenes: number;
  /** What scenes are made of. */
  readonly kinds: Pick<SceneOptions, "objects" | "colors" | "shapes" | "twins">;
  /** Pixels of a side of scenes and of their patches, in place of those of `tiny`. */
  readonly patches?: Pick<AlbefConfig["vision"], "resolution" | "patch">;
  /** Images of the usual split, and groups of 8 near-duplicates of the hard one. */
  readonly candidates: number;
  readonly groups: number;
  /** Candidates that the matching head re-ranks. */
  readonly shortlist: number;
}

const scenes: Budget = {
  batch: 64,
  subQueue: 640,
  queue: 1920,
  epochs: 5,
  lr: 2e-3,
  startEpochs: 10,
  scenes: 6144,
  kinds: {},
  candidates: 256,
  groups: 64,
  shortlist: 16,
};

/** The budgets; `times` is what `ablate time` takes, and `quick` shows that everything runs, its figures mean nothing. */
export const budgets: Readonly<Record<WorldName | "times" | "quick", Budget>> = {
  scenes,
  // Wrong captions harm a model that has had the time to learn them by heart: fewer scenes, more often, and one patch to a cell of
  // their grid, by which everything is learnt in fewer steps.
  noisy: { ...scenes, scenes: 3072, startEpochs: 30, epochs: 12, patches: { resolution: 66, patch: 22 } },
  dense: { ...scenes, kinds: { colors: 3, shapes: 3 } },
  photos: {
    batch: 64,
    subQueue: 640,
    queue: 1920,
    epochs: 10,
    lr: 1e-3,
    startEpochs: 5,
    scenes: 0,
    kinds: {},
    candidates: 1000,
    groups: 0,
    shortlist: 32,
  },
  times: {
    batch: 32,
    subQueue: 160,
    queue: 320,
    epochs: 3,
    lr: 2e-3,
    startEpochs: 1,
    scenes: 320,
    kinds: {},
    candidates: 16,
    groups: 2,
    shortlist: 4,
  },
  quick: {
    batch: 8,
    subQueue: 16,
    queue: 32,
    epochs: 2,
    lr: 2e-3,
    startEpochs: 1,
    scenes: 64,
    kinds: {},
    candidates: 16,
    groups: 2,
    shortlist: 4,
  },
};

/** Share of the training pictures of the noisy world that have the captions of another. */
const SWAPPED = 0.3;

/** Near-duplicates in a group of the hard split. */
export const GROUP = 8;

/** Data, sizes and evaluation that all runs of a world share. */
export interface World {
  readonly name: WorldName;
  readonly budget: Budget;
  readonly training: CaptionDataset;
  readonly tokenizer: Tokenizer;
  readonly config: AlbefConfig;
  readonly textLength: number;
  readonly view: ImageOptions;
  /** Held-out images and texts. */
  readonly usual: RetrievalSet;
  /** Held-out groups of near-duplicates, one after the other. */
  readonly hard?: RetrievalSet;
  /** Whether a caption is true of a training image, where that is known. */
  readonly truth?: Truth;
}

/** Scenes, made in `folder` unless they are there; `noisy` ones have captions of each other. */
export async function scenesWorld(name: Exclude<WorldName, "photos">, folder: string, budget: Budget): Promise<World> {
  const counts = { train: budget.scenes, val: 0, test: budget.candidates, hard: budget.groups };
  await writeScenes(folder, { ...counts, ...budget.kinds, ...(name === "noisy" ? { swapped: SWAPPED } : {}), seed: 1 });
  const open = async (split: "train" | "test" | "hard"): Promise<CaptionDataset> => {
    const { captions, images } = sceneFiles(folder, split);
    return await openDataset({ data: [captions], images, groupBy: "image" });
  };
  const training = await open("train"), tokenizer = learned(training, 256), { tiny } = configs;
  const config = sized({ ...tiny, vision: { ...tiny.vision, ...budget.patches } }, tokenizer), textLength = 24;
  const set = { resolution: config.vision.resolution, maxLength: textLength, captions: 1 };
  return {
    name,
    budget,
    training,
    tokenizer,
    config,
    textLength,
    view: { resolution: config.vision.resolution, transform: "train", cropArea: null, flip: false, randAugment: false },
    usual: retrievalSet(await open("test"), tokenizer, set),
    hard: retrievalSet(await open("hard"), tokenizer, set),
    truth: await sceneTruth(sceneFiles(folder, "train")),
  };
}

/** Photos with captions: `folder` holds train.json, dev.json and images/. */
export async function photosWorld(folder: string, budget: Budget): Promise<World> {
  const open = async (name: string): Promise<CaptionDataset> =>
    await openDataset({ data: [`${folder}/${name}.json`], images: `${folder}/images`, groupBy: "image" });
  const training = await open("train"), tokenizer = learned(training, 2048), config = sized(configs.small, tokenizer);
  const textLength = 25, { resolution } = config.vision;
  const usual = retrievalSet(await open("dev"), tokenizer, { resolution, maxLength: textLength });
  return {
    name: "photos",
    budget,
    training,
    tokenizer,
    config,
    textLength,
    view: { resolution, transform: "train", randAugment: false },
    usual,
  };
}

function learned(training: CaptionDataset, size: number): Tokenizer {
  return buildTokenizer(Array.from({ length: training.length }, (_, i) => training.entry(i).captions).flat(), { size });
}

function sized(base: AlbefConfig, tokenizer: Tokenizer): AlbefConfig {
  const vocabulary = Math.ceil(tokenizer.vocabularySize / 4) * 4;
  return { ...base, text: { ...base.text, vocabulary, padId: tokenizer.padId } };
}
