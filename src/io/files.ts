/**
 * Small things about files that the rooms above need, so that they touch no file system themselves.
 *
 * @module
 */
import { splitPath } from "./atomic.ts";
import { diskError, type FailedWrite } from "./disk_error.ts";

/** Makes a folder and those above it. @throws {DiskError} If the disk refuses. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    throw diskError(`make the folder "${path}"`, error);
  }
}

/** Makes the folder that a file is to be written into. */
export async function makeFolderOf(path: string): Promise<void> {
  const [folder] = splitPath(path);
  if (folder) await makeFolder(folder);
}

/**
 * Names of the files of a folder, none if there is no such folder.
 *
 * @throws {Error} If it is a file.
 */
export async function fileNames(folder: string): Promise<string[]> {
  const names: string[] = [];
  const found = await ifThere(async () => {
    if ((await Deno.stat(folder)).isFile) throw new Error(`Cannot use "${folder}" as a folder: it is a file`);
    for await (const { name, isFile } of Deno.readDir(folder)) if (isFile) names.push(name);
    return true;
  });
  return found ? names.sort() : [];
}

/** Removes a file if it is there. @throws {DiskError} If the disk refuses. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await ifThere(() => Deno.remove(path));
  } catch (error) {
    throw diskError(`remove "${path}"`, error);
  }
}

/** The text of a file, undefined if there is none. */
export async function textIfThere(path: string): Promise<string | undefined> {
  return await ifThere(() => Deno.readTextFile(path));
}

/** SHA-256 of a file of any size, hexadecimal; undefined if there is none. */
export async function sha256IfThere(path: string): Promise<string | undefined> {
  const { createHash } = await import("node:crypto"), hash = createHash("sha256");
  const file = await ifThere(() => Deno.open(path));
  if (!file) return undefined;
  for await (const bytes of file.readable) hash.update(bytes);
  return hash.digest("hex");
}

/** SHA-256 of a text, hexadecimal. */
export async function sha256OfText(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether a file lies in a folder, links followed. */
export async function isIn(folder: string, path: string): Promise<boolean> {
  const [whole, inner] = await Promise.all([folder, path].map((p) => Deno.realPath(p)));
  return inner!.startsWith(`${whole}/`) || inner!.startsWith(`${whole}\\`);
}

/** A text file that grows line by line. */
export interface LineFile {
  /** Appends a line, at once. @throws {DiskError} If the disk does not take it; the next line begins anew. */
  write(line: string): void;
  /** Closes the file. */
  close(): void;
}

/** Opens a file to append lines to; it is made if it is not there. @throws {DiskError} If the disk refuses. */
export async function appendLines(path: string): Promise<LineFile> {
  const fail = (error: unknown, sizes?: FailedWrite): never => {
    throw diskError(`write "${path}"`, error, sizes);
  };
  const file = await Deno.open(path, { write: true, create: true, append: true }).catch(fail);
  let broken = false;
  return {
    write: (line) => {
      const bytes = new TextEncoder().encode(`${broken ? "\n" : ""}${line}\n`);
      let written = 0;
      try {
        while (written < bytes.length) written += file.writeSync(bytes.subarray(written));
        broken = false;
      } catch (error) {
        broken ||= written > 0;
        fail(error, { bytes: bytes.length, written });
      }
    },
    close: () => file.close(),
  };
}

async function ifThere<T>(use: () => Promise<T>): Promise<T | undefined> {
  try {
    return await use();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
