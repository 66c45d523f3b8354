/** A disk that fails when a test says so: what the writer of files asks of the system is counted, and one of the calls fails. */
import { splitPath } from "../../src/io/atomic.ts";

/** A call that changes the disk. */
export interface DiskCall {
  /** From 0, among the calls that are counted. */
  readonly number: number;
  readonly kind: "open" | "write" | "sync" | "rename" | "remove" | "mkdir";
  readonly path: string;
}

/** How a call fails: as with this code of POSIX; undefined: it does not. */
export type Failure = (call: DiskCall) => string | undefined;

/** An error as Deno throws it for a code. */
function systemError(code: string): Error {
  const kinds: Record<string, new (message: string) => Error> = { ENOENT: Deno.errors.NotFound };
  return Object.assign(new (kinds[code] ?? Error)(`${code} (os error)`), { code });
}

/**
 * Runs `body` while calls that change files whose path `counts` are counted and fail as told. A write that fails takes half of its
 * bytes, as a disk does that is full in the middle, and the next one fails.
 */
export async function onFailingDisk<T>(
  counts: (path: string) => boolean,
  fails: Failure,
  body: () => Promise<T>,
): Promise<{ result: T; calls: DiskCall[] }> {
  const calls: DiskCall[] = [], { open, rename, remove, mkdir } = Deno;
  const failure = (kind: DiskCall["kind"], path: string): Error | undefined => {
    if (!counts(path)) return undefined;
    const call = { number: calls.length, kind, path }, code = fails(call);
    calls.push(call);
    return code === undefined ? undefined : systemError(code);
  };
  const check = (kind: DiskCall["kind"], path: string): void => {
    const error = failure(kind, path);
    if (error) throw error;
  };
  Object.assign(Deno, {
    open: async (path: string, options?: Deno.OpenOptions) => {
      if (!options?.write) return await open(path, options);
      check("open", path);
      return failing(await open(path, options), path, failure);
    },
    rename: async (from: string, to: string) => {
      check("rename", to);
      await rename(from, to);
    },
    remove: async (path: string, options?: Deno.RemoveOptions) => {
      // What clears up after a failure may work or not, so it is no call of its own.
      if (!splitPath(path)[1].endsWith(".tmp")) check("remove", path);
      await remove(path, options);
    },
    mkdir: async (path: string, options?: Deno.MkdirOptions) => {
      check("mkdir", path);
      await mkdir(path, options);
    },
  });
  try {
    return { result: await body(), calls };
  } finally {
    Object.assign(Deno, { open, rename, remove, mkdir });
  }
}

function failing(
  file: Deno.FsFile,
  path: string,
  failure: (kind: DiskCall["kind"], path: string) => Error | undefined,
): Deno.FsFile {
  const { write, writeSync, sync } = file;
  let broken: Error | undefined;
  /** What is left to be written of these bytes: half of them by the call that meets the end of the disk. */
  const left = (bytes: Uint8Array): Uint8Array => {
    if (broken) throw broken;
    broken = failure("write", path);
    if (broken && bytes.length < 2) throw broken;
    return broken ? bytes.subarray(0, bytes.length >> 1) : bytes;
  };
  return Object.assign(file, {
    write: async (bytes: Uint8Array) => await write.call(file, left(bytes)),
    writeSync: (bytes: Uint8Array) => {
      try {
        return writeSync.call(file, left(bytes));
      } catch (error) {
        broken = undefined; // this file stays open: there may be space again
        throw error;
      }
    },
    sync: async () => {
      const error = failure("sync", path);
      if (error) throw error;
      await sync.call(file);
    },
  });
}
