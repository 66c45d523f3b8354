/**
 * Documents of texts and images in order.
 *
 * @module
 */
import { isRecord, openRows, show } from "../json_items.ts";
import { ImagePaths } from "../image_paths.ts";
import { takeItems } from "../read_items.ts";
import { type Fields, fieldsOf, type TaskFiles, unexpected } from "../task_files.ts";
import { imageFile, type Segment, type SequenceOptions, toSequence } from "./sequence.ts";
import { ShuffledSource, type SourceOptions } from "./source.ts";

/** Options of {@linkcode interleavedSource}. */
export interface InterleavedSourceOptions extends Omit<SourceOptions, "images">, SequenceOptions {
  /** For messages and counts. @default "documents" */
  readonly name?: string;
  /** The most images of a document: what comes from the next one on is cut off. */
  readonly images: number;
}

/**
 * Documents of JSON lines or JSON lists, of one of two forms:
 *
 * - OBELICS': `texts` and `images` are lists of one length, and in each place one of them has a string and the other one null;
 * - MMC4's: `text_list` has texts, `image_info` objects with `image_name` and `matched_text_index`: an image stands before its text.
 *
 * Texts are learned; those that follow each other are joined by a line's end.
 *
 * @throws {SyntaxError} If a file is broken: the message names file, line, field and what is expected. Thrown while documents are taken.
 */
export function interleavedSource(files: TaskFiles, options: InterleavedSourceOptions): ShuffledSource<Segment[]> {
  const { name = "documents", images } = options;
  const paths = new ImagePaths(files);
  const read = () => takeItems(files, openRows, (row) => toSegments(fieldsOf(row), paths));
  return new ShuffledSource(
    name,
    read,
    (segments) => toSequence([...first(segments, images), "end"], options),
    options,
  );
}

/** The segments of a document. @throws {SyntaxError} If it has neither form. */
function toSegments(fields: Fields, paths: ImagePaths): Segment[] {
  const parts = "text_list" in fields ? matchedParts(fields) : alternatingParts(fields);
  return parts.map((part, i): Segment => {
    if ("image" in part) return { image: imageFile(paths.at(paths.add(part.image))) };
    const before = parts[i - 1];
    return { text: before && "text" in before ? `\n${part.text}` : part.text };
  });
}

type Part = { readonly text: string } | { readonly image: string };

function alternatingParts(fields: Fields): Part[] {
  const { texts, images } = fields;
  if (!Array.isArray(texts)) throw unexpected(fields, "texts", "a list");
  if (!Array.isArray(images) || images.length !== texts.length) {
    throw unexpected(fields, "images", `a list of ${texts.length}, as "texts" has,`);
  }
  return texts.map((text, i): Part => {
    const image: unknown = images[i];
    if (typeof text === "string" && image === null) return { text };
    if (text === null && typeof image === "string" && image) return { image };
    throw new SyntaxError(
      `has ${show(text)} and ${
        show(image)
      } as "texts" and "images" ${i}; a string and null, or null and a path are expected`,
    );
  });
}

function matchedParts(fields: Fields): Part[] {
  const { text_list: texts, image_info: infos } = fields;
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === "string")) {
    throw unexpected(fields, "text_list", "a list of strings");
  }
  if (!Array.isArray(infos)) throw unexpected(fields, "image_info", "a list");
  const images = infos.map((info, i) => {
    const { image_name: image, matched_text_index: at } = isRecord(info) ? info : {};
    if (typeof image === "string" && image && Number.isInteger(at) && texts[at as number] !== undefined) {
      return { image, at };
    }
    throw new SyntaxError(
      `has ${
        show(info)
      } as "image_info" ${i}; "image_name" and a "matched_text_index" below ${texts.length} are expected`,
    );
  });
  return texts.flatMap((text: string, i): Part[] => [
    ...images.filter(({ at }) => at === i).map(({ image }) => ({ image })),
    { text },
  ]);
}

/** The segments before the image that would be one too many. */
function first(segments: readonly Segment[], images: number): readonly Segment[] {
  let count = 0;
  const end = segments.findIndex((segment) => typeof segment === "object" && "image" in segment && ++count > images);
  return end < 0 ? segments : segments.slice(0, end);
}
