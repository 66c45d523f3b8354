/**
 * Data sets of images and captions, as their files describe them; no image is opened here.
 *
 * @module
 */

/** One example: an image and its caption, or several captions of which a draw takes one. */
export interface Entry {
  /** Path of the image file. */
  readonly image: string;
  /** At least one. */
  readonly captions: readonly string[];
  /** The same for all entries of one image, from 0. */
  readonly imageId: number;
}

/** Something that was left out, and why. */
export interface Skipped {
  /** Place in the data set, or in the file for entries that could not be read at all. */
  readonly index: number;
  /** The image, or the file of captions. */
  readonly file: string;
  /** What is wrong with it. */
  readonly reason: string;
}

/** Examples by index. */
export interface Dataset {
  /** For messages. */
  readonly name: string;
  /** Number of entries. */
  readonly length: number;
  /** An entry. @throws {RangeError} If the index is not from 0 to length - 1. */
  entry(index: number): Entry;
  /** Entries of the files that could not be read; only with `onError: "skip"`. */
  readonly skipped: readonly Skipped[];
}

/** Layout of a file: ALBEF's JSON list (or its objects as JSON lines), COCO captions, or lines of path, tab, caption. */
export type DatasetFormat = "albef" | "coco" | "tsv";

/** Options of {@linkcode openDataset}. */
export interface DatasetOptions {
  /** Files, read one after the other: an index counts through all of them. */
  readonly data: readonly string[];
  /** Folder that relative image paths start from; COCO needs it. @default the working directory */
  readonly images?: string;
  /** Format of the files. @default found from each file's name and content */
  readonly format?: DatasetFormat;
  /**
   * What becomes an entry: what the file has as one (COCO: a caption; ALBEF: an object, perhaps with a list of captions),
   * every caption, or every image with all its captions. @default "row"
   */
  readonly groupBy?: "row" | "caption" | "image";
  /** What happens to an entry that cannot be read. @default "stop" */
  readonly onError?: "stop" | "skip";
}

/** An entry as a file has it. */
interface Row {
  readonly image: string;
  readonly captions: readonly string[];
}

/**
 * Opens a data set.
 *
 * @throws {SyntaxError} If a file is broken; the message names the file, the entry or line, the field and what is expected.
 */
export async function openDataset(options: DatasetOptions): Promise<Dataset> {
  const rows: Row[] = [], skipped: Skipped[] = [];
  for (const file of options.data) {
    const { unit, first, items } = await readItems(file, options);
    items.forEach((item, index) => {
      try {
        rows.push(toRow(item()));
      } catch (error) {
        const reason = `${unit} ${index + first} ${(error as Error).message}`;
        if (options.onError !== "skip") throw new SyntaxError(`Cannot read "${file}": ${reason}`);
        skipped.push({ index: index + first, file, reason });
      }
    });
  }
  const name = options.data.join(", ");
  if (!rows.length) throw new SyntaxError(`Cannot read "${name}": it has no entries, at least one is needed`);
  return inMemory(name, toEntries(rows, options), skipped);
}

function inMemory(name: string, entries: readonly Entry[], skipped: readonly Skipped[]): Dataset {
  return {
    name,
    skipped,
    length: entries.length,
    entry(index) {
      const entry = entries[index];
      if (!entry) {
        throw new RangeError(`Cannot take entry ${index} of "${name}": it has the entries 0 to ${entries.length - 1}`);
      }
      return entry;
    },
  };
}

/** What is in a file, to be read one by one so that an error concerns one item. */
interface Items {
  readonly unit: "entry" | "line" | "annotation";
  /** Number of the first one. */
  readonly first: number;
  readonly items: readonly (() => unknown)[];
}

async function readItems(file: string, { format, images }: DatasetOptions): Promise<Items> {
  const text = await readText(file);
  if (format === "tsv" || (!format && /\.(tsv|txt)$/i.test(file))) {
    return { unit: "line", first: 1, items: tsvItems(text) };
  }
  const whole = tryParse(text);
  if (format === "coco" || (!format && isRecord(whole.value) && "annotations" in whole.value)) {
    if (whole.error) throw new SyntaxError(`Cannot read "${file}": ${whole.error}`);
    if (images === undefined) throw new TypeError(`Cannot read "${file}": COCO captions need the folder of the images`);
    return { unit: "annotation", first: 0, items: cocoItems(whole.value, file) };
  }
  if (Array.isArray(whole.value)) return { unit: "entry", first: 0, items: whole.value.map((value) => () => value) };
  if (whole.error && !text.trimStart().startsWith("{")) throw new SyntaxError(`Cannot read "${file}": ${whole.error}`);
  return { unit: "line", first: 1, items: lines(text).map((line) => () => parseLine(line)) };
}

async function readText(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Deno.errors.NotFound(`Cannot read "${file}": there is no such file`);
  }
}

function tryParse(text: string): { value?: unknown; error?: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return { error: `it is not JSON (${(error as Error).message})` };
  }
}

function parseLine(line: string): unknown {
  const { value, error } = tryParse(line);
  if (error) throw new SyntaxError(`cannot be read: ${error}`);
  return value;
}

function lines(text: string): string[] {
  return text.replace(/\s+$/, "").split(/\r?\n/);
}

function tsvItems(text: string): (() => unknown)[] {
  return lines(text).map((line) => () => {
    const [image, caption, ...rest] = line.split("\t");
    if (image && caption !== undefined && !rest.length) return { image, caption };
    throw new SyntaxError(
      `has ${line.split("\t").length} columns; the path of an image, a tab and a caption are expected`,
    );
  });
}

function cocoItems(value: unknown, file: string): (() => unknown)[] {
  const part = (name: string): unknown[] => {
    if (isRecord(value) && Array.isArray(value[name])) return value[name];
    throw new SyntaxError(`Cannot read "${file}": "${name}" must be a list`);
  };
  const names = new Map<unknown, string>();
  part("images").forEach((image, i) => {
    if (!isRecord(image) || typeof image.file_name !== "string" || typeof image.id !== "number") {
      throw new SyntaxError(`Cannot read "${file}": image ${i} must have a number as "id" and a string as "file_name"`);
    }
    names.set(image.id, image.file_name);
  });
  return part("annotations").map((annotation) => () => {
    if (!isRecord(annotation)) throw new SyntaxError(`must be an object: it is ${show(annotation)}`);
    const image = names.get(annotation.image_id);
    if (image !== undefined) return { image, caption: annotation.caption };
    throw new SyntaxError(
      `has ${show(annotation.image_id)} as "image_id"; the id of one of the file's images is expected`,
    );
  });
}

/** Checks an object of ALBEF's form, which the other readers give too. */
function toRow(value: unknown): Row {
  if (!isRecord(value)) throw new SyntaxError(`must be an object: it is ${show(value)}`);
  const { image, caption } = value, captions = typeof caption === "string" ? [caption] : caption;
  if (typeof image !== "string" || !image) throw new SyntaxError(`has ${show(image)} as "image"; a path is expected`);
  if (Array.isArray(captions) && captions.length && captions.every((c) => typeof c === "string")) {
    return { image, captions };
  }
  throw new SyntaxError(`has ${show(caption)} as "caption"; a string or a list of strings is expected`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value in a message. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}

function toEntries(rows: readonly Row[], { images = "", groupBy = "row" }: DatasetOptions): Entry[] {
  const ids = new Map<string, number>();
  const entries = rows.map(({ image, captions }) => {
    if (!ids.has(image)) ids.set(image, ids.size);
    return { image: inFolder(images, image), captions, imageId: ids.get(image)! };
  });
  if (groupBy === "row") return entries;
  if (groupBy === "caption") {
    return entries.flatMap((entry) => entry.captions.map((c) => ({ ...entry, captions: [c] })));
  }
  const grouped = Map.groupBy(entries, (entry) => entry.imageId).values();
  return [...grouped].map((group) => ({ ...group[0]!, captions: group.flatMap((entry) => entry.captions) }));
}

function inFolder(folder: string, path: string): string {
  return folder === "" || /^([/\\]|[A-Za-z]:[/\\])/.test(path) ? path : `${folder.replace(/[/\\]+$/, "")}/${path}`;
}
