/**
 * Sentences about two images: the rows of ALBEF and the JSON lines of NLVR2 and NLVR.
 *
 * @module
 */
import type { NlvrExample } from "./nlvr_collate.ts";
import {
  type Fields,
  fieldsOf,
  openTask,
  type TaskDataset,
  type TaskFiles,
  textField,
  unexpected,
} from "./task_files.ts";

/** A sentence of a data set. */
export interface NlvrSentence extends NlvrExample {
  /** The file's own name of the example, which predictions repeat; where it has none, the index. */
  readonly identifier: string;
}

/** Sentences by index. */
export type NlvrDataset = TaskDataset<NlvrSentence>;

/**
 * Opens sentences about two images. A row has `sentence`, `label` ("True" or "False", in any case, or a boolean) and names its
 * images in one of these ways:
 *
 * - ALBEF: `images`, two paths.
 * - NLVR2: `identifier`, such as "dev-850-0-2": "dev/dev-850-0-img0.png" and "dev/dev-850-0-img1.png", and in the folder
 *   `directory` of "train" for training.
 * - NLVR, whose one picture stands for both images: `image`, a path; or `identifier`, such as "1572-0", and `directory`:
 *   "images/2/dev-1572-0-0.png", the first of the picture's permutations, where the file's name tells the split.
 *
 * @throws {SyntaxError} If a file is broken; the message names the file, the entry or line, the field and what is expected.
 */
export async function openNlvr(options: TaskFiles): Promise<NlvrDataset> {
  return await openTask<NlvrSentence>(options, (row, file, index) => {
    const fields = fieldsOf(row), { identifier } = fields;
    if (identifier !== undefined) textField(fields, "identifier");
    return {
      images: imagePaths(fields, file),
      sentence: textField(fields, "sentence"),
      label: truth(fields),
      identifier: identifier as string | undefined ?? String(index),
    };
  });
}

function truth(fields: Fields): boolean {
  const label = String(fields.label).toLowerCase();
  if (label === "true" || label === "false") return label === "true";
  throw unexpected(fields, "label", '"True" or "False"');
}

function imagePaths(fields: Fields, file: string): readonly [string, string] {
  const { images, image, identifier } = fields;
  if (images !== undefined) {
    if (Array.isArray(images) && images.length === 2 && images.every((path) => typeof path === "string" && path)) {
      return images as [string, string];
    }
    throw unexpected(fields, "images", "a list of two paths");
  }
  if (image !== undefined) {
    const path = textField(fields, "image", "a path");
    return [path, path];
  }
  if (typeof identifier !== "string") {
    throw new SyntaxError('names no images; "images" with two paths, "image", or "identifier" is expected');
  }
  return nlvr2Images(fields, identifier) ?? nlvrImages(fields, identifier, file);
}

/** The identifier is split, set of pairs, pair and sentence. */
function nlvr2Images(fields: Fields, identifier: string): [string, string] | undefined {
  const [, pair, split] = /^((\w+)-\d+-\d+)-\d+$/.exec(identifier) ?? [];
  if (!pair) return undefined;
  const folder = fields.directory === undefined ? split : `${split}/${directory(fields)}`;
  return [`${folder}/${pair}-img0.png`, `${folder}/${pair}-img1.png`];
}

/** The identifier is sentence and picture. */
function nlvrImages(fields: Fields, identifier: string, file: string): [string, string] {
  if (!/^\d+-\d+$/.test(identifier)) {
    throw unexpected(fields, "identifier", 'one of NLVR2, as "dev-850-0-2", or of NLVR, as "1572-0",');
  }
  const [split] = /train|dev|test/.exec(file.replace(/.*[/\\]/, "")) ?? [];
  if (!split) {
    throw new SyntaxError(
      'names its image by "identifier", so the file\'s name must tell the split: "train", "dev" or "test" is expected in it',
    );
  }
  const path = `images/${directory(fields)}/${split}-${identifier}-0.png`;
  return [path, path];
}

function directory(fields: Fields): string {
  const { directory } = fields;
  if (/^\d+$/.test(String(directory))) return String(directory);
  throw unexpected(fields, "directory", "the number of a folder");
}
