/**
 * Files of data and results that people give: their texts, the fields of their JSON, and the sentences that refuse them.
 *
 * @module
 */

/** A text and the name of the file that it comes from. */
export interface NamedText {
  /** The file's name, for messages. */
  readonly name: string;
  /** What is in it. */
  readonly text: string;
}

/** A JSON object. */
export type Entry = Readonly<Record<string, unknown>>;

/** JSON of a text; `where` is the file, or the file and the line. */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message.replace(/\s+/g, " ");
    throw new SyntaxError(`${where} must be JSON: ${reason}`);
  }
}

/** A value that must be an object. */
export function entryOf(value: unknown, where: string): Entry {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Entry;
  return refuse(where, "an object", value);
}

/** A value that must be a list; `where` is its name behind the file's. */
export function listOf(value: unknown, where: string): readonly unknown[] {
  return Array.isArray(value) ? value : refuse(where, "a list", value);
}

/** A field that must be a text. */
export function textOf(entry: Entry, key: string, where: string): string {
  const value = field(entry, key);
  return typeof value === "string" ? value : refuse(`${where}: "${key}"`, "a text", value);
}

/** A field that must be a whole number. */
export function wholeOf(entry: Entry, key: string, where: string): number {
  const value = field(entry, key);
  return Number.isSafeInteger(value) ? value as number : refuse(`${where}: "${key}"`, "a whole number", value);
}

/** A field, undefined if there is none. */
export function field(entry: Entry, key: string): unknown {
  return Object.hasOwn(entry, key) ? entry[key] : undefined;
}

/** Refuses a value. */
export function refuse(where: string, rule: string, value: unknown): never {
  const text = JSON.stringify(value) ?? "missing";
  throw new TypeError(`${where} must be ${rule}: it is ${text.length > 40 ? `${text.slice(0, 40)}...` : text}`);
}
