/**
 * Files that are either the old one or the whole new one, whatever happens in between.
 *
 * @module
 */

/** The folder that a path lies in, with its separator, and the rest; "" for the current folder. */
export function splitPath(path: string): [folder: string, name: string] {
  const at = Math.max(path.lastIndexOf("/"), Deno.build.os === "windows" ? path.lastIndexOf("\\") : -1);
  return [path.slice(0, at + 1), path.slice(at + 1)];
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

async function* pieces(
  data: Uint8Array | string | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  if (typeof data === "string") yield new TextEncoder().encode(data);
  else if (data instanceof Uint8Array) yield data;
  else yield* data;
}

/**
 * Writes a file atomically: the data goes to a temporary file in the same folder, is flushed to the disk and then renamed,
 * so a reader, a full disk or a power cut never meets half a file. When the data or the disk fails, the temporary file is
 * removed and a file that was there before stays.
 *
 * @param path Where the file goes; an existing one is replaced.
 * @param data Text (as UTF-8), bytes, or pieces of bytes that are written as they come.
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const [folder, name] = splitPath(path);
  const temporary = `${folder}.${name}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  const file = await Deno.open(temporary, { write: true, createNew: true });
  try {
    try {
      for await (const bytes of pieces(data)) await writeAll(file, bytes);
      await file.sync();
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
