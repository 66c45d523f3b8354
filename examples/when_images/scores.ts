/**
 * Figures of a model on a scale on which chance is 0 and perfect is 1.
 *
 * @module
 */
import { mean } from "../ablate/statistics.ts";

/** A figure from 0 to 1 with what a guess gets. */
export interface Figure {
  /** What was measured. */
  readonly value: number;
  /** What is had without the model: guessing, the most frequent answer. */
  readonly chance: number;
}

/** (value - chance) / (1 - chance): 0 at chance, 1 where all is right, negative below chance. */
export function centred({ value, chance }: Figure): number {
  if (chance < 1) return (value - chance) / (1 - chance);
  throw new RangeError(`Cannot centre a figure: chance must be below 1: it is ${chance}`);
}

/** Losses in nats a token as a figure: what is left of the loss of the tokens' frequencies alone. */
export function lossFigure(loss: number, unigram: number): Figure {
  return { value: 1 - loss / unigram, chance: 0 };
}

/** What a model is good for. */
export interface Scores {
  /** Mean of the centred vision figures. */
  readonly vision: number;
  /** Mean of the centred text figures. */
  readonly text: number;
  /** Mean of both. */
  readonly mean: number;
}

/** The scores of figures by name. */
export function scoresOf(figures: Readonly<Record<"vision" | "text", Readonly<Record<string, Figure>>>>): Scores {
  const vision = mean(Object.values(figures.vision).map(centred)),
    text = mean(Object.values(figures.text).map(centred));
  return { vision, text, mean: (vision + text) / 2 };
}

/** Mean loss in nats of tokens under the frequencies of other tokens, each of `size` ids counted once more than it occurs. */
export function unigramLoss(
  training: readonly (readonly number[])[],
  held: readonly (readonly number[])[],
  size: number,
): number {
  const counts = new Float64Array(size).fill(1);
  let total = size;
  for (const ids of training) {
    for (const id of ids) counts[id]!++;
    total += ids.length;
  }
  return mean(held.flatMap((ids) => ids.map((id) => Math.log(total / counts[id]!))));
}

/** The most frequent answer to each question, and of all where a question is new. */
export function majority(
  rows: readonly { readonly question: string; readonly answer: string }[],
): (question: string) => string {
  const best = (answers: readonly string[]): string => {
    const counts = new Map<string, number>();
    for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
    return [...counts].reduce((a, b) => b[1] > a[1] ? b : a)[0];
  };
  if (!rows.length) {
    throw new RangeError("Cannot find the most frequent answers: there must be questions: there are none");
  }
  const all = best(rows.map(({ answer }) => answer));
  const known = new Map(
    [...Map.groupBy(rows, ({ question }) => question)].map(([q, own]) => [q, best(own.map((r) => r.answer))]),
  );
  return (question) => known.get(question) ?? all;
}
