/**
 * Data sets of images and captions, as their files describe them; no image is opened here.
 *
 * @module
 */

import { type CaptionDataset, type CaptionEntry, captionPair } from "./caption_pairs.ts";
import type { Skipped } from "./dataset.ts";
import { type FileOptions, openItems } from "./dataset_files.ts";
import { type ImageFolder, ImagePaths } from "./image_paths.ts";
import { isRecord, show } from "./json_items.ts";
import { type ItemFiles, readItems } from "./read_items.ts";
import { NumberList, StringList } from "./string_table.ts";

/** Options of {@linkcode openDataset}. */
export interface DatasetOptions extends FileOptions, ItemFiles {
  /**
   * What becomes an entry: what the file has as one (COCO: a caption; ALBEF and Karpathy: an object, perhaps with a list of captions),
   * every caption, or every image with all its captions. @default "row"
   */
  readonly groupBy?: "row" | "caption" | "image";
}

/** An entry as a file has it. */
interface Row {
  readonly image: string;
  readonly captions: readonly string[];
}

/**
 * Opens a data set; each file may have another of the formats. Files are read as a stream and may be larger than a string; paths
 * and captions are held as UTF-8.
 *
 * @throws {SyntaxError} If a file is broken, or an entry or line is longer than 16 MiB; the message names the file, the
 *   entry or line, the field and what is expected.
 */
export async function openDataset(options: DatasetOptions): Promise<CaptionDataset> {
  const rows = new Rows(options.groupBy === "caption", options);
  const skipped = await readItems(options, (file) => openItems(file, options), (item) => rows.add(toRow(item)));
  const name = options.data.join(", ");
  return toDataset(name, options.groupBy === "image" ? byImage(rows) : rows, skipped);
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

/** Entries whose texts are not decoded yet. */
interface Table {
  readonly length: number;
  imageId(index: number): number;
  path(imageId: number): string;
  captions(index: number): string[];
}

/** Rows in the order of the files, or one for each of their captions. */
class Rows implements Table {
  readonly paths: ImagePaths;
  readonly texts = new StringList();
  readonly #imageIds = new NumberList(Uint32Array);
  readonly #ends = new NumberList(Uint32Array);

  constructor(readonly separate: boolean, folder: ImageFolder) {
    this.paths = new ImagePaths(folder);
  }

  get length(): number {
    return this.#imageIds.length;
  }

  add({ image, captions }: Row): void {
    const imageId = this.paths.add(image);
    captions.forEach((caption, i) => {
      this.texts.push(caption);
      if (!this.separate && i < captions.length - 1) return;
      this.#imageIds.push(imageId);
      this.#ends.push(this.texts.length);
    });
  }

  imageId(index: number): number {
    return this.#imageIds.at(index);
  }

  path(imageId: number): string {
    return this.paths.at(imageId);
  }

  captions(index: number): string[] {
    const start = this.start(index);
    return Array.from({ length: this.start(index + 1) - start }, (_, i) => this.texts.at(start + i));
  }

  /** Number of the row's first caption. */
  start(index: number): number {
    return index === 0 ? 0 : this.#ends.at(index - 1);
  }
}

/** An entry for every image: its captions in the order of the rows, sorted by counting. */
function byImage(rows: Rows): Table {
  const starts = new Uint32Array(rows.paths.length + 1), order = new Uint32Array(rows.texts.length);
  const count = (row: number) => rows.start(row + 1) - rows.start(row);
  for (let row = 0; row < rows.length; row++) starts[rows.imageId(row) + 1]! += count(row);
  for (let id = 0; id < rows.paths.length; id++) starts[id + 1]! += starts[id]!;
  const next = starts.slice();
  for (let row = 0; row < rows.length; row++) {
    for (let i = 0; i < count(row); i++) order[next[rows.imageId(row)]!++] = rows.start(row) + i;
  }
  return {
    length: rows.paths.length,
    imageId: (index) => index,
    path: (imageId) => rows.path(imageId),
    captions: (index) => Array.from(order.subarray(starts[index], starts[index + 1]), (text) => rows.texts.at(text)),
  };
}

function toDataset(name: string, table: Table, skipped: readonly Skipped[]): CaptionDataset {
  const { length } = table;
  const entry = (index: number): CaptionEntry => {
    if (!Number.isInteger(index) || index < 0 || index >= length) {
      throw new RangeError(`Cannot take entry ${index} of "${name}": it has the entries 0 to ${length - 1}`);
    }
    const imageId = table.imageId(index);
    return { image: table.path(imageId), captions: table.captions(index), imageId };
  };
  return { name, skipped, length, entry, example: (index, random) => captionPair(entry(index), random) };
}
