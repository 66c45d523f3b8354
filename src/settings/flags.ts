/**
 * The flags of a command line: which settings they set, to which texts.
 *
 * @module
 */
import { suggestion, UsageError } from "./errors.ts";
import { type Fields, settingName } from "./field.ts";

/** A flag as it was given: `--name`, `--name=value` or `--name value`. */
export interface Flag {
  /** With its dashes, without the value. */
  readonly word: string;
  /** Its value, in whichever way it was given. */
  readonly value: string | undefined;
  /** Whether the value is an argument of its own. */
  readonly apart: boolean;
}

/** What a flag sets. */
export interface FlagTarget {
  /** The setting's name in TypeScript. */
  readonly key: string;
  /** What a switch says that stands alone; settings of other kinds need a value. */
  readonly alone?: string;
}

/**
 * The flags that arguments give. What begins with `--` is a flag, and the argument after it that does not is its value, a
 * negative number too.
 *
 * @throws {UsageError} For an argument that is neither.
 */
export function splitFlags(args: readonly string[]): Flag[] {
  const flags: Flag[] = [];
  for (let i = 0; i < args.length; i++) {
    const [, word, value] = /^(--[^=]+)(?:=(.*))?$/s.exec(args[i]!) ?? stray(args[i]!);
    const next = args[i + 1], apart = value === undefined && next !== undefined && !next.startsWith("--");
    flags.push({ word: word!, value: apart ? next : value, apart });
    if (apart) i++;
  }
  return flags;
}

/** What each flag of some settings sets, by its word. */
export function flagTargets(fields: Fields): Map<string, FlagTarget> {
  const switches: [string, FlagTarget][] = [], others: [string, FlagTarget][] = [];
  for (const [key, { operand }] of Object.entries(fields)) {
    const name = settingName(key);
    if (operand) others.push([`--${name}`, { key }]);
    else switches.push([`--no-${name}`, { key, alone: "false" }], [`--${name}`, { key, alone: "true" }]);
  }
  return new Map([...switches, ...others]);
}

/**
 * The texts that flags give to settings.
 *
 * @throws {UsageError} For an unknown flag, one given twice, one without the value that it needs, or with one that it cannot
 * have.
 */
export function flagTexts(fields: Fields, flags: readonly Flag[]): Map<string, string> {
  const targets = flagTargets(fields), texts = new Map<string, string>();
  for (const flag of flags) {
    const target = targets.get(flag.word);
    if (!target) throw new UsageError(`Unknown flag ${flag.word}${suggestion(flag.word, [...targets.keys()])}`);
    const { key } = target, text = textOf(flag, target), first = texts.get(key);
    if (first !== undefined) {
      throw new UsageError(`--${settingName(key)} must be given once: it is given as ${first} and as ${text}`);
    }
    texts.set(key, text);
  }
  return texts;
}

function textOf({ word, value, apart }: Flag, { alone }: FlagTarget): string {
  if (alone === undefined) {
    if (value === undefined) throw new UsageError(`${word} must be followed by its value: nothing follows it`);
    return value;
  }
  if (apart) return stray(value!);
  if (value !== undefined && alone === "false") {
    throw new UsageError(`${word} must stand alone: it is "${word}=${value}"`);
  }
  return value ?? alone;
}

function stray(arg: string): never {
  throw new UsageError(`Unknown argument "${arg}": no flag that takes a value stands before it`);
}
