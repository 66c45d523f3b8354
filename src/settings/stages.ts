/**
 * Settings that change while training: values in stages, each with the step at which it ends.
 *
 * @module
 */
import type { Field, FieldOptions } from "./field.ts";

/** A value, and the step before which it holds; the last stage has no end. */
export interface Stage<C extends string> {
  /** What holds. */
  readonly value: C;
  /** The first step of the next stage. */
  readonly until?: number;
}

/** What a text must be, for messages. */
export function stagesRule(choices: readonly string[]): string {
  return `one of ${choices.join(", ")}, or such with the steps at which they end, as in "${choices[0]}:500,${
    choices[1]
  }"`;
}

/** The stages that a text says: `random:500,multinomial`; undefined if it is none, or the steps do not rise. */
export function parseStages<C extends string>(text: string, choices: readonly C[]): Stage<C>[] | undefined {
  const stages: Stage<C>[] = [], parts = text.split(",");
  for (const [i, part] of parts.entries()) {
    const [, value, end] = /^([^:]+)(?::([1-9][0-9]{0,8}))?$/.exec(part) ?? [], last = i === parts.length - 1;
    if (!(choices as readonly string[]).includes(value ?? "") || last !== (end === undefined)) return undefined;
    const until = Number(end);
    if (!last && until <= (stages.at(-1)?.until ?? 0)) return undefined;
    stages.push(last ? { value: value as C } : { value: value as C, until });
  }
  return stages;
}

/** One of some words, or several in stages; the value is the text, see {@linkcode parseStages}. */
export function staged<C extends string>(
  choices: readonly [C, C, ...C[]],
  usual: C,
  meaning: string,
  options: FieldOptions = {},
): Field<string> {
  return {
    ...options,
    default: usual,
    meaning,
    rule: stagesRule(choices),
    operand: `${choices.join("|")}[:STEP,...]`,
    parse: (text) => text,
    accepts: (value): value is string => typeof value === "string" && parseStages(value, choices) !== undefined,
  };
}
