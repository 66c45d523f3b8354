/**
 * Data sets of the downstream tasks, as their files describe them; no image is opened here.
 *
 * @module
 */
import type { Dataset, Example, ImageFile } from "./dataset.ts";
import { type ImageFolder, ImagePaths } from "./image_paths.ts";
import { isRecord, type Items, openRows, show } from "./json_items.ts";
import { type ItemFiles, readItems } from "./read_items.ts";
import { StringList } from "./string_table.ts";

/** Files of a downstream task. */
export interface TaskFiles extends ItemFiles, ImageFolder {}

/** Examples by index in which nothing is random. */
export interface TaskDataset<E extends Example> extends Dataset<E> {
  /** An example. @throws {RangeError} If the index is not from 0 to length - 1. */
  entry(index: number): E;
}

/** An example whose images are paths still. */
export type TaskRow<E extends Example> = Omit<E, "images"> & { readonly images: readonly string[] };

/**
 * Opens a data set whose rows `toRow` makes examples, or says with a `SyntaxError` what is wrong.
 *
 * @param toRow Gets the file's path and the number of rows so far too.
 * @param open Gives the rows of a file. @default those of a JSON list or of JSON lines
 */
export async function openTask<E extends Example>(
  options: TaskFiles,
  toRow: (row: unknown, file: string, index: number) => TaskRow<E>,
  open: (file: string) => Promise<Items> = openRows,
): Promise<TaskDataset<E>> {
  const rows = new TaskRows<E>(options);
  const skipped = await readItems(options, open, (item, file) => rows.add(toRow(item, file, rows.length)));
  const name = options.data.join(", "), { length } = rows;
  const entry = (index: number): E => {
    if (Number.isInteger(index) && index >= 0 && index < length) return rows.at(index);
    throw new RangeError(`Cannot take entry ${index} of "${name}": it has the entries 0 to ${length - 1}`);
  };
  return { name, skipped, length, entry, example: entry };
}

/** Rows as JSON in UTF-8: as objects, the answers of a million questions would fill JavaScript's heap. */
class TaskRows<E extends Example> {
  readonly #paths: ImagePaths;
  readonly #rows = new StringList();

  constructor(folder: ImageFolder) {
    this.#paths = new ImagePaths(folder);
  }

  get length(): number {
    return this.#rows.length;
  }

  add({ images, ...row }: TaskRow<E>): void {
    this.#rows.push(JSON.stringify({ ...row, images: images.map((path) => this.#paths.add(path)) }));
  }

  at(index: number): E {
    const { images, ...row } = JSON.parse(this.#rows.at(index)) as { images: number[] };
    return {
      ...row,
      images: images.map((id): ImageFile => ({ path: this.#paths.at(id), id })),
    } as Example as E;
  }
}

/** An object of a file. */
export type Fields = Readonly<Record<string, unknown>>;

/** A row that must be an object. */
export function fieldsOf(row: unknown): Fields {
  if (isRecord(row)) return row;
  throw new SyntaxError(`must be an object: it is ${show(row)}`);
}

/** A field in which something else was expected, as an error. */
export function unexpected(fields: Fields, name: string, expected: string): SyntaxError {
  return new SyntaxError(`has ${show(fields[name])} as "${name}"; ${expected} is expected`);
}

/** A field that must be a text with characters. */
export function textField(fields: Fields, name: string, expected = "a string"): string {
  const value = fields[name];
  if (typeof value === "string" && value !== "") return value;
  throw unexpected(fields, name, expected);
}

/** A field that must be a whole number, not negative. */
export function idField(fields: Fields, name: string): number {
  const value = fields[name];
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw unexpected(fields, name, "a whole number");
}
