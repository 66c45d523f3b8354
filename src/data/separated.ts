/**
 * Tables of images and captions: columns between tabs or commas, with a header that names them as open_clip's files have, or without.
 *
 * @module
 */
import { type Items, itemsOf, lineItems } from "./json_items.ts";
import { ByteList } from "./string_table.ts";
import { type Cutter, decode, readChunks } from "./text_stream.ts";

const [NEWLINE, RETURN, QUOTE] = [0x0a, 0x0d, 0x22];

/** What columns are called; case does not count. */
const IMAGE_COLUMNS = ["filepath", "file_path", "image_path", "file_name", "filename", "image", "img", "path", "file"];
const CAPTION_COLUMNS = ["title", "caption", "text", "raw_caption", "description", "sentence"];

/** How the columns of a file are found. */
interface Layout {
  readonly separator: string;
  readonly hasHeader: boolean;
  readonly image: number;
  readonly caption: number;
  readonly columns: number;
}

/** The longest header. */
const LONGEST_HEADER = 1 << 16;

/**
 * The rows of a table. A header names the columns, of which one has the images' paths and one the captions; without one there are two, the
 * path and the caption. Fields may be quoted, as in RFC 4180, except in tabbed files without a header: there a quotation mark is one.
 *
 * @param separator Where there is no header: what stands between the two columns.
 * @throws {SyntaxError} If the file as a whole cannot be read, here or while its items are taken.
 */
export async function openTable(file: string, separator: "\t" | ","): Promise<Items> {
  const header = await firstLine(file), layout = headerLayout(header, file);
  const { columns, ...places } = layout ?? { separator, hasHeader: false, image: 0, caption: 1, columns: 2 };
  const take = (fields: readonly string[]): unknown => {
    const image = fields[places.image], caption = fields[places.caption];
    if (image && caption !== undefined && fields.length === columns) return { image, caption };
    const expected = layout
      ? `${columns} as in the header, with the path of an image,`
      : `the path of an image, a ${separator === "," ? "comma" : "tab"} and a caption`;
    throw new SyntaxError(`has ${fields.length} columns; ${expected} are expected`);
  };
  if (!layout && separator === "\t") {
    return { unit: "line", first: 1, items: lineItems(file, (line) => take(line.split("\t"))) };
  }
  const rows = rowItems(file, places.separator, take);
  return { unit: "row", first: places.hasHeader ? 2 : 1, items: places.hasHeader ? withoutFirst(rows) : rows };
}

async function firstLine(file: string): Promise<string> {
  for await (const chunk of readChunks(file)) {
    const end = chunk.indexOf(NEWLINE);
    return decode(chunk.subarray(0, Math.min(end < 0 ? chunk.length : end, LONGEST_HEADER))).trim();
  }
  return "";
}

/** The layout that a line names, undefined if it is no header. */
function headerLayout(line: string, file: string): Layout | undefined {
  for (const separator of ["\t", ",", ";"]) {
    const names = fieldsOf(line, separator).map((name) => name.trim().toLowerCase());
    const image = names.findIndex((name) => IMAGE_COLUMNS.includes(name));
    if (image < 0 || names.length < 2) continue;
    const caption = names.findIndex((name) => CAPTION_COLUMNS.includes(name));
    if (caption >= 0) return { separator, hasHeader: true, image, caption, columns: names.length };
    throw new SyntaxError(
      `Cannot read "${file}": its header names no column of captions (${CAPTION_COLUMNS.join(", ")}): it is "${line}"`,
    );
  }
  return undefined;
}

/** The fields of a row; a quoted one may hold separators, line ends and doubled quotation marks. */
function fieldsOf(row: string, separator: string): string[] {
  const fields: string[] = [];
  for (let at = 0; at <= row.length;) {
    const quoted = row[at] === '"' ? /"((?:[^"]|"")*)"/y : undefined;
    if (quoted) quoted.lastIndex = at;
    const [whole, inner] = quoted?.exec(row) ?? [];
    const rest = at + (whole?.length ?? 0), next = row.indexOf(separator, rest), end = next < 0 ? row.length : next;
    fields.push((inner?.replaceAll('""', '"') ?? "") + row.slice(rest, end));
    at = end + 1;
  }
  return fields;
}

/** Cuts rows, which end with lines except inside quotation marks at the beginning of a field. */
export class RowCutter implements Cutter {
  readonly #separator: number;
  readonly #pending = new ByteList();
  #inQuotes = false;
  #mayQuote = true;
  #count = 0;

  /** Rows whose fields stand between a character. */
  constructor(separator: string) {
    this.#separator = separator.charCodeAt(0);
  }

  /** Bytes of the row that is not complete yet. */
  get held(): number {
    return this.#pending.length;
  }

  /** The row that is not complete yet. */
  get place(): string {
    return `row ${this.#count + 1}`;
  }

  /** The rows that a chunk completes. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at];
      if (byte === QUOTE && (this.#inQuotes || this.#mayQuote)) {
        this.#inQuotes = !this.#inQuotes;
        this.#mayQuote = true; // a second one behind it goes on with the field
      } else {
        this.#mayQuote = byte === this.#separator || byte === NEWLINE;
      }
      if (byte !== NEWLINE || this.#inQuotes) continue;
      this.#pending.append(chunk.subarray(from, at));
      yield withoutReturn(this.#pending.slice());
      this.#pending.truncate(0);
      this.#count++;
      from = at + 1;
    }
    this.#pending.append(chunk.subarray(from));
  }

  /** What stands behind the last row's end. @throws {SyntaxError} If it breaks off in a quoted field. */
  rest(): Uint8Array {
    if (!this.#inQuotes) return withoutReturn(this.#pending.slice());
    throw new SyntaxError(`it ends inside quotation marks that ${this.place} opens`);
  }
}

function withoutReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === RETURN ? line.subarray(0, -1) : line;
}

async function* rowItems(
  file: string,
  separator: string,
  read: (fields: readonly string[]) => unknown,
): AsyncGenerator<Iterable<() => unknown>> {
  yield* itemsOf(file, new RowCutter(separator), (row) => read(fieldsOf(row, separator)));
}

/** All but the first item, which is the header. */
async function* withoutFirst(batches: AsyncIterable<Iterable<() => unknown>>): AsyncGenerator<Iterable<() => unknown>> {
  let first = true;
  const rest = function* (batch: Iterable<() => unknown>): Generator<() => unknown> {
    for (const item of batch) {
      if (!first) yield item;
      first = false;
    }
  };
  for await (const batch of batches) yield rest(batch);
}
