/**
 * Files as people have them: packed by gzip, or in UTF-16. What goes on is UTF-8 without a byte order mark.
 *
 * @module
 */

type Chunks = AsyncIterable<Uint8Array<ArrayBuffer>>;

/** How many times longer than its file a text may become; JSON of captions grows 5 to 20 times. */
const MAX_INFLATION = 200;

/** Bytes that any file may become: a short list of equal captions is no bomb. */
const ALWAYS = 64 << 20;

/** What files of other kinds begin with. */
const packed: readonly (readonly [start: readonly number[], kind: string])[] = [
  [[0x50, 0x4b, 0x03, 0x04], "a ZIP archive"],
  [[0x28, 0xb5, 0x2f, 0xfd], "packed by zstd"],
  [[0xfd, 0x37, 0x7a, 0x58], "packed by xz"],
  [[0x42, 0x5a, 0x68], "packed by bzip2"],
];

/** Whether bytes begin so. */
function starts(bytes: Uint8Array, ...start: readonly number[]): boolean {
  return start.every((byte, i) => bytes[i] === byte);
}

/**
 * The bytes of a text in UTF-8 without a byte order mark; chunk by chunk, each valid until the next one is taken.
 *
 * @param chunks Of the file; the first has at least four bytes if the file has.
 * @throws {SyntaxError} If it is packed otherwise than by gzip, is damaged, or is in UTF-16 or UTF-32 without saying so.
 */
export async function* plainText(chunks: Chunks, path: string): AsyncGenerator<Uint8Array> {
  const { first, all } = await peek(chunks);
  const kind = packed.find(([start]) => starts(first, ...start))?.[1];
  if (kind) throw new SyntaxError(`Cannot read "${path}": it is ${kind}; unpack it, or pack it by gzip`);
  yield* starts(first, 0x1f, 0x8b) ? inUtf8(inflated(all, path), path) : inUtf8(all, path);
}

/** The first chunk, and all of them. */
async function peek(chunks: Chunks): Promise<{ first: Uint8Array; all: Chunks }> {
  const iterator = chunks[Symbol.asyncIterator](), start = await iterator.next();
  const all = async function* (): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    try {
      for (let result = start; !result.done; result = await iterator.next()) yield result.value;
    } finally {
      await iterator.return?.();
    }
  };
  return { first: start.done ? new Uint8Array() : start.value, all: all() };
}

/** Unpacks in small pieces; a file of a few bytes that would fill the memory is given up where it has grown too much. */
async function* inflated(chunks: Chunks, path: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const [{ createGunzip }, { pipeline, Readable }] = await Promise.all([import("node:zlib"), import("node:stream")]);
  let read = 0, made = 0;
  const counted = async function* () {
    for await (const chunk of chunks) {
      read += chunk.length;
      yield chunk.slice(); // the stream may still hold it when the reader takes the next one
    }
  };
  // Unlike DecompressionStream it goes on where packed files were joined, and gives pieces however much a chunk grows.
  const unpacking = createGunzip({ chunkSize: 1 << 18 });
  pipeline(Readable.from(counted()), unpacking, () => {}); // an error comes where pieces are taken
  try {
    for await (const piece of unpacking as unknown as Chunks) {
      made += piece.length;
      if (made > ALWAYS && made > MAX_INFLATION * read) {
        throw new SyntaxError(`Cannot read "${path}": it grows to more than ${MAX_INFLATION} times its ${read} bytes`);
      }
      yield piece;
    }
  } catch (error) {
    const { code, message } = error as Error & { code?: unknown };
    if (!String(code).startsWith("Z_")) throw error;
    throw new SyntaxError(`Cannot read "${path}": its gzip data is damaged (${message})`);
  }
}

async function* inUtf8(chunks: Chunks, path: string): AsyncGenerator<Uint8Array> {
  const { first, all } = await peek(chunks);
  const label = starts(first, 0xff, 0xfe) ? "utf-16le" : starts(first, 0xfe, 0xff) ? "utf-16be" : undefined;
  if (!label) {
    if (first.length > 1 && (first[0] === 0) !== (first[1] === 0)) {
      throw new SyntaxError(
        `Cannot read "${path}": it has bytes of zero, so it seems to be UTF-16 or UTF-32; ` +
          "UTF-8, or UTF-16 with a byte order mark, is expected",
      );
    }
    let start = starts(first, 0xef, 0xbb, 0xbf) ? 3 : 0;
    for await (const chunk of all) {
      yield chunk.subarray(start);
      start = 0;
    }
    return;
  }
  const decoder = new TextDecoder(label), encoder = new TextEncoder(); // which leaves the mark out
  for await (const chunk of all) yield encoder.encode(decoder.decode(chunk, { stream: true }));
  yield encoder.encode(decoder.decode());
}
