/**
 * The declaration of a setting. Its type, its flag, its key in files, its check, its line of help and whether a resumed run
 * may change it all follow from it:
 *
 * ```ts
 * import { count, list, number, oneOf, share } from "./kinds.ts";
 *
 * const config = fields({
 *   ...group("Data", {
 *     data: list([], "caption files"),
 *     textLength: count(25, "tokens per caption, [CLS] included", { min: 2, paper: "25" }),
 *     workers: count(1, "threads that decode images", { resume: "free" }),
 *   }),
 *   ...group("Objectives", {
 *     mask: share(0.5, "share of the tokens that MLM masks", { paper: "0.5" }),
 *     negatives: oneOf(["top1", "multinomial", "random"], "multinomial", "how ITM's negatives are chosen"),
 *     clip: number(none, "largest norm of the gradients", { above: 0 }),
 *   }),
 * });
 * type Config = Values<typeof config>; // { textLength: number; clip: number | undefined; ... }
 * ```
 *
 * A setting is `textLength` in TypeScript, `--text-length 25` on the command line and `text-length` in a file.
 *
 * @module
 */
import { shown } from "./errors.ts";

/** What every kind of setting may say beside its default and its meaning. */
export interface FieldOptions {
  /** The value in the paper, for people. */
  readonly paper?: string;
  /** Whether a resumed run must have the `same` value (the default) or is `free` to change it. */
  readonly resume?: "same" | "free";
  /** Holds for one start of the program, as `--resume` does: it is not written to files, read from them or compared. */
  readonly once?: boolean;
}

/** A setting with values of type T; made by `share`, `number`, `count`, `oneOf`, `toggle`, `text` and `list`. */
export interface Field<T> extends FieldOptions {
  /** The value where nothing else is given. */
  readonly default: T;
  /** What it decides, for people: the start of a sentence. */
  readonly meaning: string;
  /** What its values are, as the end of "it must be ...". */
  readonly rule: string;
  /** What stands behind the flag in the help; empty for a switch. */
  readonly operand: string;
  /** The heading that it stands below; see {@linkcode group}. */
  readonly heading?: string;
  /** What the text of a flag says; the text itself where it says nothing of this kind, which `accepts` then refuses. */
  parse(text: string): unknown;
  /** Whether it may have this value. */
  accepts(value: unknown): value is T;
}

/** Settings by their names in TypeScript. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The values of some settings. */
export type Values<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** The default of a setting that is not set unless someone sets it: `number(none, ...)` is a `number | undefined`. */
export const none: undefined = undefined;

/** How {@linkcode none} is written on the command line, in files and in the help. */
export const NONE = "none";

/**
 * Declares settings; those of several modules are merged by spreading.
 *
 * @throws {RangeError} If a name is not in camelCase or taken by the files' format, or a default is no value of its setting.
 */
export function fields<F extends Fields>(declared: F): F {
  for (const [key, field] of Object.entries(declared)) {
    if (!/^[a-z][a-zA-Z0-9]*$/.test(key)) refuse(key, `its name must be in camelCase: it is "${key}"`);
    if (key === "format") refuse(key, `its name must be another one: settings files use it for themselves`);
    if (!field.accepts(field.default)) refuse(key, `its default must be ${field.rule}: it is ${shown(field.default)}`);
  }
  return declared;
}

/** The defaults of settings, with other values for some. */
export function withDefaults<F extends Fields>(fields: F, values: Partial<Values<F>> = {}): Values<F> {
  const defaults = Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.default]));
  return { ...defaults, ...values } as Values<F>;
}

function refuse(key: string, reason: string): never {
  throw new RangeError(`Cannot declare the setting "${key}": ${reason}`);
}

/** Puts settings below a heading in the help and the table. */
export function group<F extends Fields>(heading: string, members: F): F {
  return Object.fromEntries(Object.entries(members).map(([key, field]) => [key, { ...field, heading }])) as F;
}

/** The name of a setting as a flag and in files: `text-length` for `textLength`. */
export function settingName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
