/** The downstream tasks by the name that finetune.ts and evaluate.ts take; a new one is a line here. */
import { settings } from "../../mod.ts";
import { entailment } from "./entailment.ts";
import { grounding } from "./grounding.ts";
import { nlvr2 } from "./nlvr2.ts";
import { retrieval } from "./retrieval.ts";
import type { DownstreamTask } from "./task.ts";
import { vqa } from "./vqa.ts";

// deno-lint-ignore no-explicit-any
export type AnyTask = DownstreamTask<any, any>;

export const tasks: Readonly<Record<string, AnyTask>> = { retrieval, vqa, nlvr2, entailment, grounding };

/** The task that a command line begins with. */
export function taskOf(name: string | undefined): AnyTask {
  if (name !== undefined && Object.hasOwn(tasks, name)) return tasks[name]!;
  const found = name === undefined ? "nothing is given" : `it is "${name}"`;
  throw new settings.UsageError(`The first argument must be one of ${Object.keys(tasks).join(", ")}: ${found}`);
}
