/**
 * Settings as plain data by their names in files: what a settings file holds, and what a resumed run is compared by.
 *
 * @module
 */
import { shown } from "./errors.ts";
import { type Field, type Fields, NONE, settingName, type Values } from "./field.ts";

/** Values as JSON and TOML have them. */
export type PlainValue = number | string | boolean | readonly string[];

/** Values by the settings' names in files, such as `text-length`. */
export type SettingsRecord = Readonly<Record<string, PlainValue>>;

/** The settings of a run, in the order of their declaration; without those that hold for one start only. */
export function toRecord<F extends Fields>(fields: F, values: Values<F>): SettingsRecord {
  return recordOf(fields, values, ({ once }) => !once);
}

/** The settings that a resumed run must have the same: a checkpoint keeps them for {@linkcode compareSettings}. */
export function resumable<F extends Fields>(fields: F, values: Values<F>): SettingsRecord {
  return recordOf(fields, values, ({ once, resume }) => !once && resume !== "free");
}

function recordOf(
  fields: Fields,
  values: Readonly<Record<string, unknown>>,
  belongs: (field: Field<unknown>) => boolean,
): SettingsRecord {
  const entries = Object.entries(fields).filter(([, field]) => belongs(field));
  return Object.fromEntries(entries.map(([key]) => [settingName(key), (values[key] ?? NONE) as PlainValue]));
}

/**
 * The first difference between the settings of a checkpoint and those of now, as the end of a sentence that says "Cannot
 * resume"; undefined where there is none. Settings that only one of both has are differences.
 */
export function compareSettings(saved: Readonly<Record<string, unknown>>, now: SettingsRecord): string | undefined {
  for (const [name, value] of Object.entries(now)) {
    if (!Object.hasOwn(saved, name)) {
      return `--${name} is ${shown(value)} now, and the checkpoint does not say what it was`;
    }
    if (shown(saved[name]) !== shown(value)) return `--${name} was ${shown(saved[name])} and is ${shown(value)} now`;
  }
  const gone = Object.keys(saved).find((name) => !Object.hasOwn(now, name));
  return gone === undefined ? undefined : `"${gone}" was ${shown(saved[gone])} and is no setting now`;
}
