/** The settings of finetune.ts: those that all tasks share, and those of the task. */
import { settings, taskSceneFiles } from "../mod.ts";
import {
  help,
  inputFields,
  modelFields,
  optimizationFields,
  reportFields,
  startFields,
  withUsual,
} from "./_settings.ts";
import type { AnyTask } from "./tasks/mod.ts";

const { count, fields, group, list, none, oneOf, share, text, toggle } = settings;

const free = { resume: "free" } as const;

/** Files of one split, by the beginning of their flags. */
const split = (meaning: string, options: settings.FieldOptions) => ({
  data: list([], `files of ${meaning}`, options), // their content is compared, not their paths
  images: text(none, "folder that their image paths are relative to", options),
  split: text(none, 'entries of this "split" of the files alone, several joined by +', options),
  annotations: list([], "answers to VQA v2's questions", options),
});

const training = split("the training examples", free), val = split("the examples that select the model", free);
const test = split("the examples that the selected model is tested on", free);

const shared = fields({
  ...group("Data", {
    ...training,
    valData: val.data,
    valImages: val.images,
    valSplit: val.split,
    valAnnotations: val.annotations,
    holdOut: share(0, "share of the training images that select the model where there is no --val-data", free),
    testData: test.data,
    testImages: test.images,
    testSplit: test.split,
    testAnnotations: test.annotations,
    ...inputFields,
  }),
  ...group("Model", {
    ...modelFields,
    init: text(none, "checkpoint to start from (safetensors or .pth with ALBEF's names), or the folder of a run"),
  }),
  ...group("Optimization", { batch: count(32, "mini-batch", { paper: "32", min: 2 }), ...optimizationFields }),
  ...group("Run", {
    out: text("runs/finetune", "folder for checkpoints, settings, tokenizer and metrics", free),
    ...reportFields,
    evalBatch: count(64, "examples that are evaluated at a time", { min: 1, ...free }),
    select: oneOf(
      ["val", "last", "test"],
      "val",
      "which model is the result: the best on --val-data, or the last; test: the best on --test-data, as the official code does, which makes its figures too good",
      { paper: "test" },
    ),
    scenes: count(1024, "training scenes of the demo", { min: 16 }),
    heldOutScenes: count(256, "validation scenes of the demo, and as many to test on", { min: 16 }),
    ...startFields,
    demo: toggle(false, "make a small world of scenes first and learn the task there", { once: true }),
    help,
  }),
});

export type Tuning = settings.Values<typeof shared>;

/** What the paper's fine-tuning has in common. */
const PAPER = { resolution: "384", minLr: "1e-6", warmup: "400" };

/** All settings of a task. */
export function tuningFields({ usual, paper, training, evaluation }: AnyTask) {
  return settings.fields({
    ...withUsual(shared, usual as Partial<Tuning>, { ...PAPER, ...paper }),
    ...group("Task", training),
    ...group("Evaluation", evaluation),
  });
}

/** Where the demo's scenes are, in the folder of the run. */
export function sceneFolder(out: string): string {
  return `${out}/scenes`;
}

/** What `--demo` sets unless a flag or file says otherwise. */
export function demoPreset({ demo }: AnyTask, out: string): Partial<Tuning> {
  const [train, val, test] = (["train", "val", "test"] as const).map((split) =>
    taskSceneFiles(sceneFolder(out), split)
  );
  const { images } = train!;
  return {
    data: [train![demo.files]],
    images,
    valData: [val![demo.files]],
    valImages: images,
    testData: [test![demo.files]],
    testImages: images,
    textLength: 24,
    augment: "none",
    ...demo.preset?.(train!),
  };
}
