/**
 * Settings files on disk.
 *
 * @module
 */
import { UsageError } from "../settings/errors.ts";
import { parseSettingsText, type SettingsFile } from "../settings/text.ts";

/**
 * Reads a settings file.
 *
 * @param path Of a `.toml` or `.json` file.
 * @param options `hint`: what may have been meant where there is no such file, as the end of the sentence.
 * @throws {UsageError} If there is no such file, or it is a folder or holds no settings.
 */
export async function readSettingsFile(path: string, { hint = "" }: { hint?: string } = {}): Promise<SettingsFile> {
  return await parseSettingsText(await textOf(path, hint), path);
}

async function textOf(path: string, hint: string): Promise<string> {
  try {
    if ((await Deno.stat(path)).isDirectory) {
      throw new UsageError(`Cannot read the settings in "${path}": it is a folder`);
    }
    return await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new UsageError(`Cannot read the settings in "${path}": there is no such file${hint && `; ${hint}`}`);
  }
}
