/**
 * Whether sentences follow from images: the rows of ALBEF and the JSON lines of SNLI-VE.
 *
 * @module
 */
import type { Example, ImageFile } from "./dataset.ts";
import { LeftOut } from "./read_items.ts";
import {
  type Fields,
  fieldsOf,
  openTask,
  type TaskDataset,
  type TaskFiles,
  textField,
  unexpected,
} from "./task_files.ts";

/** What an image says about a sentence, in the order of the classes. */
export const ENTAILMENT_CLASSES = ["contradiction", "neutral", "entailment"] as const;
/** The sentence is false, may be true or false, or is true. */
export type EntailmentClass = typeof ENTAILMENT_CLASSES[number];

/** A sentence that an image contradicts, leaves open or entails. */
export interface EntailmentExample extends Example {
  /** The image, which is the premise. */
  readonly images: readonly [ImageFile];
  /** The hypothesis as it was written: to be cleaned as captions are. */
  readonly sentence: string;
  /** What the image says about it. */
  readonly label: EntailmentClass;
}

/** Sentences by index. */
export type EntailmentDataset = TaskDataset<EntailmentExample>;

/**
 * Opens sentences that follow from images or not. A row is one of ALBEF, with `image`, `sentence` and `label`, or a line of
 * SNLI-VE, with `Flickr30K_ID`, `sentence2` and `gold_label`; a line whose label is "-", for its annotators did not agree, is
 * left out and listed in `skipped`. Images are named without ".jpg", which is added to names that have no extension.
 *
 * @throws {SyntaxError} If a file is broken; the message names the file, the entry or line, the field and what is expected.
 */
export async function openEntailment(options: TaskFiles): Promise<EntailmentDataset> {
  return await openTask<EntailmentExample>(options, (row) => {
    const fields = fieldsOf(row), ve = fields.Flickr30K_ID !== undefined;
    const [image, sentence, label] = ve ? ["Flickr30K_ID", "sentence2", "gold_label"] : ["image", "sentence", "label"];
    if (ve && fields.gold_label === "-") throw new LeftOut('has "-" as "gold_label": its annotators did not agree');
    return {
      images: [imagePath(textField(fields, image!, "the name of an image"))],
      sentence: textField(fields, sentence!),
      label: labelField(fields, label!),
    };
  });
}

function imagePath(name: string): string {
  return /\.(jpe?g|png|webp|gif)$/i.test(name) ? name : `${name}.jpg`;
}

function labelField(fields: Fields, name: string): EntailmentClass {
  const label = ENTAILMENT_CLASSES.find((label) => label === fields[name]);
  if (label) return label;
  throw unexpected(fields, name, ENTAILMENT_CLASSES.map((label) => `"${label}"`).join(" or "));
}
