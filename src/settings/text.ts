/**
 * Settings files: TOML or JSON with a value for each name, such as `text-length = 25`.
 *
 * @module
 */
import { shown, UsageError } from "./errors.ts";
import type { Fields, Values } from "./field.ts";
import { toRecord } from "./record.ts";

/** What a settings file says, before anyone knows which settings there are. */
export interface SettingsFile {
  /** Its path, for error sentences. */
  readonly name: string;
  /** Values by names such as `text-length`. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** Tells settings from other JSON files; a file written by hand may leave it out. */
const FORMAT = "gritstone-settings-1";

/** The settings of a run as the JSON text of a file that repeats it. */
export function settingsText<F extends Fields>(fields: F, values: Values<F>): string {
  return JSON.stringify({ format: FORMAT, ...toRecord(fields, values) }, null, 2) + "\n";
}

/**
 * Reads the text of a settings file: TOML where the name ends in `.toml`, JSON where it ends in `.json` or the text begins
 * with a brace.
 *
 * @throws {UsageError} If it is neither, says something twice, holds tables, or is another format's.
 */
export async function parseSettingsText(text: string, name: string): Promise<SettingsFile> {
  const fail = (reason: string): never => {
    throw new UsageError(`Cannot read the settings in "${name}": ${reason}`);
  };
  const plain = text.replace(/^\uFEFF/, ""), syntax = syntaxOf(name, plain);
  if (!syntax) return fail("it must be TOML (.toml) or JSON (.json)");
  const parsed = await parseAs(syntax, plain).catch((error: Error) => fail(`it is not ${syntax}: ${error.message}`));
  if (!isTable(parsed)) return fail(`it must be an object of settings: it is ${shown(parsed)}`);
  const { format = FORMAT, ...values } = parsed;
  if (format !== FORMAT) fail(`"format" must be "${FORMAT}": it is ${shown(format)}`);
  const table = Object.keys(values).find((key) => isTable(values[key]));
  if (table !== undefined) fail(`"${table}" must be a value: it is a table, and settings are not nested`);
  const keys = keysIn(plain, syntax), twice = keys.find((key, i) => keys.indexOf(key) < i);
  if (twice !== undefined) fail(`"${twice}" must be given once: it is given more often`);
  return { name, values };
}

type Syntax = "JSON" | "TOML";

function syntaxOf(name: string, text: string): Syntax | undefined {
  if (/\.toml$/i.test(name)) return "TOML";
  return /\.json$/i.test(name) || text.trimStart().startsWith("{") ? "JSON" : undefined;
}

async function parseAs(syntax: Syntax, text: string): Promise<unknown> {
  if (syntax === "JSON") return JSON.parse(text);
  const { parse } = await import("npm:deno-std@1.4.0/toml/parse.js");
  return parse(text);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** The keys of a text without nesting, in their order and as often as they stand there: parsers keep the last silently. */
function keysIn(text: string, syntax: Syntax): string[] {
  const token = /"""(?:\\[^]|[^\\])*?"""|'''[^]*?'''|"(?:\\.|[^"\\])*"|'[^'\n]*'|[\w-]+|#.*/.source;
  const keys = text.matchAll(new RegExp(`(${token})\\s*(${syntax === "JSON" ? ":" : "="})?`, "g"));
  return [...keys].filter(([, , separator]) => separator).map(([, key]) => key!.replace(/^(["'])(.*)\1$/, "$2"));
}
