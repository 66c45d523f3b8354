/**
 * Settings of a program, each declared once: its type, its flag, its key in files, its check, its line of help and whether a resumed run
 * may change it follow from the declaration. See {@linkcode fields} for an example.
 *
 * @module
 */
export {
  type Field,
  type FieldOptions,
  type Fields,
  fields,
  group,
  none,
  settingName,
  type Values,
  withDefaults,
} from "./field.ts";
export { type Bounds, count, list, number, oneOf, share, text, toggle } from "./kinds.ts";
export { parseStages, type Stage, staged } from "./stages.ts";
export { peek, readSettings, type Sources } from "./read.ts";
export { parseSettingsText, type SettingsFile, settingsText } from "./text.ts";
export { compareSettings, type PlainValue, resumable, type SettingsRecord, toRecord } from "./record.ts";
export { formatHelp, settingsTable } from "./help.ts";
export { UsageError } from "./errors.ts";
