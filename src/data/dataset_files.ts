/**
 * The files of images and captions, item by item.
 *
 * @module
 */
import { isRecord, type Items, lineItems, listElements, listItems, openRows, readOutline, show } from "./json_items.ts";
import { StringTable } from "./string_table.ts";
import { unpackedName } from "./text_stream.ts";

/**
 * Layout of a file: ALBEF's JSON list (or its objects as JSON lines), COCO captions, Karpathy's `dataset_coco.json` and
 * `dataset_flickr30k.json`, or lines of path, tab, caption.
 */
export type DatasetFormat = "albef" | "coco" | "karpathy" | "tsv";

/** How files are read. */
export interface FileOptions {
  /** Folder that relative image paths start from; COCO needs it. @default the working directory */
  readonly images?: string;
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
      return { unit: "line", first: 1, items: lineItems(file, splitColumns) };
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
  if (/\.(tsv|txt)$/i.test(unpackedName(file))) return "tsv";
  const lists = (await readOutline(file))?.lists;
  return lists?.has("annotations") ? "coco" : lists?.has("images") ? "karpathy" : "albef";
}

function splitColumns(line: string): unknown {
  const [image, caption, ...rest] = line.split("\t");
  if (image && caption !== undefined && !rest.length) return { image, caption };
  throw new SyntaxError(
    `has ${line.split("\t").length} columns; the path of an image, a tab and a caption are expected`,
  );
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

/** The names of the images of a file in COCO's layout, by id. */
export async function readImageNames(file: string): Promise<(id: unknown) => string | undefined> {
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
