/**
 * JSON files item by item: lists and lines.
 *
 * @module
 */
import { type Cutter, decode, LineCutter, ListCutter, readChunks } from "./text_stream.ts";

/**
 * The longest item that a file may have, in bytes. One that is longer is refused when a chunk ends in it: it would fill
 * the memory, and a quotation mark is probably missing.
 */
export const longestItem: number = 16 << 20;

/** What is in a file, to be read one by one so that an error concerns one item. */
export interface Items {
  /** What a message calls an item. */
  readonly unit: "entry" | "line" | "row" | "annotation" | "image" | "question" | "expression";
  /** Number of the first one. */
  readonly first: number;
  /** Batch by batch; an item is a function that gives an object of ALBEF's form or says what is wrong. */
  readonly items: AsyncIterable<Iterable<() => unknown>>;
}

/** What a file has around its lists. */
export interface Outline {
  /** Names of the lists that are direct values of the object that is the whole file. */
  readonly lists: ReadonlySet<string>;
  /** The file's text without the elements of its lists. */
  readonly text: string;
}

/** The outline of a file that is one object; JSON lines are several objects and have none. */
export async function readOutline(file: string): Promise<Outline | undefined> {
  if (await firstCharacter(file) !== "{") return undefined;
  const cutter = new ListCutter("", "entry");
  for await (const chunk of readChunks(file)) {
    cutter.push(chunk).toArray(); // for what it notes
    if (cutter.values > 1 || cutter.held > longestItem) return undefined;
  }
  return { lists: cutter.lists, text: cutter.outline() };
}

/**
 * The items of a JSON list or of JSON lines.
 *
 * @throws {SyntaxError} If the file as a whole cannot be read, here or while its items are taken.
 */
export async function openRows(file: string): Promise<Items> {
  const start = await firstCharacter(file);
  if (start === "{") return { unit: "line", first: 1, items: lineItems(file, parseLine) };
  if (start === "[") return { unit: "entry", first: 0, items: listItems(file, "", "entry") };
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
  const text = typeof value === "bigint" ? String(value) : textOf(value);
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}

function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "nothing";
  } catch { // it is nested too deeply, or has bigints in it
    return Array.isArray(value) ? "[...]" : "{...}";
  }
}

/** The first character that is not white space, "" if there is none. */
async function firstCharacter(file: string): Promise<string> {
  for await (const chunk of readChunks(file)) {
    const at = chunk.findIndex((byte) => byte > 0x20);
    if (at >= 0) return decode(chunk.subarray(at, at + 4)).slice(0, 1);
  }
  return "";
}

async function* cut(file: string, cutter: Cutter): AsyncGenerator<Iterable<Uint8Array>> {
  for await (const chunk of readChunks(file)) {
    yield cutter.push(chunk);
    if (cutter.held > longestItem) {
      throw new SyntaxError(`Cannot read "${file}": ${cutter.place} is longer than ${longestItem >> 20} MiB`);
    }
  }
}

/** How many blank lines may stand together; they are kept until it is known whether the file ends with them. */
const MOST_BLANK = 100_000;

/** A cutter that knows what is left at the end of the file. */
interface LastingCutter extends Cutter {
  rest(): Uint8Array;
}

/** Lines; white space at the end of the file is none. */
export function lineItems(file: string, read: (line: string) => unknown): AsyncGenerator<Iterable<() => unknown>> {
  return itemsOf(file, new LineCutter(), read);
}

/** What a cutter gives; white space at the end of the file is no item. */
export async function* itemsOf(
  file: string,
  cutter: LastingCutter,
  read: (text: string) => unknown,
): AsyncGenerator<Iterable<() => unknown>> {
  const blank: string[] = [];
  const items = function* (pieces: Iterable<Uint8Array>): Generator<() => unknown> {
    for (const bytes of pieces) {
      const text = decode(bytes);
      blank.push(text);
      if (/\S/.test(text)) yield* blank.splice(0).map((text) => () => read(text));
      if (blank.length <= MOST_BLANK) continue;
      throw new SyntaxError(`Cannot read "${file}": more than ${MOST_BLANK} lines without text follow each other`);
    }
  };
  for await (const pieces of cut(file, cutter)) yield items(pieces);
  yield items([restOf(cutter, file)]);
}

function restOf(cutter: LastingCutter, file: string): Uint8Array {
  try {
    return cutter.rest();
  } catch (error) {
    throw new SyntaxError(`Cannot read "${file}": ${(error as Error).message}`);
  }
}

function parseLine(line: string): unknown {
  const { value, error } = tryParse(line);
  if (error) throw new SyntaxError(`cannot be read: ${error}`);
  return value;
}

/** What JSON says, or why it is none. Integers beyond 2^53, such as ids, become bigints: as numbers they would be those of others. */
export function tryParse(text: string): { value?: unknown; error?: string } {
  try {
    return { value: LONG_INTEGER.test(text) ? JSON.parse(text, exactInteger) : JSON.parse(text) };
  } catch (error) {
    if (error instanceof RangeError) return { error: "its lists and objects are nested too deeply" };
    return { error: `it is not JSON (${(error as Error).message})` };
  }
}

const LONG_INTEGER = /(?<![\d.])\d{16}/;

/** The most digits of an id. */
const MOST_DIGITS = 40;

function exactInteger(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source ?? "";
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  return /^-?\d+$/.test(source) && source.length <= MOST_DIGITS ? BigInt(source) : value;
}

/** An id as the key of a map: 7 and "7" are one, and integers of any size stay apart; undefined if it is none. */
export function idKey(id: unknown): number | string | undefined {
  if (typeof id === "bigint") return String(id);
  if (typeof id === "string" && id !== "") return String(Number(id)) === id ? idKey(Number(id)) ?? id : id;
  return Number.isSafeInteger(id) ? id as number : undefined;
}

/** The elements of a list of the file, each turned into an object of the form that is wanted. */
export async function* listItems(
  file: string,
  list: string,
  unit: string,
  read: (element: unknown) => unknown = (element) => element,
): AsyncGenerator<Iterable<() => unknown>> {
  for await (const elements of listElements(file, list, unit)) yield elements.map((element) => () => read(element));
}

/** The elements of a list of the file; an error in one is an error of the file, for nobody knows where it ends. */
export async function* listElements(
  file: string,
  list: string,
  unit: string,
): AsyncGenerator<IteratorObject<unknown>> {
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
