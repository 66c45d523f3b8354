/**
 * Texts that are written token by token: by beam search (Freitag and Al-Onaizan 2017), of which the greedy choice is that of width 1, or
 * by tokens drawn. What writes next says only what is likely.
 *
 * @module
 */
import { floorDivide } from "../ops/division.ts";
import { add, divide, equal, iota, maximum, multiply, subtract, where } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { gather } from "../ops/gather.ts";
import { pow } from "../ops/math.ts";
import { broadcastTo } from "../ops/reduce.ts";
import { ringUpdate } from "../ops/ring_update.ts";
import { reshape, stack } from "../ops/shape.ts";
import { takeAlongAxis } from "../ops/take.ts";
import { topK } from "../ops/top_k.ts";
import { toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";

/** N = B * width texts in the making, those of one source side by side, the best first. */
export type Beam = {
  /** u32 [N]: the last token of each. */
  readonly tokens: Tensor;
  /** f32 [N]: log-likelihoods. */
  readonly scores: Tensor;
  /** f32 [N]: tokens written. */
  readonly lengths: Tensor;
  /** f32 [N]: 1 where the end came. */
  readonly finished: Tensor;
  /** u32 [steps, 2, N]: of each step the tokens, and the rows of the step before that they follow. */
  readonly history: Tensor;
};

/** How texts go on. */
export interface BeamRules {
  /** Texts of a source that are written side by side. */
  readonly width: number;
  /** Texts are compared by log-likelihood / tokens^lengthPenalty. */
  readonly lengthPenalty: number;
  /** Id of the token that ends a text; undefined: none does. */
  readonly endId: number | undefined;
  /** Id that follows the end. */
  readonly padId: number;
}

/** A text that was written. */
export interface WrittenText {
  /** Its tokens, the end left out. */
  readonly ids: readonly number[];
  /** Sum of the log-probabilities of its tokens, that of the end included. */
  readonly logLikelihood: number;
  /** Whether the end came; otherwise the text was cut. */
  readonly finished: boolean;
}

/** The score of what is no text: below all of them, and finite. */
const NONE = -1e30;

/** The start of at most `steps` tokens after the given ones, u32 [N]. With `one` only the first text of a source counts. */
export function startBeam(tokens: Tensor, steps: number, { width }: Pick<BeamRules, "width">, one = true): Beam {
  const rows = tokens.size, shape = [rows / width, width];
  const first = reshape(where(equal(iota(shape, 1), 0), 0, full(shape, NONE)), [rows]);
  return {
    tokens,
    scores: one ? first : full([rows], 0),
    lengths: full([rows], 0),
    finished: full([rows], 0),
    history: full([steps, 2, rows], 0, "u32"),
  };
}

/**
 * One token more for each text: of all that the texts of a source may become, the `width` best; finished ones stay as they are.
 *
 * @param next [N, V]: log-probabilities.
 * @param at u32 [1]: the number of this step.
 * @returns The texts, and the rows that they go on from, u32 [N].
 */
export function growBeam(beam: Beam, next: Tensor, at: Tensor, rules: BeamRules): { beam: Beam; parents: Tensor } {
  const { width, lengthPenalty, padId } = rules, rows = beam.tokens.size, count = rows / width;
  const choices = Math.min(width, next.shape[1]!), shape = [rows, choices];
  const [best, tokens] = topK(next, choices), column = (x: Tensor): Tensor => reshape(x, [rows, 1]);
  // A finished text goes on in one way only, by padding that costs nothing.
  const isFirst = equal(iota(shape, 1), 0), finished = broadcastTo(column(beam.finished), shape);
  const scores = add(column(beam.scores), where(finished, where(isFirst, 0, NONE), best));
  const lengths = add(beam.lengths, subtract(1, beam.finished));
  const compared = lengthPenalty === 0 ? scores : divide(scores, pow(column(lengths), lengthPenalty));
  const [, chosen] = topK(reshape(compared, [count, width * choices]), width); // [B, width]
  const flat = reshape(add(chosen, multiply(iota([count, width], 0), width * choices)), [rows]);
  const parents = floorDivide(flat, choices), pick = (x: Tensor): Tensor => gather(reshape(x, [rows * choices]), flat);
  const written = pick(where(finished, full(shape, padId, "u32"), tokens));
  const own = { scores: pick(scores), lengths: gather(lengths, parents), finished: gather(beam.finished, parents) };
  return { beam: wrote(beam, { tokens: written, parents, ...own }, at, rules), parents };
}

/** One token more for each text, the chosen one, u32 [N]; `next` are the log-probabilities [N, V]. */
export function extendBeam(beam: Beam, next: Tensor, chosen: Tensor, at: Tensor, rules: BeamRules): Beam {
  const { finished } = beam, rows = chosen.size, isOpen = subtract(1, finished);
  const gained = reshape(takeAlongAxis(next, reshape(chosen, [rows, 1]), 1), [rows]);
  return wrote(
    beam,
    {
      tokens: where(finished, full([rows], rules.padId, "u32"), chosen),
      parents: iota([rows], 0),
      scores: add(beam.scores, multiply(gained, isOpen)),
      lengths: add(beam.lengths, isOpen),
      finished,
    },
    at,
    rules,
  );
}

/** The texts after a step; `finished` is how they were before it. */
function wrote(
  { history }: Beam,
  { parents, ...own }: Omit<Beam, "history"> & { readonly parents: Tensor },
  at: Tensor,
  { endId }: BeamRules,
): Beam {
  const ended = endId === undefined ? own.finished : maximum(own.finished, equal(own.tokens, endId));
  return {
    ...own,
    finished: ended,
    history: ringUpdate(history, reshape(stack([own.tokens, parents]), [1, 2, parents.size]), at),
  };
}

/** Steps between two looks at which texts have ended: each look waits for the GPU. */
const LOOK_EVERY = 8;

/** Lets texts grow until all have ended or there were `steps` steps, and reads them, source by source, the best first. */
export async function readTexts<S extends { readonly beam: Beam }>(
  first: S,
  steps: number,
  grow: (state: S, step: number) => Promise<S>,
  { width, endId }: BeamRules,
): Promise<{ texts: WrittenText[][]; state: S }> {
  let state = first, step = 0;
  while (step < steps) {
    state = await grow(state, step++);
    if (endId === undefined || step % LOOK_EVERY !== 0) continue;
    if ((await toHost(state.beam.finished)).every((x) => x === 1)) break;
  }
  const [history, scores, finished] = await toHost([state.beam.history, state.beam.scores, state.beam.finished]);
  const rows = scores!.length;
  const text = (row: number): WrittenText => {
    const ids = trace(history!, rows, step, row), end = endId === undefined ? -1 : ids.indexOf(endId);
    return {
      ids: end < 0 ? ids : ids.slice(0, end),
      logLikelihood: scores![row]!,
      finished: finished![row] === 1,
    };
  };
  const texts = Array.from(
    { length: rows / width },
    (_, source) =>
      Array.from({ length: width }, (_, i) => source * width + i).filter((row) => scores![row]! > NONE / 2).map(text),
  );
  return { texts, state };
}

/** The tokens of a text, from the last step back. */
function trace(history: ArrayLike<number>, rows: number, steps: number, row: number): number[] {
  const ids: number[] = [];
  for (let step = steps - 1; step >= 0; step--) {
    ids.push(history[2 * step * rows + row]!);
    row = history[(2 * step + 1) * rows + row]!;
  }
  return ids.reverse();
}
