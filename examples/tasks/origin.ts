/** Where parameters come from: a checkpoint's file, or the folder of a run with its settings and tokenizer. */
import { listCheckpoints, readSettingsFile, settings } from "../../mod.ts";
import { isFile } from "../_run.ts";

/** A checkpoint, and what lies beside it. */
export interface Origin {
  /** Its file. */
  readonly path: string;
  /** Path of a file of its folder, if it is there. */
  beside(name: string): Promise<string | undefined>;
  /** What the run that made it says of some settings, and its tokenizer: for settings that are not given. */
  preset(keys: readonly string[]): Promise<Record<string, unknown>>;
}

/** Settings that the parameters' shapes depend on, and the tokens. */
export const OF_THE_MODEL: readonly string[] = ["model", "patch", "sep"];

/** A file, or of a run's folder its best checkpoint, or the newest. @throws {UsageError} If there is none. */
export async function originOf(given: string, flag: string): Promise<Origin> {
  const isFolder = await Deno.stat(given).then((info) => info.isDirectory, () => false);
  const folder = isFolder ? given.replace(/[/\\]*$/, "/") : given.replace(/[^/\\]*$/, "");
  const beside = async (name: string) => await isFile(folder + name) ? folder + name : undefined;
  const preset = async (keys: readonly string[]): Promise<Record<string, unknown>> => {
    const file = await beside("settings.json"), tokenizer = await beside("tokenizer.json");
    const { values } = file === undefined ? { values: {} as Record<string, unknown> } : await readSettingsFile(file);
    const known = keys.filter((key) => Object.hasOwn(values, settings.settingName(key)));
    return {
      ...Object.fromEntries(known.map((key) => [key, values[settings.settingName(key)]])),
      ...(tokenizer === undefined ? {} : { tokenizer }),
    };
  };
  if (!isFolder) return { path: given, beside, preset };
  const newest = (await listCheckpoints(folder)).at(-1);
  const path = await beside("best.safetensors") ?? (newest && await beside(`${newest}.safetensors`));
  if (path) return { path, beside, preset };
  throw new settings.UsageError(`--${flag} "${given}" must be a checkpoint or the folder of a run: it holds none`);
}
