/**
 * One process for one folder: a lock that the system frees when its holder ends, however it ends.
 *
 * @module
 */
import { diskError } from "./disk_error.ts";

const NAME = "run.lock";

/** A folder that no other process (nor another part of this one) takes until it is freed. */
export interface FolderLock {
  /** Frees the folder. */
  free(): Promise<void>;
}

/** Who holds a folder, as its lock's file says. */
interface Holder {
  readonly pid: number;
  readonly since: string;
}

/** Who holds the folder now, in words; undefined if nobody does. Writes nothing. */
export async function holderOf(folder: string): Promise<string | undefined> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(`${folder}/${NAME}`, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    return await file.tryLock() ? undefined : await nameOf(folder);
  } finally {
    file.close(); // and with it goes the lock
  }
}

/**
 * Takes a folder, which must exist. The lock of a process that has died is free.
 *
 * @throws {Error} If a living process holds it: which one.
 * @throws {DiskError} If the lock cannot be written.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = `${folder}/${NAME}`;
  for (;;) {
    const file = await Deno.open(path, { read: true, write: true, create: true }).catch((error) => {
      throw diskError(`write "${path}"`, error);
    });
    try {
      if (!await file.tryLock(true)) throw new Error(inUse(folder, await nameOf(folder)));
      if (!await isAt(file, path)) { // its holder has removed it in between
        file.close();
        continue;
      }
      await name(file, path);
    } catch (error) {
      file.close();
      throw error;
    }
    return {
      free: async () => {
        // The file goes while it is still locked, so that nobody else's is removed.
        if (await isAt(file, path).catch(() => false)) await Deno.remove(path).catch(() => {});
        file.close();
      },
    };
  }
}

/** Why a folder is refused. */
export function inUse(folder: string, holder: string): string {
  return `Cannot start a run in "${folder}": ${holder} is running there; ` +
    `wait until it has ended, stop it, or choose another folder (--out)`;
}

async function name(file: Deno.FsFile, path: string): Promise<void> {
  const holder: Holder = { pid: Deno.pid, since: new Date().toISOString() };
  try {
    await file.truncate();
    await file.write(new TextEncoder().encode(`${JSON.stringify(holder)}\n`));
  } catch (error) {
    throw diskError(`write "${path}"`, error);
  }
}

async function nameOf(folder: string): Promise<string> {
  try {
    const { pid, since }: Holder = JSON.parse(await Deno.readTextFile(`${folder}/${NAME}`));
    return `process ${pid} (since ${since})`;
  } catch {
    return "another process"; // it has not written its number yet, or the system lets nobody else read a locked file
  }
}

/** Whether an open file is the one that lies at a path. */
async function isAt(file: Deno.FsFile, path: string): Promise<boolean> {
  try {
    const [open, there] = await Promise.all([file.stat(), Deno.stat(path)]);
    return open.ino === there.ino && open.dev === there.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
