/**
 * The folder of the user where the library keeps what it has learned of adapters.
 *
 * @module
 */
import { readEnvironment } from "./environment.ts";

/** What the folder depends on. */
export interface Surroundings {
  /** An environment variable, if it is set and may be read. */
  readonly read: (name: string) => string | undefined;
  /** As `Deno.build.os` has it; undefined in a browser. */
  readonly os: string | undefined;
}

const here: Surroundings = { read: readEnvironment, os: globalThis.Deno?.build.os };

/**
 * The folder, which may not be there yet: `chosen`, else `gritstone` in the user's cache folder ($XDG_CACHE_HOME or ~/.cache,
 * ~/Library/Caches on macOS, %LOCALAPPDATA% on Windows). Undefined where there is none: in a browser, if "off" is chosen, and without
 * permission to read these variables.
 *
 * @param chosen A folder or "off"; by default what the environment variable GRITSTONE_CACHE says.
 */
export function cacheFolder(chosen?: string, surroundings: Surroundings = here): string | undefined {
  const { read, os } = surroundings;
  if (os === undefined) return undefined;
  const own = chosen ?? read("GRITSTONE_CACHE");
  if (own) return own === "off" ? undefined : own;
  const folder = userCache(os, read);
  return folder && `${folder}/gritstone`;
}

function userCache(os: string, read: Surroundings["read"]): string | undefined {
  if (os === "windows") return read("LOCALAPPDATA");
  const home = read("HOME");
  if (os === "darwin") return home && `${home}/Library/Caches`;
  const own = read("XDG_CACHE_HOME"); // by its specification only an absolute path counts
  return own?.startsWith("/") ? own : home && `${home}/.cache`;
}
