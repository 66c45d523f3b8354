/**
 * Settings described for people: the help of a program and the table of a README.
 *
 * @module
 */
import { type Field, type Fields, NONE, settingName } from "./field.ts";

/** Two lines for each setting, below their headings: flag, meaning, default and the paper's value. */
export function formatHelp(fields: Fields): string {
  return sections(fields).map(([heading, members]) =>
    [...(heading ? [`${heading}:`] : []), ...members.map(([key, field]) => helpOf(key, field))].join("\n")
  ).join("\n\n");
}

/** A Markdown table for each heading: flag, default, the paper's value and meaning. */
export function settingsTable(fields: Fields): string {
  return sections(fields).map(([heading, members]) =>
    [
      ...(heading ? [`**${heading}**`, ""] : []),
      "| flag | default | paper | meaning |",
      "|---|---|---|---|",
      ...members.map(([key, field]) => rowOf(key, field)),
    ].join("\n")
  ).join("\n\n") + "\n";
}

type Entry = readonly [key: string, field: Field<unknown>];

/** The settings by heading, both in the order of their declaration; first those that have none. */
function sections(fields: Fields): [heading: string, members: Entry[]][] {
  const byHeading = Map.groupBy(Object.entries(fields), ([, { heading = "" }]) => heading);
  return [...byHeading].sort(([a], [b]) => Number(a !== "") - Number(b !== ""));
}

function helpOf(key: string, field: Field<unknown>): string {
  const { meaning, paper } = field;
  return `  ${usage(key, field)}\n      ${meaning} (default: ${usual(field)}${paper ? `; paper: ${paper}` : ""})`;
}

function rowOf(key: string, field: Field<unknown>): string {
  const cells = [`\`${usage(key, field)}\``, usual(field), field.paper ?? "", field.meaning];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}

/** The flag and its value; a switch that is on is shown with what turns it off. */
function usage(key: string, { default: value, operand }: Field<unknown>): string {
  return `--${value === true ? "[no-]" : ""}${settingName(key)}${operand && ` ${operand}`}`;
}

function usual({ default: value }: Field<unknown>): string {
  return (Array.isArray(value) ? value.join(",") : String(value ?? "")) || NONE;
}
