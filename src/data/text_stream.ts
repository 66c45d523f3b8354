/**
 * Files in pieces: a file may be larger than memory or than a string can be, its lines and list elements are small.
 *
 * @module
 */
import { plainText } from "./_encodings.ts";
import { ByteList } from "./string_table.ts";

const [NEWLINE, RETURN, QUOTE, BACKSLASH, COMMA] = [0x0a, 0x0d, 0x22, 0x5c, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The text of a piece; bytes that are not UTF-8 become U+FFFD. */
export function decode(piece: Uint8Array): string {
  return decoder.decode(piece);
}

/**
 * A file's text in UTF-8 without a byte order mark, chunk by chunk; a chunk is valid until the next one is taken. Files that are packed by
 * gzip, and texts in UTF-16 with a byte order mark, are known from their first bytes.
 *
 * @throws {Deno.errors.NotFound} If there is no such file.
 * @throws {TypeError} If it is a folder or a pipe: some formats need a second pass.
 * @throws {SyntaxError} If it is packed otherwise, is damaged, or is in UTF-16 without the mark.
 */
export function readChunks(path: string, size = 1 << 20): AsyncGenerator<Uint8Array> {
  return plainText(fileChunks(path, size), path);
}

async function* fileChunks(path: string, size: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  using file = await open(path);
  if (!(await file.stat()).isFile) {
    throw new TypeError(`Cannot read "${path}": it must be a file, not a folder or a pipe`);
  }
  const buffer = new Uint8Array(Math.max(size, 4)); // for the first bytes tell what it is
  for (let count; (count = await file.read(buffer));) yield buffer.subarray(0, count);
}

/**
 * The bytes of a file that has to be held whole.
 *
 * @throws {SyntaxError} If there are more than `most`.
 */
export async function readBytes(path: string, most: number): Promise<Uint8Array> {
  const bytes = new ByteList();
  for await (const chunk of readChunks(path)) {
    bytes.append(chunk);
    if (bytes.length > most) throw new SyntaxError(`Cannot read "${path}": it is larger than ${most >> 20} MiB`);
  }
  return bytes.slice();
}

async function open(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Deno.errors.NotFound(`Cannot read "${path}": there is no such file`);
  }
}

/** Cuts chunks into pieces; a piece is valid until the next one is taken. */
export interface Cutter {
  /** Bytes that are kept: of the piece that is not complete yet, and of what stands between pieces. */
  readonly held: number;
  /** The piece that is not complete yet, for messages. */
  readonly place: string;
  /** The pieces that a chunk completes. */
  push(chunk: Uint8Array): Generator<Uint8Array>;
}

/** Cuts lines, without their ends. */
export class LineCutter implements Cutter {
  readonly #pending = new ByteList();
  #count = 0;

  /** Bytes of the line that is not complete yet. */
  get held(): number {
    return this.#pending.length;
  }

  /** The line that is not complete yet. */
  get place(): string {
    return `line ${this.#count + 1}`;
  }

  /** The lines that a chunk completes. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let from = 0;
    for (let at; (at = chunk.indexOf(NEWLINE, from)) >= 0; from = at + 1) {
      const line = joined(this.#pending, chunk.subarray(from, at));
      yield line.at(-1) === RETURN ? line.subarray(0, -1) : line;
      this.#pending.truncate(0);
      this.#count++;
    }
    this.#pending.append(chunk.subarray(from));
  }

  /** What stands behind the last line's end. */
  rest(): Uint8Array {
    return this.#pending.slice();
  }
}

/**
 * Cuts the elements of one of JSON's lists: the list that is the whole text, whose name is "", or a list that is a direct
 * value of the object that is the whole text, whose name is its key. `JSON.parse` has to check the elements.
 */
export class ListCutter implements Cutter {
  readonly #wanted: string;
  readonly #unit: string;
  readonly #pending = new ByteList();
  /** The text without the elements of lists: if this is JSON and the elements are, the whole is. */
  readonly #outline = new ByteList();
  readonly #lists = new Set<string>();
  #list = ""; // name of the list that is open, or was last
  #listDepth = 0; // 0 outside lists
  #lastList = 0; // its end in the outline
  #count = 0; // elements of the list so far
  #depth = 0;
  #values = 0;
  #inString = false;
  #escaped = false;

  /** Looks for the elements of the list `wanted`; a message calls one a `unit`. */
  constructor(wanted: string, unit: string) {
    this.#wanted = wanted;
    this.#unit = unit;
  }

  /** Bytes of the element that is not complete yet, and of the text outside lists. */
  get held(): number {
    return this.#pending.length + this.#outline.length;
  }

  /** Where the text stops. */
  get place(): string {
    if (!this.inList) return "the text outside its lists";
    return this.#isWanted ? `${this.#unit} ${this.#count}` : `the list "${this.#list}"`;
  }

  /** Whether a list has begun and not ended. */
  get inList(): boolean {
    return this.#listDepth > 0;
  }

  /** Names of the lists so far. */
  get lists(): ReadonlySet<string> {
    return this.#lists;
  }

  /** Lists and objects at the top level so far; JSON has one value there. */
  get values(): number {
    return this.#values;
  }

  /** The text without the elements of its lists. */
  outline(): string {
    return decode(this.#outline.slice());
  }

  /** The elements that a chunk completes: what stands between commas, white space included. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let from = 0;
    for (let at = this.#next(chunk, 0); at < chunk.length; at = this.#next(chunk, at + 1)) {
      if (!this.inList) {
        this.#open(chunk.subarray(from, at + 1));
        from = at + 1;
        continue;
      }
      const ends = chunk[at] !== COMMA, piece = joined(this.#pending, chunk.subarray(from, at));
      if (this.#isWanted && !(ends && this.#count === 0 && isBlank(piece))) yield piece;
      this.#pending.truncate(0);
      this.#count++;
      if (ends) this.#close();
      from = ends ? at : at + 1; // the bracket belongs to the outline
    }
    this.#keep(chunk.subarray(from));
  }

  get #isWanted(): boolean {
    return this.inList && this.#list === this.#wanted;
  }

  #keep(bytes: Uint8Array): void {
    if (!this.inList) this.#outline.append(bytes);
    else if (this.#isWanted) this.#pending.append(bytes);
  }

  #open(outline: Uint8Array): void {
    this.#outline.append(outline);
    const before = decode(this.#outline.slice(this.#lastList));
    this.#list = /"((?:[^"\\]|\\.)*)"\s*:\s*\[$/.exec(before)?.[1] ?? "";
    this.#lists.add(this.#list);
    this.#listDepth = this.#depth;
    this.#count = 0;
  }

  #close(): void {
    this.#listDepth = 0;
    this.#lastList = this.#outline.length;
  }

  /** Goes on to the next byte that opens a list, ends an element or ends a list: its index, or the chunk's length. */
  #next(chunk: Uint8Array, from: number): number {
    const listDepth = this.inList ? this.#listDepth : NaN; // to which nothing compares
    let depth = this.#depth, inString = this.#inString, escaped = this.#escaped, at = from;
    for (; at < chunk.length; at++) {
      const byte = chunk[at];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) {
        inString = true;
      } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
        if (depth++ === 0) this.#values++;
        if (byte === OPEN_LIST && !this.inList && depth <= 2) break;
      } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
        if (--depth < listDepth) break;
      } else if (byte === COMMA && depth === listDepth) {
        break;
      }
    }
    [this.#depth, this.#inString, this.#escaped] = [depth, inString, escaped];
    return at;
  }
}

/** A piece whose beginning may have come with earlier chunks. */
function joined(pending: ByteList, end: Uint8Array): Uint8Array {
  if (!pending.length) return end;
  pending.append(end);
  return pending.slice();
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte <= 0x20);
}
