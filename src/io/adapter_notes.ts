/**
 * Writing what is known of an adapter to the user's cache folder, where every later run finds it (`src/gpu/adapter_notes.ts` reads it).
 *
 * @module
 */
import { type AdapterNotes, notesPath, readNotes } from "../gpu/adapter_notes.ts";
import type { Device } from "../gpu/device.ts";
import { writeFileAtomic } from "./atomic.ts";
import { makeFolderOf } from "./files.ts";

/** What may be kept of an adapter. */
export type NewNotes = Pick<AdapterNotes, "avoid" | "wrong" | "shapes">;

/**
 * Keeps what was found of the adapter and driver of `device`; parts that are not given stay as they were.
 *
 * @param found The parts, or what makes them of those that are kept already.
 * @param cache See `cacheFolder`.
 * @returns The file, undefined where nothing is kept (GRITSTONE_CACHE=off).
 */
export async function keepNotes(
  { adapter, driver }: Device,
  found: Partial<NewNotes> | ((kept: NewNotes) => Partial<NewNotes>),
  cache?: string,
): Promise<string | undefined> {
  const path = await notesPath(adapter, driver, cache);
  if (!path) return undefined;
  const kept = { avoid: [], wrong: [], shapes: {}, ...await readNotes(adapter, driver, cache) };
  const { avoid, wrong, shapes } = { ...kept, ...(typeof found === "function" ? found(kept) : found) };
  const date = new Date().toISOString();
  const notes: AdapterNotes = { format: "gritstone-adapter-1", adapter, driver, date, avoid, wrong, shapes };
  await makeFolderOf(path);
  await writeFileAtomic(path, JSON.stringify(notes, null, 2) + "\n");
  return path;
}
