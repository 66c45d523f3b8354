/**
 * Command-line flags as a table: what they mean, their default and the paper's value; parsed, checked and printed from it.
 *
 * @module
 */
import { parseArgs } from "@std/cli";

/** A flag: its default decides its type. */
export interface Flag {
  readonly default: number | string | boolean;
  readonly help: string;
  /** The value in GRIT-VLP's pre-training, where it has one. */
  readonly paper?: string;
  /** The values it may have. */
  readonly choices?: readonly string[];
  /** Least number. From 1 on it is that of a count, which must be whole. @default 0 */
  readonly min?: number;
}

/** Values of the flags of a table. */
export type Values<F extends Record<string, Flag>> = {
  readonly [K in keyof F]: F[K]["default"] extends number ? number : F[K]["default"] extends boolean ? boolean : string;
};

/** Thrown for flags that cannot be used. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Values of all flags; `preset` replaces defaults that the user has not set. Throws for unknown flags and wrong values. */
export function parseFlags<F extends Record<string, Flag>>(
  flags: F,
  args: readonly string[],
  preset: Partial<Record<keyof F, number | string | boolean>> = {},
): Values<F> {
  const names = Object.keys(flags);
  const found = parseArgs(withNegatives(args), {
    string: names.filter((n) => typeof flags[n]!.default !== "boolean"),
    boolean: names.filter((n) => typeof flags[n]!.default === "boolean"),
    negatable: names.filter((n) => typeof flags[n]!.default === "boolean"),
    default: Object.fromEntries(names.map((n) => [n, undefined])),
    unknown: (arg: string) => {
      throw new UsageError(`Unknown argument "${arg}"; --help lists the flags`);
    },
  }) as Record<string, string | boolean | undefined>;
  return Object.fromEntries(names.map((name) => {
    const given = found[name] ?? preset[name];
    return [name, given === undefined ? flags[name]!.default : checked(name, flags[name]!, given)];
  })) as Values<F>;
}

/** A negative number after a flag is its value and no flag of its own. */
function withNegatives(args: readonly string[]): string[] {
  const out: string[] = [];
  for (const arg of args) {
    const flag = out.at(-1);
    if (/^-[\d.]/.test(arg) && flag?.startsWith("--") && !flag.includes("=")) out[out.length - 1] = `${flag}=${arg}`;
    else out.push(arg);
  }
  return out;
}

function checked(
  name: string,
  { default: fallback, choices, min = 0 }: Flag,
  given: number | string | boolean,
): number | string | boolean {
  if (choices && !choices.includes(String(given))) {
    throw new UsageError(`--${name} must be one of ${choices.join(", ")}: it is "${given}"`);
  }
  if (typeof fallback !== "number") return given;
  const value = Number(given);
  if (String(given).trim() === "" || !Number.isFinite(value) || value < min || (min >= 1 && !Number.isInteger(value))) {
    throw new UsageError(`--${name} must be a ${min >= 1 ? "whole " : ""}number of at least ${min}: it is "${given}"`);
  }
  return value;
}

/** A line for each flag: name, meaning, default, the paper's value. */
export function flagHelp(flags: Record<string, Flag>): string {
  return Object.entries(flags).map(([name, { default: fallback, help, paper, choices }]) => {
    const value = typeof fallback === "boolean"
      ? ""
      : choices
      ? ` ${choices.join("|")}`
      : typeof fallback === "number"
      ? " N"
      : " TEXT";
    const shown = fallback === "" ? "none" : String(fallback);
    return `  --${name}${value}\n      ${help} (default: ${shown}${paper ? `; paper: ${paper}` : ""})`;
  }).join("\n");
}
