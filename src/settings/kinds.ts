/**
 * The kinds of settings. Each takes a default (`none` where the setting may be left out), the meaning and options.
 *
 * @module
 */
import { type Field, type FieldOptions, NONE } from "./field.ts";

/** Which numbers a setting may have; where nothing is said, all finite ones. */
export interface Bounds {
  /** The least number. */
  readonly min?: number;
  /** The largest number. */
  readonly max?: number;
  /** All numbers are larger than this. */
  readonly above?: number;
  /** All numbers are smaller than this. */
  readonly below?: number;
}

/** What tells one kind from another. */
type Kind<T> = Pick<Field<T>, "rule" | "operand" | "parse" | "accepts">;

function declare<T, D extends T | undefined>(
  kind: Kind<T>,
  usual: D,
  meaning: string,
  options: FieldOptions,
): Field<T | D> {
  const optional = usual === undefined;
  return {
    ...options,
    ...kind,
    default: usual,
    meaning,
    rule: optional ? `${kind.rule}, or ${NONE}` : kind.rule,
    accepts: (value): value is T | D => kind.accepts(value) || (optional && value === undefined),
  };
}

/** A number. */
export function number<D extends number | undefined>(
  usual: D,
  meaning: string,
  options: FieldOptions & Bounds = {},
): Field<number | D> {
  const accepts = (value: unknown): value is number => Number.isFinite(value) && isWithin(value as number, options);
  return declare({ rule: `a number${inWords(options)}`, operand: "N", parse, accepts }, usual, meaning, options);
}

/** A number from 0 to 1, such as a probability. */
export function share<D extends number | undefined>(
  usual: D,
  meaning: string,
  options: FieldOptions = {},
): Field<number | D> {
  return number(usual, meaning, { ...options, min: 0, max: 1 });
}

/** A whole number, of at least 1 unless `min` says otherwise. */
export function count<D extends number | undefined>(
  usual: D,
  meaning: string,
  options: FieldOptions & Pick<Bounds, "min" | "max"> = {},
): Field<number | D> {
  const bounds = { min: 1, ...options };
  const accepts = (value: unknown): value is number => Number.isInteger(value) && isWithin(value as number, bounds);
  return declare({ rule: `a whole number${inWords(bounds)}`, operand: "N", parse, accepts }, usual, meaning, options);
}

/** One of some words. */
export function oneOf<const C extends string, D extends C | undefined>(
  choices: readonly C[],
  usual: D,
  meaning: string,
  options: FieldOptions = {},
): Field<C | D> {
  const accepts = (value: unknown): value is C => (choices as readonly unknown[]).includes(value);
  const rule = `one of ${choices.join(", ")}`;
  return declare({ rule, operand: choices.join("|"), parse: (text) => text, accepts }, usual, meaning, options);
}

/** On or off: `--x`, `--no-x` or `--x=false`. */
export function toggle(usual: boolean, meaning: string, options: FieldOptions = {}): Field<boolean> {
  const parse = (text: string): unknown => text === "true" ? true : text === "false" ? false : text;
  const accepts = (value: unknown): value is boolean => typeof value === "boolean";
  return declare({ rule: "true or false", operand: "", parse, accepts }, usual, meaning, options);
}

/** A text, such as a path or a name. */
export function text<D extends string | undefined>(
  usual: D,
  meaning: string,
  options: FieldOptions = {},
): Field<string | D> {
  return declare(
    { rule: "a text that is not empty", operand: "TEXT", parse: (text) => text, accepts: isText },
    usual,
    meaning,
    options,
  );
}

/** Texts: with commas between them on the command line (or `none`), an array in files. */
export function list(usual: readonly string[], meaning: string, options: FieldOptions = {}): Field<readonly string[]> {
  const parse = (text: string): unknown => text === NONE ? [] : text.split(",");
  const accepts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isText);
  return declare(
    { rule: "a list of texts that are not empty", operand: "TEXT,...", parse, accepts },
    usual,
    meaning,
    options,
  );
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** The number that a text says. JavaScript takes blanks for 0. */
function parse(text: string): unknown {
  const value = Number(text);
  return text.trim() === "" || Number.isNaN(value) ? text : value;
}

function isWithin(
  value: number,
  { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity }: Bounds,
): boolean {
  return value >= min && value <= max && value > above && value < below;
}

function inWords({ min, max, above, below }: Bounds): string {
  if (min !== undefined && max !== undefined) return ` from ${min} to ${max}`;
  const ends = [["of at least", min], ["above", above], ["of at most", max], ["below", below]] as const;
  return ends.filter(([, end]) => end !== undefined).map(([words, end]) => ` ${words} ${end}`).join(" and");
}
