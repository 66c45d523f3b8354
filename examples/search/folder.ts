/** The photos of a folder. */
import type { Photo } from "./photo_index.ts";

/** Endings of files that the decoder reads. */
const ENDINGS = /\.(jpe?g|png|webp|gif|avif|tiff?)$/i;

/**
 * Photos of a folder and those within, by path; hidden ones (".name") are left out, and links to folders are not followed.
 *
 * @throws {Error} If there is no such folder.
 */
export async function photosOf(folder: string): Promise<Photo[]> {
  const found: Photo[] = [], open = [""];
  for (let inner = open.pop(); inner !== undefined; inner = open.pop()) {
    for await (const { name, isDirectory } of Deno.readDir(`${folder}/${inner}`)) {
      const path = inner + name;
      if (name.startsWith(".")) continue;
      if (isDirectory) open.push(`${path}/`);
      else if (ENDINGS.test(name)) {
        const photo = await photoAt(folder, path);
        if (photo) found.push(photo);
      }
    }
  }
  return found.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** The photo as it is now; undefined if there is none, as behind a link to nowhere. */
async function photoAt(folder: string, path: string): Promise<Photo | undefined> {
  const info = await Deno.stat(`${folder}/${path}`).catch(() => undefined);
  return info?.isFile ? { path, size: info.size, mtime: info.mtime?.getTime() ?? 0 } : undefined;
}

/** Whether a photo is as it was. */
export async function isUnchanged(folder: string, photo: Photo): Promise<boolean> {
  const now = await photoAt(folder, photo.path);
  return now !== undefined && isSame(now, photo);
}

function isSame(a: Photo, b: Photo): boolean {
  return a.size === b.size && a.mtime === b.mtime;
}

/** What becomes of each photo that is found: the number of the known one that it still is, or why it needs a feature. */
export function compareFolders(known: readonly Photo[], found: readonly Photo[]): (number | "added" | "changed")[] {
  const places = new Map(known.map(({ path }, i) => [path, i]));
  return found.map((photo) => {
    const at = places.get(photo.path);
    return at === undefined ? "added" : isSame(known[at]!, photo) ? at : "changed";
  });
}
