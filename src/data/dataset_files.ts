/**
 * The files of data sets, item by item.
 *
 * @module
 */
import { StringTable } from "./string_table.ts";
import { type Cutter, decode, LineCutter, ListCutter, readChunks } from "./text_stream.ts";

/** Layout of a file: ALBEF's JSON list (or its objects as JSON lines), COCO captions, or lines of path, tab, caption. */
export type DatasetFormat = "albef" | "coco" | "tsv";

/** How files are read. */
export interface FileOptions {
  /** Folder that relative image paths start from; COCO needs it. @default the working directory */
  readonly images?: string;
  /** Format of the files. @default found from each file's name and content */
  readonly format?: DatasetFormat;
}

/**
 * The longest item that a file may have, in bytes. One that is longer is refused when a chunk ends in it: it would fill
 * the memory, and a quotation mark is probably missing.
 */
export const longestItem: number = 16 << 20;

/** What is in a file, to be read one by one so that an error concerns one item. */
export interface Items {
  /** What a message calls an item. */
  readonly unit: "entry" | "line" | "annotation";
  /** Number of the first one. */
  readonly first: number;
  /** Batch by batch; an item is a function that gives an object of ALBEF's form or says what is wrong. */
  readonly items: AsyncIterable<Iterable<() => unknown>>;
}

/**
 * The items of a file in any of the formats.
 *
 * @throws {SyntaxError} If the file as a whole cannot be read, here or while its items are taken.
 */
export async function openItems(file: string, { format, images }: FileOptions): Promise<Items> {
  if (format === "tsv" || (!format && /\.(tsv|txt)$/i.test(file))) {
    return { unit: "line", first: 1, items: lineItems(file, splitColumns) };
  }
  const start = await firstCharacter(file);
  if (format === "coco" || (!format && start === "{" && await hasList(file, "annotations"))) {
    if (images === undefined) throw new TypeError(`Cannot read "${file}": COCO captions need the folder of the images`);
    return { unit: "annotation", first: 0, items: cocoItems(file) };
  }
  if (start === "{") return { unit: "line", first: 1, items: lineItems(file, parseLine) };
  if (start === "[") return { unit: "entry", first: 0, items: listItems(file) };
  const found = start ? `starts with ${JSON.stringify(start)}` : "is empty";
  throw new SyntaxError(
    `Cannot read "${file}": it is not JSON of a data set (it ${found}; a list or objects are expected)`,
  );
}

/** Whether a value is an object with keys. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value in a message. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}

/** The first character that is not white space, "" if there is none. */
async function firstCharacter(file: string): Promise<string> {
  for await (const chunk of readChunks(file)) {
    const at = chunk.findIndex((byte) => byte > 0x20);
    if (at >= 0) return decode(chunk.subarray(at, at + 4)).slice(0, 1);
  }
  return "";
}

/** Whether the whole file is an object with a list of that name; JSON lines are several objects. */
async function hasList(file: string, name: string): Promise<boolean> {
  const cutter = new ListCutter("", "entry");
  for await (const chunk of readChunks(file)) {
    cutter.push(chunk).toArray(); // for what it notes
    if (cutter.values > 1 || cutter.held > longestItem) return false;
  }
  return cutter.lists.has(name);
}

async function* cut(file: string, cutter: Cutter): AsyncGenerator<Iterable<Uint8Array>> {
  for await (const chunk of readChunks(file)) {
    yield cutter.push(chunk);
    if (cutter.held > longestItem) {
      throw new SyntaxError(`Cannot read "${file}": ${cutter.place} is longer than ${longestItem >> 20} MiB`);
    }
  }
}

/** Lines; white space at the end of the file is none. */
async function* lineItems(file: string, read: (line: string) => unknown): AsyncGenerator<Iterable<() => unknown>> {
  const cutter = new LineCutter(), blank: string[] = [];
  const items = function* (lines: Iterable<Uint8Array>): Generator<() => unknown> {
    for (const bytes of lines) {
      const line = decode(bytes);
      blank.push(line);
      if (/\S/.test(line)) yield* blank.splice(0).map((line) => () => read(line));
    }
  };
  for await (const lines of cut(file, cutter)) yield items(lines);
  yield items([cutter.rest()]);
}

function splitColumns(line: string): unknown {
  const [image, caption, ...rest] = line.split("\t");
  if (image && caption !== undefined && !rest.length) return { image, caption };
  throw new SyntaxError(
    `has ${line.split("\t").length} columns; the path of an image, a tab and a caption are expected`,
  );
}

function parseLine(line: string): unknown {
  const { value, error } = tryParse(line);
  if (error) throw new SyntaxError(`cannot be read: ${error}`);
  return value;
}

function tryParse(text: string): { value?: unknown; error?: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { error: `it is not JSON (${(error as Error).message})` };
  }
}

async function* listItems(file: string): AsyncGenerator<Iterable<() => unknown>> {
  for await (const elements of listElements(file, "", "entry")) yield elements.map((element) => () => element);
}

/** The elements of a list of the file; an error in one is an error of the file, for nobody knows where it ends. */
async function* listElements(file: string, list: string, unit: string): AsyncGenerator<IteratorObject<unknown>> {
  const cutter = new ListCutter(list, unit);
  const parse = function* (pieces: Iterable<Uint8Array>): Generator<unknown> {
    for (const piece of pieces) {
      const { value, error } = tryParse(decode(piece));
      if (error) throw new SyntaxError(`Cannot read "${file}": ${cutter.place} cannot be read: ${error}`);
      yield value;
    }
  };
  for await (const pieces of cut(file, cutter)) yield parse(pieces);
  if (cutter.inList) throw new SyntaxError(`Cannot read "${file}": it is not JSON (it ends inside ${cutter.place})`);
  const { value, error } = tryParse(cutter.outline());
  if (error) throw new SyntaxError(`Cannot read "${file}": ${error}`);
  if (list && !(isRecord(value) && Array.isArray(value[list]))) {
    throw new SyntaxError(`Cannot read "${file}": "${list}" must be a list`);
  }
}

/** Captions of COCO: the lists "images" and "annotations" in either order, so each is found by a pass of its own. */
async function* cocoItems(file: string): AsyncGenerator<Iterable<() => unknown>> {
  const nameOf = await readImageNames(file);
  const item = (annotation: unknown) => () => {
    if (!isRecord(annotation)) throw new SyntaxError(`must be an object: it is ${show(annotation)}`);
    const image = nameOf(annotation.image_id);
    if (image !== undefined) return { image, caption: annotation.caption };
    throw new SyntaxError(
      `has ${show(annotation.image_id)} as "image_id"; the id of one of the file's images is expected`,
    );
  };
  for await (const annotations of listElements(file, "annotations", "annotation")) yield annotations.map(item);
}

async function readImageNames(file: string): Promise<(id: unknown) => string | undefined> {
  const names = new StringTable(), numbers = new Map<unknown, number>();
  let index = 0;
  for await (const images of listElements(file, "images", "image")) {
    for (const image of images) {
      if (!isRecord(image) || typeof image.file_name !== "string" || typeof image.id !== "number") {
        throw new SyntaxError(
          `Cannot read "${file}": image ${index} must have a number as "id" and a string as "file_name"`,
        );
      }
      numbers.set(image.id, names.add(image.file_name));
      index++;
    }
  }
  return (id) => {
    const number = numbers.get(id);
    return number === undefined ? undefined : names.at(number);
  };
}
