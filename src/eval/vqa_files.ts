/**
 * The files of VQA v2: questions, annotations, and results as the evaluation server takes them. Texts come in, so that
 * they may come from anywhere; names of files are for the sentences that refuse something.
 *
 * @module
 */
import { type Entry, entryOf, field, listOf, type NamedText, parseJson, textOf, wholeOf } from "./result_files.ts";
import { type HumanAnswer, type VqaAccuracy, vqaAccuracy, type VqaAnnotation } from "./vqa_accuracy.ts";

/** The three files of an evaluation. */
export interface VqaFiles {
  /** An object with the list `questions`. */
  readonly questions: NamedText;
  /** An object with the list `annotations`. */
  readonly annotations: NamedText;
  /** A list of objects with `question_id` and `answer`. */
  readonly results: NamedText;
}

/**
 * The accuracy of a file of results. As in the official script, results must be of exactly the annotated questions,
 * and each of these must be in the file of questions.
 *
 * @throws {Error} If a file cannot be used; the message names it, the entry and what was expected.
 */
export function vqaFileAccuracy({ questions, annotations, results }: VqaFiles): VqaAccuracy {
  const asked = byQuestion(listIn(questions, "questions"), questions.name, "question", () => null);
  const annotated = byQuestion(listIn(annotations, "annotations"), annotations.name, "annotation", annotationOf);
  if (!annotated.size) throw new RangeError(`"${annotations.name}" must have at least one annotation: it has none`);
  for (const id of annotated.keys()) {
    if (!asked.has(id)) {
      throw new RangeError(`"${questions.name}" must have question ${id} of "${annotations.name}": it has not`);
    }
  }
  const list = listOf(parseJson(results.text, `"${results.name}"`), `"${results.name}"`);
  const answers = byQuestion(list, results.name, "result", (entry, where, id) => {
    if (annotated.has(id)) return textOf(entry, "answer", where);
    throw new RangeError(`${where}: "question_id" must be a question of "${annotations.name}": it is ${id}`);
  });
  for (const id of annotated.keys()) {
    if (!answers.has(id)) {
      throw new RangeError(`"${results.name}" must answer question ${id} of "${annotations.name}": it does not`);
    }
  }
  return vqaAccuracy([...annotated.values()], answers);
}

function listIn({ name, text }: NamedText, key: string): readonly unknown[] {
  return listOf(field(entryOf(parseJson(text, `"${name}"`), `"${name}"`), key), `"${name}": "${key}"`);
}

function byQuestion<T>(
  list: readonly unknown[],
  file: string,
  unit: string,
  read: (entry: Entry, where: string, questionId: number) => T,
): Map<number, T> {
  const found = new Map<number, T>();
  for (const [i, value] of list.entries()) {
    const where = `"${file}": ${unit} ${i}`, entry = entryOf(value, where);
    const questionId = wholeOf(entry, "question_id", where);
    if (found.has(questionId)) throw new RangeError(`${where}: question ${questionId} must come once: it comes twice`);
    found.set(questionId, read(entry, where, questionId));
  }
  return found;
}

function annotationOf(entry: Entry, where: string, questionId: number): VqaAnnotation {
  const answers = listOf(field(entry, "answers"), `${where}: "answers"`).map((value, i): HumanAnswer => {
    const at = `${where}: answer ${i}`, one = entryOf(value, at);
    return {
      answer: textOf(one, "answer", at),
      ...(field(one, "answer_confidence") === undefined ? {} : { confidence: textOf(one, "answer_confidence", at) }),
      ...(field(one, "answer_id") === undefined ? {} : { id: wholeOf(one, "answer_id", at) }),
    };
  });
  if (!answers.length) throw new RangeError(`${where}: "answers" must have at least one answer: it has none`);
  return {
    questionId,
    questionType: textOf(entry, "question_type", where),
    answerType: textOf(entry, "answer_type", where),
    answers,
  };
}
