/**
 * The values of settings, from where users give them: the command line, a file and a preset. All are checked alike.
 *
 * @module
 */
import { shown, suggestion, UsageError } from "./errors.ts";
import { type Field, type Fields, NONE, settingName, type Values } from "./field.ts";
import { type Flag, flagTargets, flagTexts, splitFlags } from "./flags.ts";
import type { SettingsFile } from "./text.ts";

/** Where values come from. */
export interface Sources<F extends Fields = Fields> {
  /** Arguments of the command line. */
  readonly args?: readonly string[];
  /** A settings file; see `parseSettingsText`. */
  readonly file?: SettingsFile | undefined;
  /** Defaults that a program sets for a purpose, by their names in TypeScript. */
  readonly preset?: Partial<Values<F>>;
}

/**
 * The values of settings: flags win over the file, the file over the preset, and the preset over the defaults.
 *
 * @throws {UsageError} For a setting that there is not, one that is given twice, and a value that its setting cannot have,
 * even where another source wins.
 */
export function readSettings<F extends Fields>(fields: F, sources: Sources<NoInfer<F>>): Values<F> {
  const { args = [], file, preset = {} } = sources;
  return merged(fields, splitFlags(args), file, preset) as Values<F>;
}

/**
 * The value of one setting, whatever else the sources give: for what decides which other settings there are.
 *
 *     const recipe = recipes[peek(common, "recipe", { args })];
 *     const values = readSettings(fields({ ...common, ...recipe.fields }), { args });
 *
 * @throws {UsageError} As {@linkcode readSettings}, for this setting alone.
 */
export function peek<F extends Fields, K extends keyof F & string>(fields: F, key: K, sources: Sources): Values<F>[K] {
  const { args = [], file, preset = {} } = sources, one = { [key]: fields[key]! }, targets = flagTargets(one);
  const flags = splitFlags(args).filter(({ word }) => targets.has(word));
  const fromFile = file && { ...file, values: pick(file.values, settingName(key)) };
  return merged(one, flags, fromFile, pick(preset, key))[key] as Values<F>[K];
}

type Loose = Readonly<Record<string, unknown>>;

function merged(fields: Fields, flags: readonly Flag[], file: SettingsFile | undefined, preset: Loose): Loose {
  return {
    ...Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.default])),
    ...presetValues(fields, preset),
    ...(file ? fileValues(fields, file) : {}),
    ...flagValues(fields, flags),
  };
}

function presetValues(fields: Fields, preset: Loose): Loose {
  return mapEntries(preset, (key, value) => {
    if (!Object.hasOwn(fields, key)) throw new UsageError(`The preset sets "${key}", which is no setting`);
    return [key, checked(fields[key]!, value, `The preset's "${key}"`)];
  });
}

function fileValues(fields: Fields, { name: file, values }: SettingsFile): Loose {
  const keys = new Map(Object.keys(fields).map((key) => [settingName(key), key]));
  return mapEntries(values, (name, value) => {
    const key = keys.get(name);
    if (key === undefined) {
      const near = suggestion(`"${name}"`, [...keys.keys()].map((known) => `"${known}"`));
      throw new UsageError(`"${file}": unknown setting "${name}"${near}`);
    }
    if (fields[key]!.once) {
      throw new UsageError(`"${file}": "${name}" must be given as the flag --${name}, not in a file`);
    }
    return [key, checked(fields[key]!, value, `"${file}": "${name}"`)];
  });
}

function flagValues(fields: Fields, flags: readonly Flag[]): Loose {
  return mapEntries(Object.fromEntries(flagTexts(fields, flags)), (key, text) => {
    return [key, checked(fields[key]!, fields[key]!.parse(text), `--${settingName(key)}`)];
  });
}

/** The one check of values from everywhere. */
function checked(field: Field<unknown>, given: unknown, what: string): unknown {
  const value = given === NONE && field.accepts(undefined) ? undefined : given;
  if (!field.accepts(value)) throw new UsageError(`${what} must be ${field.rule}: it is ${shown(given)}`);
  return value === 0 ? 0 : value; // -0 too, which JSON would not keep
}

function pick(record: Loose, key: string): Loose {
  return Object.hasOwn(record, key) ? { [key]: record[key] } : {};
}

function mapEntries<T>(record: Readonly<Record<string, T>>, map: (key: string, value: T) => [string, unknown]): Loose {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => map(key, value)));
}
