/**
 * Questions about images: the rows of ALBEF, the files of VQA v2 and the rows of easy-VQA.
 *
 * @module
 */
import { inFolder } from "./image_paths.ts";
import { isRecord, type Items, listItems, openRows, readOutline, show, tryParse } from "./json_items.ts";
import { readItems } from "./read_items.ts";
import { StringList } from "./string_table.ts";
import {
  fieldsOf,
  idField,
  openTask,
  type TaskDataset,
  type TaskFiles,
  type TaskRow,
  textField,
  unexpected,
} from "./task_files.ts";
import type { VqaExample } from "./vqa_collate.ts";

/** A question of a data set. Questions of a test set have no answers. */
export interface VqaQuestion extends VqaExample {
  /** The file's own number of the question, which results for a server repeat; easy-VQA has none and gets the index. */
  readonly questionId: number;
  /** The file's own kind of the question, by which accuracy may be broken down. */
  readonly questionType?: string;
}

/** Questions by index. */
export type VqaDataset = TaskDataset<VqaQuestion>;

/** Options of {@linkcode openVqa}. */
export interface VqaDatasetOptions extends TaskFiles {
  /** Files of VQA v2 with the answers to the questions in `data`. @default the questions have no answers */
  readonly annotations?: readonly string[] | undefined;
}

type Answers = VqaExample["answers"];

/** Weight of the one answer that a question of Visual Genome has, so that it does not outweigh VQA's. */
const VG_WEIGHT = 0.5;

/**
 * Opens questions about images. A file is one of these, found from its content:
 *
 * - ALBEF's list: objects with `image`, `question`, `question_id`, perhaps `question_type`, and `answer`: what the annotators
 *   answered as a list, one answer as a string (which weighs 0.5 where `dataset` is "vg"), or nothing in a test set.
 * - VQA v2: an object with the list `questions` and a `data_subtype` such as "train2014", which is part of the images' names
 *   and of their folder where `images` has one of that name; the answers come from `annotations`.
 * - easy-VQA: a list of `[question, answer, number of the image]`; image 7 is `7.png`, in the folder "images" beside the file
 *   if no other is given.
 *
 * @throws {SyntaxError} If a file is broken; the message names the file, the entry, the field and what is expected.
 */
export async function openVqa(options: VqaDatasetOptions): Promise<VqaDataset> {
  const answersTo = options.annotations && await readAnnotations(options.annotations);
  const open = async (file: string): Promise<Items> => {
    const outline = await readOutline(file);
    if (outline?.lists.has("questions")) {
      return openQuestions(file, await imageNames(file, outline.text, options.images), answersTo);
    }
    if (!answersTo) return await openRows(file);
    throw new TypeError(`Cannot read "${file}": "annotations" go with VQA v2's files, which have a list "questions"`);
  };
  return await openTask<VqaQuestion>(options, (row, file, index) => {
    return Array.isArray(row) ? easyRow(row, options.images === undefined ? file : undefined, index) : albefRow(row);
  }, open);
}

function albefRow(row: unknown): TaskRow<VqaQuestion> {
  const fields = fieldsOf(row);
  return {
    images: [textField(fields, "image", "a path")],
    question: textField(fields, "question"),
    questionId: idField(fields, "question_id"),
    answers: albefAnswers(fields),
    ...(fields.question_type === undefined ? {} : { questionType: textField(fields, "question_type") }),
  };
}

function albefAnswers(fields: Readonly<Record<string, unknown>>): Answers {
  const { answer, dataset } = fields;
  if (answer === undefined) return [];
  if (typeof answer === "string") return [{ text: answer, weight: dataset === "vg" ? VG_WEIGHT : 1 }];
  if (Array.isArray(answer) && answer.length && answer.every((text) => typeof text === "string")) {
    return weighted(answer);
  }
  throw unexpected(fields, "answer", "a string or a list of strings");
}

/** Different answers in the order of their first mention, each with its share. */
function weighted(answers: readonly string[]): Answers {
  const counts = new Map<string, number>();
  for (const text of answers) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].map(([text, count]) => ({ text, weight: count / answers.length }));
}

function easyRow(row: readonly unknown[], file: string | undefined, index: number): TaskRow<VqaQuestion> {
  const [question, answer, image] = row;
  if (row.length === 3 && typeof question === "string" && typeof answer === "string" && Number.isSafeInteger(image)) {
    const folder = file === undefined ? "" : `${file.replace(/[^/\\]*$/, "")}images/`;
    return { images: [`${folder}${image}.png`], question, questionId: index, answers: [{ text: answer, weight: 1 }] };
  }
  throw new SyntaxError(`must be a list of question, answer and number of the image: it is ${show(row)}`);
}

/** The questions of VQA v2 as ALBEF's rows. */
function openQuestions(
  file: string,
  name: (image: number) => string,
  answersTo?: (question: number) => string[] | undefined,
): Items {
  const items = listItems(file, "questions", "question", (question) => {
    const fields = fieldsOf(question), image = name(idField(fields, "image_id"));
    if (!answersTo) return { ...fields, image, answer: undefined };
    const answer = answersTo(idField(fields, "question_id"));
    if (answer) return { ...fields, image, answer };
    throw unexpected(fields, "question_id", "the id of one of the annotations");
  });
  return { unit: "question", first: 0, items };
}

/**
 * COCO's names of images, as in "COCO_train2014_000000000009.jpg", in the folder "train2014" if there is one; those of
 * "test-dev2015" are some of "test2015".
 */
async function imageNames(file: string, outline: string, images = ""): Promise<(id: number) => string> {
  const { value, error } = tryParse(outline);
  if (error) throw new SyntaxError(`Cannot read "${file}": ${error}`);
  const { data_subtype: subtype } = value as Record<string, unknown>;
  if (typeof subtype !== "string" || !/^[\w-]+$/.test(subtype)) {
    throw new SyntaxError(
      `Cannot read "${file}": it has ${
        show(subtype)
      } as "data_subtype"; the images' set is expected, such as "train2014"`,
    );
  }
  const set = subtype.replace("test-dev", "test");
  const folder = await Deno.stat(inFolder(images, set)).then(({ isDirectory }) => isDirectory, () => false)
    ? `${set}/`
    : "";
  return (id) => `${folder}COCO_${set}_${String(id).padStart(12, "0")}.jpg`;
}

/** What the annotators answered to a question, from files of VQA v2, which are read whole. */
async function readAnnotations(files: readonly string[]): Promise<(question: number) => string[] | undefined> {
  const lists = new StringList(), numbers = new Map<number, number>();
  const open = (file: string): Promise<Items> =>
    Promise.resolve({ unit: "annotation", first: 0, items: listItems(file, "annotations", "annotation") });
  await readItems({ data: files }, open, (annotation) => {
    const fields = fieldsOf(annotation), { answers } = fields;
    if (
      !Array.isArray(answers) || !answers.length || !answers.every((a) => isRecord(a) && typeof a.answer === "string")
    ) {
      throw unexpected(fields, "answers", 'a list of objects with a string as "answer"');
    }
    const id = idField(fields, "question_id"), earlier = numbers.get(id);
    const list = JSON.stringify(answers.map(({ answer }) => answer));
    if (earlier !== undefined && lists.at(earlier) !== list) {
      throw unexpected(fields, "question_id", "an id that no earlier annotation with other answers has");
    }
    numbers.set(id, lists.length);
    lists.push(list);
  });
  return (question) => {
    const number = numbers.get(question);
    return number === undefined ? undefined : JSON.parse(lists.at(number));
  };
}
