/**
 * The files of NLVR: data as JSON lines, and predictions as lines of identifier, comma, true or false.
 *
 * @module
 */
import { type NlvrAccuracy, nlvrAccuracy, type NlvrStatement } from "./nlvr_accuracy.ts";
import { entryOf, field, type NamedText, parseJson, refuse, textOf } from "./result_files.ts";

/** The two files of an evaluation. */
export interface NlvrFiles {
  /** JSON lines with `identifier` and `label`. */
  readonly data: NamedText;
  /** Lines such as `1572-0,true`, one for each line of the data. */
  readonly predictions: NamedText;
}

/**
 * Precision and consistency of a file of predictions, which must be of exactly the statements in the data.
 *
 * @throws {Error} If a file cannot be used; the message names it, the line and what was expected.
 */
export function nlvrFileAccuracy({ data, predictions }: NlvrFiles): NlvrAccuracy {
  const statements = new Map<string, NlvrStatement>(), predicted = new Map<string, boolean>();
  for (const [line, where] of lines(data)) {
    const entry = entryOf(parseJson(line, where), where), identifier = textOf(entry, "identifier", where);
    const label = truth(field(entry, "label"));
    if (label === undefined) refuse(`${where}: "label"`, "true or false", field(entry, "label"));
    if (statements.has(identifier)) throw new RangeError(`${where}: "${identifier}" must come once: it comes twice`);
    statements.set(identifier, { identifier, label });
  }
  if (!statements.size) throw new RangeError(`"${data.name}" must have at least one line: it has none`);
  for (const [line, where] of lines(predictions)) {
    const [, identifier, word] = /^([^,]+),(true|false)$/.exec(line) ?? refuse(where, "identifier,true|false", line);
    if (!statements.has(identifier!)) {
      throw new RangeError(`${where}: the identifier must be in "${data.name}": it is "${identifier}"`);
    }
    if (predicted.has(identifier!)) throw new RangeError(`${where}: "${identifier}" must come once: it comes twice`);
    predicted.set(identifier!, word === "true");
  }
  const missing = [...statements.keys()].find((identifier) => !predicted.has(identifier));
  if (missing !== undefined) {
    throw new RangeError(`"${predictions.name}" must predict "${missing}" of "${data.name}": it does not`);
  }
  return nlvrAccuracy([...statements.values()], predicted);
}

/** The original files write labels as texts. */
function truth(label: unknown): boolean | undefined {
  return label === true || label === "true" ? true : label === false || label === "false" ? false : undefined;
}

/** The lines of a file, each with what messages call it; the last may end with a line break. */
function lines({ name, text }: NamedText): [line: string, where: string][] {
  const all = text.split(/\r?\n/);
  if (all.at(-1) === "") all.pop();
  return all.map((line, i) => [line, `"${name}": line ${i + 1}`]);
}
