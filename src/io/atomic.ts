/**
 * Files that are either the old one or the whole new one, whatever happens in between.
 *
 * @module
 */
import { diskError } from "./disk_error.ts";

/** The folder that a path lies in, with its separator, and the rest; "" for the current folder. */
export function splitPath(path: string): [folder: string, name: string] {
  const at = Math.max(path.lastIndexOf("/"), Deno.build.os === "windows" ? path.lastIndexOf("\\") : -1);
  return [path.slice(0, at + 1), path.slice(at + 1)];
}

/** What is known of a file before it is written. */
export interface WriteOptions {
  /** Its bytes in all, for the message when the disk does not take them; known anyway for texts and bytes. */
  readonly bytes?: number;
}

/**
 * Writes a file atomically: the data goes to a temporary file in the same folder, is flushed to the disk and then renamed,
 * so a reader, a full disk or a power cut never meets half a file. When the data or the disk fails, the temporary file is
 * removed and a file that was there before stays.
 *
 * @param path Where the file goes; an existing one is replaced.
 * @param data Text (as UTF-8), bytes, or pieces of bytes that are written as they come.
 * @throws {DiskError} If the disk does not take it: the file, the reason, the bytes needed and those written.
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: WriteOptions = {},
): Promise<void> {
  const [folder, name] = splitPath(path);
  const temporary = `${folder}.${name}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  const whole = typeof data === "string" ? new TextEncoder().encode(data) : data;
  const bytes = whole instanceof Uint8Array ? whole.length : options.bytes;
  let written = 0;
  const onDisk = async <T>(operation: () => Promise<T>): Promise<T> => {
    try {
      return await operation();
    } catch (error) {
      throw diskError(`write "${path}"`, error, { bytes, written });
    }
  };
  const file = await onDisk(() => Deno.open(temporary, { write: true, createNew: true }));
  try {
    try {
      for await (const piece of whole instanceof Uint8Array ? [whole] : whole) {
        for (let at = 0; at < piece.length;) {
          const taken = await onDisk(() => file.write(piece.subarray(at)));
          at += taken;
          written += taken;
        }
      }
      await onDisk(() => file.sync());
    } finally {
      file.close();
    }
    await onDisk(() => Deno.rename(temporary, path));
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
