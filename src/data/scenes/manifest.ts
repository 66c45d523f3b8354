/**
 * The file that says which scenes a folder holds. It is written last: a folder with it is whole.
 *
 * @module
 */

import { writeFileAtomic } from "../../io/atomic.ts";
import type { SceneOptions } from "./options.ts";

/** What a folder's files are and what they follow from, in the order in which it is written. */
export type Manifest = Readonly<Record<string, unknown>>;

const WHOLE = "manifest.json";
const UNFINISHED = "unfinished.json";

/**
 * Takes a folder for scenes and marks it as unfinished; makes it if it is missing.
 *
 * @returns Whether the scenes are still to be written: false if the folder holds exactly these.
 * @throws {Error} If the folder holds anything but these scenes, whole or unfinished.
 */
export async function claimFolder(folder: string, manifest: Manifest): Promise<boolean> {
  const wanted = toJson(manifest);
  for (const name of [WHOLE, UNFINISHED]) {
    const found = await read(`${folder}/${name}`);
    if (found === wanted) return name === UNFINISHED;
    if (found !== undefined) throw new Error(`Cannot write scenes to "${folder}": ${difference(name, found, wanted)}`);
  }
  await Deno.mkdir(folder, { recursive: true });
  for await (const entry of Deno.readDir(folder)) {
    throw new Error(
      `Cannot write scenes to "${folder}": it holds "${entry.name}" and no scenes, but it must be empty or new`,
    );
  }
  await writeFileAtomic(`${folder}/${UNFINISHED}`, wanted);
  return true;
}

/** Marks a folder as whole. */
export async function finishFolder(folder: string, manifest: Manifest): Promise<void> {
  await writeFileAtomic(`${folder}/${WHOLE}`, toJson(manifest));
  await Deno.remove(`${folder}/${UNFINISHED}`);
}

/** Options that older manifests do not know: they are named only where they change the scenes. */
const LATER = { hard: 0, colors: 8, shapes: 8, swapped: 0 };

/**
 * The manifest of scenes with captions. The version is another number whenever the same options give other files.
 */
export function sceneManifest(options: Required<SceneOptions>): Manifest {
  const said = Object.entries(options).filter(([name, value]) => LATER[name as keyof typeof LATER] !== value);
  return { format: "gritstone-scenes", version: 1, ...Object.fromEntries(said) };
}

/** JSON with one line for each entry, so that two manifests can be compared by lines. */
function toJson(manifest: Manifest): string {
  const lines = Object.entries(manifest).map(([name, value]) => `  "${name}": ${JSON.stringify(value)}`);
  return `{\n${lines.join(",\n")}\n}\n`;
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new Error(`Cannot write scenes: "${path}" cannot be read`, { cause: error });
  }
}

/** The first lines in which two manifests differ. */
function difference(name: string, found: string, wanted: string): string {
  const lines = (text: string) => text.split("\n").map((line) => line.trim().replace(/,$/, ""));
  const theirs = lines(found), ours = lines(wanted), at = ours.findIndex((line, i) => line !== theirs[i]);
  return `its "${name}" says ${theirs[at] || "nothing"} where ${ours[at]} is wanted; ` +
    "give another folder, or delete this one";
}
