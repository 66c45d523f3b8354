/**
 * Expressions that refer to a part of an image, and boxes that a detector found.
 *
 * @module
 */
import type { Example, ImageFile } from "./dataset.ts";
import { isRecord, openRows, show, tryParse } from "./json_items.ts";
import { isPickle, openReferences, readObjects } from "./refcoco.ts";
import { decode, readBytes } from "./text_stream.ts";
import { fieldsOf, openTask, type TaskDataset, type TaskFiles, textField, unexpected } from "./task_files.ts";

/** A box in pixels of the image file. */
export type Box = readonly [left: number, top: number, width: number, height: number];

/** An expression about an image, such as "left man in blue". */
export interface ExpressionExample extends Example {
  /** The image. */
  readonly images: readonly [ImageFile];
  /** As it was written: to be cleaned as captions are. */
  readonly text: string;
  /** The key of the image's boxes in {@linkcode readDetections}. */
  readonly imageId: string;
  /** The data set's number of what is meant. */
  readonly refId?: number | string;
  /** Where it is: for scoring, training takes no boxes. */
  readonly box?: Box;
  /** The split that the expression is of, such as "testA". */
  readonly split?: string;
}

/** Expressions by index. */
export type ExpressionDataset = TaskDataset<ExpressionExample>;

/** Options of {@linkcode openExpressions}. */
export interface ExpressionDatasetOptions extends TaskFiles {
  /** COCO's objects for files of references: RefCOCO+'s "instances.json". */
  readonly annotations?: readonly string[] | undefined;
}

/**
 * Opens expressions. A file has rows, or it is a pickle of RefCOCO, RefCOCO+ or RefCOCOg such as "refs(unc).p", whose images and
 * boxes come from `annotations`; it is read as data, nothing in it runs.
 *
 * A row has `image`, `text` and where known `ref_id`, `box` ([left, top, width, height] in pixels; also as `bbox`), `split` and
 * `image_id`. The last is the image's key among detections; without it, it is the number at the end of the file's name as in
 * "COCO_train2014_000000581857.jpg", or the name without its extension if it ends in no number.
 *
 * @throws {SyntaxError} If a file is broken; the message names the file, the entry or line, the field and what is expected.
 */
export async function openExpressions(options: ExpressionDatasetOptions): Promise<ExpressionDataset> {
  const objects = options.annotations && await readObjects(options.annotations);
  const open = async (file: string) => {
    if (isPickle(file) !== Boolean(objects)) {
      throw new TypeError(`Cannot read "${file}": "annotations" go with references, a pickle, and with nothing else`);
    }
    return objects ? await openReferences(file, objects) : await openRows(file);
  };
  return await openTask<ExpressionExample>(options, (row) => {
    const fields = fieldsOf(row), image = textField(fields, "image", "a path");
    const { ref_id, image_id, split } = fields, boxName = fields.box === undefined ? "bbox" : "box";
    for (const [name, value] of Object.entries({ ref_id, image_id })) {
      if (value !== undefined && !isId(value)) throw unexpected(fields, name, "a whole number or a string");
    }
    if (split !== undefined) textField(fields, "split");
    if (fields[boxName] !== undefined && !isBox(fields[boxName], 4)) {
      throw unexpected(fields, boxName, "[left, top, width, height] with a positive width and height");
    }
    return {
      images: [image],
      text: textField(fields, "text"),
      imageId: image_id === undefined ? numberOf(image) : String(image_id),
      ...(ref_id === undefined ? {} : { refId: typeof ref_id === "number" ? ref_id : String(ref_id) }),
      ...(fields[boxName] === undefined ? {} : { box: fields[boxName] as unknown as Box }),
      ...(split === undefined ? {} : { split: split as string }),
    };
  }, open);
}

/** The number at the end of a file's name without leading zeros, or the name. */
function numberOf(path: string): string {
  const stem = path.replace(/.*[/\\]/, "").replace(/\.\w+$/, "");
  return /0*(\d+)$/.exec(stem)?.[1] ?? stem;
}

function isId(value: unknown): boolean {
  return typeof value === "bigint" || (typeof value === "string" ? value !== "" : Number.isSafeInteger(value));
}

function isBox(value: unknown, ...lengths: number[]): boolean {
  return Array.isArray(value) && lengths.includes(value.length) && value.every(Number.isFinite) && value[2] > 0 &&
    value[3] > 0;
}

/** The most bytes of a file of detections: those of RefCOCO+'s 20,000 images take a few MiB. */
const LARGEST_DETECTIONS = 256 << 20;

/**
 * The boxes that a detector found in each image, by the image's id: of a JSON object from ids to lists of
 * [left, top, width, height] in pixels; a fifth number, the detector's score, is not used.
 *
 * @throws {SyntaxError} If the file is broken or larger than 256 MiB; names the image, the box and what is expected.
 */
export async function readDetections(path: string): Promise<Map<string, Box[]>> {
  const { value, error } = tryParse(decode(await readBytes(path, LARGEST_DETECTIONS)));
  if (error || !isRecord(value)) {
    throw new SyntaxError(
      `Cannot read "${path}": ${error ?? `it must be an object of image ids: it is ${show(value)}`}`,
    );
  }
  return new Map(
    Object.entries(value).map(([id, boxes]) => {
      if (!Array.isArray(boxes)) {
        throw new SyntaxError(`Cannot read "${path}": image "${id}" has ${show(boxes)}; a list of boxes is expected`);
      }
      boxes.forEach((box, index) => {
        if (isBox(box, 4, 5)) return;
        throw new SyntaxError(
          `Cannot read "${path}": box ${index} of image "${id}" is ${show(box)}; ` +
            "[left, top, width, height] with a positive width and height is expected, perhaps with a score",
        );
      });
      return [id, boxes.map(([left, top, width, height]): Box => [left, top, width, height])];
    }),
  );
}
