/**
 * What functions say about options that are none. Types stop `sum(x, 1)`, but in plain JavaScript a number has no properties, and so
 * every option would silently be its default.
 *
 * @module
 */
import { Tensor } from "./graph.ts";

/** The options of a function, the first of them what a value in the place of the record is taken for, and which must be lists. */
export type OptionKinds<T> = Readonly<Record<keyof T, "list" | "one">>;

/**
 * The options, if they are a record with an option that the function has, or an empty one. A record of more settings may be passed, as
 * TypeScript lets one, but not one of other settings alone.
 *
 * @throws {TypeError} if something else is in their place, none has a name of the function's, or one that must be a list is none.
 */
export function checkOptions<T extends object>(name: string, options: T, kinds: OptionKinds<T>): T {
  const given: unknown = options, isRecord = typeof given === "object" && given !== null && !(given instanceof Tensor);
  const refuse = (sentence: string): never => {
    throw new TypeError(`Cannot apply ${name}: ${sentence}`);
  };
  if (!isRecord || Array.isArray(given) || ArrayBuffer.isView(given)) {
    refuse(`options must be a record, as in ${example(given, kinds)}: they are ${text(given)}`);
  }
  const names = Object.keys(options);
  if (names.length && !names.some((option) => Object.hasOwn(kinds, option))) {
    refuse(`options must be among ${Object.keys(kinds).join(", ")}: there is "${names[0]}"`);
  }
  for (const [option, value] of Object.entries(options)) {
    const kind = Object.hasOwn(kinds, option) ? kinds[option as keyof T] : undefined;
    if (kind === "list" && value !== undefined && !Array.isArray(value)) {
      refuse(`${option} must be a list, as in { ${option}: [${text(value)}] }: it is ${text(value)}`);
    }
  }
  return options;
}

/** How a value that was given in the place of the options is written as one. */
function example<T>(given: unknown, kinds: OptionKinds<T>): string {
  const [[option, kind]] = Object.entries(kinds) as [[string, string]];
  if (typeof given !== "number" && typeof given !== "boolean" && !Array.isArray(given)) return `{ ${option}: ... }`;
  return `{ ${option}: ${kind === "list" && !Array.isArray(given) ? `[${text(given)}]` : text(given)} }`;
}

function text(given: unknown): string {
  return given instanceof Tensor || typeof given === "number" ? String(given) : JSON.stringify(given) ?? typeof given;
}
