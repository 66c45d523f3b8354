/**
 * Texts from files, document by document; a file may be larger than memory.
 *
 * @module
 */
import { type Items, lineItems, longestItem, openRows } from "./json_items.ts";
import { type ItemFiles, takeItems } from "./read_items.ts";
import { fieldsOf, textField } from "./task_files.ts";

/** Which texts are read, and how. */
export interface TextFiles extends ItemFiles {
  /** Field of a JSON line, or of an element of a JSON list, that has the text. @default "text" */
  readonly field?: string;
  /** What is a document in a `.txt` file: a line, or what stands between empty lines. @default "paragraph" */
  readonly documents?: "line" | "paragraph";
}

/**
 * The documents of `.txt` files, of JSON lines and of JSON lists, in the order of the files, some of them at a time; names may end
 * with `.gz`. Empty ones are left out.
 *
 * @throws {SyntaxError} If a file is broken or a line is longer than 16 MiB; the message names file, line, field and what is expected.
 */
export async function* readTexts(options: TextFiles): AsyncGenerator<string[], void> {
  const { field = "text", documents = "paragraph" } = options;
  const open = async (file: string): Promise<Items> => {
    if (!/\.txt(\.gz)?$/i.test(file)) return await openRows(file);
    const lines = lineItems(file, (line) => ({ [field]: line }));
    if (documents === "line") return { unit: "line", first: 1, items: lines };
    return { unit: "entry", first: 1, items: paragraphs(lines, field, file) };
  };
  const text = (item: unknown): string => {
    const fields = fieldsOf(item);
    return fields[field] === "" ? "" : textField(fields, field);
  };
  for await (const texts of takeItems(options, open, text)) yield texts.filter((text) => /\S/.test(text));
}

/** Lines joined up to empty ones. */
async function* paragraphs(
  lines: AsyncIterable<Iterable<() => unknown>>,
  field: string,
  file: string,
): AsyncGenerator<Iterable<() => unknown>> {
  let open: string[] = [], length = 0;
  const close = (): (() => unknown)[] => {
    const text = open.join("\n");
    [open, length] = [[], 0];
    return text === "" ? [] : [() => ({ [field]: text })];
  };
  for await (const batch of lines) {
    const whole: (() => unknown)[] = [];
    for (const line of batch) {
      const text = (line() as Record<string, string>)[field]!;
      if (/^\s*$/.test(text)) whole.push(...close());
      else {
        open.push(text);
        length += text.length + 1;
      }
      if (length <= longestItem) continue;
      throw new SyntaxError(
        `Cannot read "${file}": a document is longer than ${
          longestItem >> 20
        } MiB; an empty line must end it, or read it by lines`,
      );
    }
    yield whole;
  }
  yield close();
}
