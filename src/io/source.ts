/**
 * Bytes that can be read at any place: a file that stays on the disk, or memory.
 *
 * @module
 */

/** Random access to the bytes of a file. */
export interface ByteSource {
  /** The path or title, for messages. */
  readonly path: string;
  /** Bytes in all. */
  readonly size: number;
  /** The bytes from `begin` up to `end`, in memory of their own. */
  read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Gives the file back to the system. */
  close(): void;
}

function checkRange(source: ByteSource, begin: number, end: number): void {
  if (Number.isSafeInteger(begin) && begin >= 0 && begin <= end && end <= source.size) return;
  throw new RangeError(
    `Cannot read "${source.path}": bytes ${begin} to ${end} are not within its ${source.size} bytes`,
  );
}

/**
 * A file as a source. Reads are done one after the other, since a file has one position.
 *
 * @throws {Deno.errors.NotFound} If there is no such file.
 * @throws {TypeError} If it is a folder.
 */
export async function openFile(path: string): Promise<ByteSource> {
  const file = await Deno.open(path).catch((error: Error) => {
    throw error instanceof Deno.errors.NotFound ? new Deno.errors.NotFound(missing(path)) : error;
  });
  const { size, isFile } = await file.stat();
  if (!isFile) {
    file.close();
    throw new TypeError(`Cannot read "${path}": it is not a file`);
  }
  let turn: Promise<unknown> = Promise.resolve();
  const readNow = async (begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> => {
    const bytes = new Uint8Array(end - begin);
    await file.seek(begin, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) {
      const count = await file.read(bytes.subarray(at));
      if (count === null) {
        throw new RangeError(`Cannot read "${path}": it ended at byte ${begin + at} while being read`);
      }
      at += count;
    }
    return bytes;
  };
  const source: ByteSource = {
    path,
    size,
    read(begin, end) {
      checkRange(source, begin, end);
      const result = turn.then(() => readNow(begin, end));
      turn = result.catch(() => {});
      return result;
    },
    close: () => file.close(),
  };
  return source;
}

function missing(path: string): string {
  return `Cannot read "${path}": there is no such file`;
}

/** Bytes in memory as a source. */
export function memorySource(bytes: Uint8Array, path: string): ByteSource {
  const source: ByteSource = {
    path,
    size: bytes.length,
    read(begin, end) {
      checkRange(source, begin, end);
      return Promise.resolve(bytes.slice(begin, end) as Uint8Array<ArrayBuffer>);
    },
    close: () => {},
  };
  return source;
}
