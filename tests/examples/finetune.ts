/** Runs of finetune.ts and evaluate.ts in this process, on a few scenes. */
import { main as evaluateMain } from "../../examples/evaluate.ts";
import { main as finetuneMain } from "../../examples/finetune.ts";
import { type TaskSceneFiles, taskSceneFiles, writeTaskScenes } from "../../src/data/scenes/tasks.ts";
import { withFolder } from "../testing/folders.ts";
import { type Printed, printed } from "./pretrain.ts";

/** Runs finetune.ts. */
export function finetune(...args: string[]): Promise<Printed> {
  return printed(finetuneMain, args);
}

/** Runs evaluate.ts. */
export function evaluate(...args: string[]): Promise<Printed> {
  return printed(evaluateMain, args);
}

/** Which files of scenes a task reads. */
export const FILES = {
  retrieval: "captions",
  vqa: "questions",
  nlvr2: "statements",
  entailment: "entailment",
  grounding: "expressions",
} as const;

/** A downstream task. */
export type Task = keyof typeof FILES;

/** A tiny model on images of 16 pixels. */
export const SIZES: readonly string[] = "--resolution 16 --batch 4 --text-length 12 --vocabulary 200 --eval-batch 16"
  .split(" ");

/** 16 scenes for each split. */
export async function withTaskScenes(
  body: (dir: string, files: (split: "train" | "val" | "test") => TaskSceneFiles) => Promise<void>,
): Promise<void> {
  await withFolder(async (dir) => {
    await writeTaskScenes(`${dir}/scenes`, { train: 16, val: 16, test: 16, size: 16 });
    await body(dir, (split) => taskSceneFiles(`${dir}/scenes`, split));
  });
}
