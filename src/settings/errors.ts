/**
 * Refusals of what a user gave.
 *
 * @module
 */
import { closestString } from "npm:deno-std@1.4.0/text/closest_string.js";
import { levenshteinDistance } from "npm:deno-std@1.4.0/text/levenshtein_distance.js";

/** Thrown for flags and settings that cannot be used; its message is all that the user needs. */
export class UsageError extends Error {
  /** Tells it from faults of the program. */
  override readonly name = "UsageError";
}

/** A value as error sentences show it. */
export function shown(value: unknown): string {
  return typeof value === "number" ? String(value) : JSON.stringify(value) ?? String(value);
}

/** `; did you mean --batch?`, or nothing where no word is near. */
export function suggestion(word: string, words: readonly string[]): string {
  if (!words.length) return "";
  const nearest: string = closestString(word, words);
  return levenshteinDistance(word, nearest) <= nearest.length / 2 ? `; did you mean ${nearest}?` : "";
}
