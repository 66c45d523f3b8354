/**
 * The files of images and captions, item by item.
 *
 * @module
 */
import type { ImageFolder } from "./image_paths.ts";
import { idKey, isRecord, type Items, listElements, listItems, openRows, readOutline, show } from "./json_items.ts";
import { openTable } from "./separated.ts";
import { StringTable } from "./string_table.ts";

/**
 * Layout of a file: ALBEF's JSON list (or its objects as JSON lines), COCO captions, Karpathy's `dataset_coco.json` and
 * `dataset_flickr30k.json`, or a table of paths and captions with tabs or commas: two columns, or more with a header that names
 * them, as open_clip's have.
 */
export type DatasetFormat = "albef" | "coco" | "karpathy" | "tsv" | "csv";

/** How files are read. */
export interface FileOptions extends ImageFolder {
  /** Format of the files. @default found from each file's name and content */
  readonly format?: DatasetFormat;
}

/**
 * The items of a file in any of the formats.
 *
 * @throws {SyntaxError} If the file as a whole cannot be read, here or while its items are taken.
 */
export async function openItems(file: string, { format, images }: FileOptions): Promise<Items> {
  switch (format ?? await findFormat(file)) {
    case "tsv":
      return await openTable(file, "\t");
    case "csv":
      return await openTable(file, ",");
    case "coco":
      if (images !== undefined) return { unit: "annotation", first: 0, items: cocoItems(file) };
      throw new TypeError(`Cannot read "${file}": COCO captions need the folder of the images`);
    case "karpathy":
      return { unit: "image", first: 0, items: listItems(file, "images", "image", karpathyRow) };
    case "albef":
      return await openRows(file);
  }
}

async function findFormat(file: string): Promise<DatasetFormat> {
  const [, ending] = /\.(tsv|txt|csv)(\.gz)?$/i.exec(file) ?? [];
  if (ending) return ending.toLowerCase() === "csv" ? "csv" : "tsv";
  const lists = (await readOutline(file))?.lists;
  return lists?.has("annotations") ? "coco" : lists?.has("images") ? "karpathy" : "albef";
}

/** An image of Karpathy's with its sentences; COCO's are in a folder for each year, Flickr's in one. */
function karpathyRow(image: unknown): unknown {
  if (!isRecord(image)) throw new SyntaxError(`must be an object: it is ${show(image)}`);
  const { filepath, filename, sentences, split } = image;
  if (typeof filename !== "string" || !filename) {
    throw new SyntaxError(`has ${show(filename)} as "filename"; the name of an image is expected`);
  }
  if (filepath !== undefined && typeof filepath !== "string") {
    throw new SyntaxError(`has ${show(filepath)} as "filepath"; a folder or nothing is expected`);
  }
  if (
    !Array.isArray(sentences) || !sentences.length || !sentences.every((s) => isRecord(s) && typeof s.raw === "string")
  ) {
    throw new SyntaxError(
      `has ${show(sentences)} as "sentences"; a list of objects with a string as "raw" is expected`,
    );
  }
  return { image: filepath ? `${filepath}/${filename}` : filename, caption: sentences.map(({ raw }) => raw), split };
}

/** Captions of COCO: the lists "images" and "annotations" in either order, so each is found by a pass of its own. */
async function* cocoItems(file: string): AsyncGenerator<Iterable<() => unknown>> {
  const nameOf = await readImageNames(file);
  yield* listItems(file, "annotations", "annotation", (annotation) => {
    if (!isRecord(annotation)) throw new SyntaxError(`must be an object: it is ${show(annotation)}`);
    const image = nameOf(annotation.image_id);
    if (image !== undefined) return { image, caption: annotation.caption };
    throw new SyntaxError(
      `has ${show(annotation.image_id)} as "image_id"; the id of one of the file's images is expected`,
    );
  });
}

/**
 * The names of the images of a file in COCO's layout, by id; ids are whole numbers of any size, or texts.
 *
 * @throws {SyntaxError} If an id repeats with another name: nobody would know whose captions they are.
 */
export async function readImageNames(file: string): Promise<(id: unknown) => string | undefined> {
  const names = new StringTable(), numbers = new Map<number | string, number>();
  let index = 0;
  for await (const images of listElements(file, "images", "image")) {
    for (const image of images) {
      const id = isRecord(image) ? idKey(image.id) : undefined;
      if (id === undefined || !isRecord(image) || typeof image.file_name !== "string" || !image.file_name) {
        throw new SyntaxError(
          `Cannot read "${file}": image ${index} must have a whole number or a string as "id" and a string as "file_name"`,
        );
      }
      const name = names.add(image.file_name), other = numbers.get(id) ?? name;
      if (other !== name) {
        throw new SyntaxError(
          `Cannot read "${file}": image ${index}, ${show(image.file_name)}, has the "id" ${show(image.id)} ` +
            `of ${show(names.at(other))}; an id of its own is expected`,
        );
      }
      numbers.set(id, name);
      index++;
    }
  }
  return (id) => {
    const key = idKey(id), number = key === undefined ? undefined : numbers.get(key);
    return number === undefined ? undefined : names.at(number);
  };
}
