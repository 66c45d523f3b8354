/** What a run of finetune.ts trains on what: data, tokenizer, model, objective. */
import {
  type AlbefConfig,
  type Example,
  ProgressLine,
  type RecipeObjective,
  settings,
  type Tokenizer,
  writeTaskScenes,
} from "../../mod.ts";
import { lengthOf, modelConfig, openTokenizer, setupOf } from "../_run.ts";
import { sceneFolder, type Tuning } from "../finetune_settings.ts";
import { type Entries, splitImages } from "./hold_out.ts";
import type { AnyTask } from "./mod.ts";
import type { Run } from "./run.ts";
import type { Before, Files, Values } from "./task.ts";

type AnyDataset = Entries<Example>;

/** An objective, whatever its model and mini-batches are. */
// deno-lint-ignore no-explicit-any
export type AnyObjective = RecipeObjective<any, any, any, any>;

/** What is trained on what. */
export interface Job {
  readonly run: Run;
  readonly task: AnyTask;
  readonly training: AnyDataset;
  readonly val: AnyDataset | undefined;
  readonly test: AnyDataset | undefined;
  /** Values of the settings, and what the training data says. */
  readonly values: Values;
  readonly tokenizer: Tokenizer;
  readonly config: AlbefConfig;
  readonly objective: AnyObjective;
  /** The same for mini-batches of another size. */
  objectiveOf(batch: number): AnyObjective;
  readonly steps: number;
  /** What is trained before. */
  readonly before: Before & { readonly objective: AnyObjective } | undefined;
}

export async function openJob(task: AnyTask, run: Run): Promise<Job> {
  const { options } = run, splits = await openSplits(task, run), { training } = splits;
  const values = await task.prepare?.(run.values, training) ?? run.values,
    before = await task.before?.(values, training);
  const texts = function* (): Generator<string> {
    yield* task.texts(training);
    if (before) yield* before.texts();
  };
  const tokenizer = await openTokenizer(options, texts), config = modelConfig(options, tokenizer);
  const { steps, perEpoch } = lengthOf(options, training.length);
  const setup = { ...setupOf(options, config, perEpoch), tokenizer };
  const objectiveOf = (batch: number): AnyObjective => task.objective({ ...setup, batch }, values);
  return {
    ...{ run, task, ...splits, values, tokenizer, config, objective: objectiveOf(options.batch), objectiveOf, steps },
    before: before && { ...before, objective: before.objectiveOf(setup) },
  };
}

/** The three splits, as far as they are given. */
async function openSplits(task: AnyTask, { options, values }: Run) {
  const { data, images, split, annotations, onError, outside } = options;
  if (options.demo) await drawScenes(options);
  if (!data.length) throw new settings.UsageError(`--data is missing: give files of ${task.files}`);
  const open = (files: GivenFiles, use: "train" | "evaluate"): Promise<AnyDataset> =>
    task.open({ ...files, onError, outside }, use, values);
  const { valData, valImages, valSplit, valAnnotations, testData, testImages, testSplit, testAnnotations } = options;
  const own = given(data, images, split, annotations), all = await open(own, "train");
  if (options.select === "test" && !testData.length) {
    throw new settings.UsageError("--select test needs --test-data: none is given");
  }
  const test = testData.length
    ? await open(given(testData, testImages, testSplit, testAnnotations), "evaluate")
    : undefined;
  if (valData.length) {
    return { training: all, val: await open(given(valData, valImages, valSplit, valAnnotations), "evaluate"), test };
  }
  if (!options.holdOut) return { training: all, val: undefined, test };
  const [training, held] = splitImages(all, options.holdOut, options.seed);
  return { training, val: held(await open(own, "evaluate")), test };
}

async function drawScenes({ out, scenes: train, heldOutScenes, seed }: Tuning): Promise<void> {
  const line = new ProgressLine(), held = { val: heldOutScenes, test: heldOutScenes };
  await writeTaskScenes(sceneFolder(out), { train, ...held, seed }, ({ done, total }) => {
    if (done % 64 === 0 || done === total) line.show(`drawing scenes ${done}/${total}`);
  });
  line.end();
}

type GivenFiles = Omit<Files, "onError" | "outside">;

/** Files without what is not given. */
function given(
  data: readonly string[],
  images: string | undefined,
  split: string | undefined,
  annotations: readonly string[],
): GivenFiles {
  return {
    data,
    ...(images ? { images } : {}),
    ...(split ? { split } : {}),
    ...(annotations.length ? { annotations } : {}),
  };
}
