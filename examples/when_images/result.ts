/**
 * Result lines: one run, as JSON.
 *
 * @module
 */
import { list, number, object, positive, readLines, rule, text, whole } from "../_lines.ts";
import type { Run } from "./plan.ts";
import type { Figure, Scores } from "./scores.ts";

/** Figures after so many epochs of instruction tuning; 0: before it. */
export interface Epoch {
  readonly epoch: number;
  /** Loss of held-out texts, nats a token. */
  readonly loss: number;
  readonly text: Readonly<Record<string, Figure>>;
  readonly vision: Readonly<Record<string, Figure>>;
  /** The control of pictures without content. */
  readonly blank: Readonly<Record<string, Figure>>;
  readonly scores: Scores;
}

/** What a run gave; who ran it where is added by the caller. */
export interface Measured extends Run {
  readonly steps: { readonly main: number; readonly branch: number; readonly tune: number };
  /** Tokens of each source in the branch. */
  readonly tokens: Readonly<Record<string, number>>;
  /** Mean losses of the last tenth of the steps. */
  readonly losses: { readonly branch: number; readonly tune: number };
  readonly epochs: readonly Epoch[];
  readonly seconds: number;
}

/** A line. */
export interface Result extends Measured {
  readonly command: string;
  readonly commit: string;
  readonly adapter: string;
}

const share = rule("a number from 0 to 1", (v) => typeof v === "number" && v >= 0 && v <= 1);
const figure = object({ value: number, chance: share });

/** An object of any names. */
const record = (check: (value: unknown, path: string) => void) => (value: unknown, path: string): void => {
  rule("an object", (v) => typeof v === "object" && v !== null && !Array.isArray(v))(value, path);
  for (const [name, own] of Object.entries(value as object)) check(own, `${path}.${name}`);
};

const line = object({
  start: share,
  share,
  captions: rule('"own" or "shuffled"', (v) => v === "own" || v === "shuffled"),
  seed: whole,
  "tuneText?": share,
  "imagesIn?": rule('"interleaved" or "both"', (v) => v === "interleaved" || v === "both"),
  "stages?": rule('"vila"', (v) => v === "vila"),
  steps: object({ main: whole, branch: whole, tune: whole }),
  tokens: record(whole),
  losses: object({ branch: number, tune: number }),
  epochs: list(
    object({
      epoch: whole,
      loss: positive,
      text: record(figure),
      vision: record(figure),
      blank: record(figure),
      scores: object({ vision: number, text: number, mean: number }),
    }),
  ),
  seconds: positive,
  command: text,
  commit: text,
  adapter: text,
});

/** The results in a file of lines, see `readLines`. */
export function readResults(path: string): Promise<Result[]> {
  return readLines<Result>(path, line);
}
