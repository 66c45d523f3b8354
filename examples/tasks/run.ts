/** The settings of a run of finetune.ts. */
import { readSettingsFile, settings } from "../../mod.ts";
import { demoPreset, type Tuning, tuningFields } from "../finetune_settings.ts";
import type { AnyTask } from "./mod.ts";
import { OF_THE_MODEL, type Origin, originOf } from "./origin.ts";
import type { Values } from "./task.ts";

/** The settings of a run. */
export interface Run {
  readonly options: Tuning;
  readonly values: Values;
  readonly fields: settings.Fields;
  /** The settings as a file that repeats the run. */
  readonly text: string;
  readonly resumable: settings.SettingsRecord;
  /** Where the parameters come from. */
  readonly init: Origin | undefined;
}

/** Reads the settings: flags win over the file, and that over what the run says whose checkpoint is the start. */
export async function readRun(task: AnyTask, args: readonly string[]): Promise<Run> {
  const fields = tuningFields(task), path = settings.peek(fields, "config", { args });
  const file = path === undefined ? undefined : await readSettingsFile(path);
  const given = settings.peek(fields, "init", { args, file });
  const init = given === undefined ? undefined : await originOf(given, "init");
  const out = settings.peek(fields, "out", { args, file }), isDemo = settings.peek(fields, "demo", { args });
  const preset = { ...(isDemo ? demoPreset(task, out) : {}), ...await init?.preset(OF_THE_MODEL) };
  const values = settings.readSettings(fields, { args, file, preset });
  if (init && !values.tokenizer) {
    throw new settings.UsageError("--tokenizer is missing: give the one that the model of --init was trained with");
  }
  return {
    options: values as Tuning,
    values,
    fields,
    text: settings.settingsText(fields, values),
    resumable: settings.resumable(fields, values),
    init,
  };
}
