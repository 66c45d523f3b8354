/**
 * Files of a data set, read item by item into whatever holds its examples.
 *
 * @module
 */
import type { Skipped } from "./dataset.ts";
import { isRecord, type Items, show } from "./json_items.ts";

/** Which files are read, and how. */
export interface ItemFiles {
  /** Files, read one after the other: an index counts through all of them. */
  readonly data: readonly string[];
  /** What happens to an entry that cannot be read. @default "stop" */
  readonly onError?: "stop" | "skip" | undefined;
  /**
   * Entries to take, by their field `split`: one split, or several joined by "+", such as "train+restval".
   *
   * @default all
   */
  readonly split?: string | undefined;
}

/** Says what it is that an entry has that keeps it out whatever `onError` says: it is counted as skipped. */
export class LeftOut extends Error {
  override name = "LeftOut";
}

/**
 * Gives every item to `take`, which throws a `SyntaxError` that says what is wrong with it, as in "has no image".
 *
 * @returns What could not be taken.
 * @throws {SyntaxError} If an item cannot be read and `onError` is "stop", or if none was taken; names file and item.
 */
export async function readItems(
  files: ItemFiles,
  open: (file: string) => Promise<Items>,
  take: (item: unknown, file: string) => void,
): Promise<Skipped[]> {
  const all = takeItems(files, open, take);
  while (true) {
    const { done, value } = await all.next();
    if (done) return value;
  }
}

/** As {@linkcode readItems}, but gives what `take` makes of the items, some of them at a time, while the files are read. */
export async function* takeItems<T>(
  { data, onError = "stop", split }: ItemFiles,
  open: (file: string) => Promise<Items>,
  take: (item: unknown, file: string) => T,
): AsyncGenerator<T[], Skipped[]> {
  const skipped: Skipped[] = [], splits = split?.split("+"), others = new Set<string>();
  let count = 0, seen = 0;
  for (const file of data) {
    const { unit, first, items } = await open(file);
    let index = first;
    for await (const batch of items) {
      const taken: T[] = [];
      for (const item of batch) {
        seen++;
        try {
          const value = item();
          if (!splits || isOf(splits, value, others)) taken.push(take(value, file));
        } catch (error) {
          if (!(error instanceof SyntaxError || error instanceof LeftOut)) throw error; // no memory left, for example
          const reason = `${unit} ${index} ${error.message}`;
          if (onError === "stop" && !(error instanceof LeftOut)) {
            throw new SyntaxError(`Cannot read "${file}": ${reason}`);
          }
          skipped.push({ index, file, reason });
        }
        index++;
      }
      count += taken.length;
      if (taken.length) yield taken;
    }
  }
  if (count) return skipped;
  const found = others.size
    ? ` of the split "${split}": its splits are ${[...others].join(", ")}`
    : skipped.length
    ? ` that can be used: ${skipped.length} of ${seen} were left out, the first since ${skipped[0]!.reason}`
    : ", at least one is needed";
  throw new SyntaxError(`Cannot read "${data.join(", ")}": it has no entries${found}`);
}

/** Whether an entry is of one of the splits; notes the first ones that it finds instead. */
function isOf(splits: readonly string[], value: unknown, others: Set<string>): boolean {
  const split = isRecord(value) ? value.split : undefined;
  if (typeof split !== "string") {
    throw new SyntaxError(`has ${show(split)} as "split"; a string is expected where a split is asked for`);
  }
  if (splits.includes(split)) return true;
  if (others.size < 10) others.add(split);
  return false;
}
