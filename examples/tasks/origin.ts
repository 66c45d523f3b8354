/** Where parameters come from: a checkpoint's file, or the folder of a run with its settings and tokenizer. */
import { listCheckpoints, readSettingsFile, settings } from "../../mod.ts";
import { isFile } from "../_run.ts";

/** A checkpoint. */
export interface Origin {
  /** Its file. */
  readonly path: string;
  /** What the run that made it says of the model, for settings that are not given. */
  readonly preset: Readonly<Record<string, unknown>>;
}

/** Settings of a run that its model cannot do without. */
const OF_THE_MODEL = ["model", "patch", "sep"];

/** A file, or a run's best checkpoint, or its newest. @throws {UsageError} If there is none. */
export async function originOf(given: string): Promise<Origin> {
  const folder = await isFile(given) ? given.replace(/[^/\\]*$/, "") || "." : given.replace(/[/\\]+$/, "");
  const path = folder === given.replace(/[/\\]+$/, "") ? await checkpointIn(folder) : given;
  const tokenizer = `${folder.replace(/[/\\]+$/, "")}/tokenizer.json`,
    file = tokenizer.replace(/tokenizer\.json$/, "settings.json");
  const { values } = await isFile(file) ? await readSettingsFile(file) : { values: {} as Record<string, unknown> };
  const names = OF_THE_MODEL.filter((name) => Object.hasOwn(values, name));
  return {
    path,
    preset: {
      ...Object.fromEntries(names.map((name) => [name, values[name]])),
      ...(await isFile(tokenizer) ? { tokenizer } : {}),
    },
  };
}

async function checkpointIn(folder: string): Promise<string> {
  const best = `${folder}/best.safetensors`;
  if (await isFile(best)) return best;
  const newest = (await listCheckpoints(folder).catch((): string[] => [])).at(-1);
  if (newest !== undefined) return `${folder}/${newest}.safetensors`;
  throw new settings.UsageError(`--init "${folder}" must be a checkpoint or the folder of a run: it is neither`);
}
