/**
 * The own files of RefCOCO, RefCOCO+ and RefCOCOg: references, a pickle, and the objects that they are to, in COCO's layout.
 *
 * @module
 */
import { unpickle } from "../io/pickle.ts";
import type { PickleValue } from "../io/pickle_values.ts";
import { readImageNames } from "./dataset_files.ts";
import { idKey, isRecord, type Items, listElements, show } from "./json_items.ts";
import { type Fields, idField, textField, unexpected } from "./task_files.ts";
import { readBytes } from "./text_stream.ts";

/** The most bytes of a file of references: RefCOCO+'s 141,000 expressions take tens of MiB. */
const LARGEST_REFERENCES = 256 << 20;

/** The objects of images. */
interface Objects {
  image(id: unknown): string | undefined;
  box(id: unknown): unknown;
}

/** Whether a file is a pickle by its name, as "refs(unc).p" is. */
export function isPickle(file: string): boolean {
  return /\.(p|pkl|pickle)$/i.test(file);
}

/** The images and boxes of files such as RefCOCO+'s "instances.json". */
export async function readObjects(files: readonly string[]): Promise<Objects> {
  const names: ((id: unknown) => string | undefined)[] = [], boxes = new Map<number | string, unknown>();
  for (const file of files) {
    names.push(await readImageNames(file));
    let index = 0;
    for await (const annotations of listElements(file, "annotations", "annotation")) {
      for (const annotation of annotations) {
        const id = isRecord(annotation) ? idKey(annotation.id) : undefined;
        if (id === undefined || !isRecord(annotation)) {
          throw new SyntaxError(
            `Cannot read "${file}": annotation ${index} must be an object with a whole number or a string as "id"`,
          );
        }
        const { bbox } = annotation;
        if (boxes.has(id) && String(boxes.get(id)) !== String(bbox)) {
          throw new SyntaxError(
            `Cannot read "${file}": annotation ${index} has the "id" ${show(id)} of an earlier one with another box`,
          );
        }
        boxes.set(id, bbox);
        index++;
      }
    }
  }
  return {
    image: (id) => names.map((name) => name(id)).find((name) => name !== undefined),
    box: (id) => boxes.get(idKey(id)!),
  };
}

/** The expressions of a file of references, as rows of ALBEF's form with box and split. */
export async function openReferences(file: string, objects: Objects): Promise<Items> {
  const nothing = { isKnown: () => false, call: fail, persistent: fail };
  const references = unpickle(await readBytes(file, LARGEST_REFERENCES), nothing, file);
  if (!Array.isArray(references)) throw new SyntaxError(`Cannot read "${file}": it must be a list of references`);
  const items = references.values().flatMap((reference) => expressions(reference, objects));
  return { unit: "expression", first: 0, items: only(items) };
}

function fail(): never {
  throw new SyntaxError("a file of references calls nothing"); // no name is known, so none can be called
}

async function* only<T>(value: T): AsyncGenerator<T> {
  yield value;
}

function* expressions(reference: PickleValue, objects: Objects): Generator<() => unknown> {
  const fields = reference instanceof Map ? Object.fromEntries(reference) : undefined, sentences = fields?.sentences;
  if (!fields || !Array.isArray(sentences)) {
    yield () => {
      throw unexpected(fields ?? {}, "sentences", "a list of sentences");
    };
    return;
  }
  for (const sentence of sentences) yield () => expression(fields, sentence, objects);
}

/** The references' own `file_name` is not that of a file: it ends with the number of the object. */
function expression(fields: Fields, sentence: PickleValue, objects: Objects): unknown {
  const image = objects.image(idField(fields, "image_id")), box = objects.box(idField(fields, "ann_id"));
  if (image === undefined) throw unexpected(fields, "image_id", "the id of one of the annotations' images");
  if (box === undefined) throw unexpected(fields, "ann_id", "the id of one of the annotations");
  const said = sentence instanceof Map ? Object.fromEntries(sentence) : undefined;
  const { ref_id, image_id, split } = fields;
  return { image, text: textField(said ?? {}, "sent"), ref_id, image_id, box, split };
}
