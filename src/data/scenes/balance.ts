/**
 * Texts about scenes, chosen so that a text alone does not tell its answer.
 *
 * @module
 */
import type { Random } from "../../random/random.ts";
import type { Scene } from "./world.ts";

/** A text that is asked or said of a scene. */
export interface Prompt<A extends string = string> {
  /** The question or sentence. */
  readonly text: string;
  /** The answer of a scene; nothing where the text makes no sense. */
  readonly answer: (scene: Scene) => A | undefined;
}

/** A text of one scene with its answer. */
export interface Prompted<A extends string = string> {
  /** Index of the scene. */
  readonly scene: number;
  /** The question or sentence. */
  readonly text: string;
  /** What is true. */
  readonly answer: A;
}

/**
 * Scenes for prompts: the answers that are most frequent to a text become equally frequent.
 *
 * @param equal How many of them: no answer to a text is kept more often than its `equal`-th most frequent one, and a text that
 *   has fewer different answers in these scenes is not used.
 * @param count How many texts to give at most, in random order.
 */
export function drawBalanced<A extends string>(
  prompts: readonly Prompt<A>[],
  scenes: readonly Scene[],
  { equal, count }: { readonly equal: number; readonly count: number },
  random: Random,
): Prompted<A>[] {
  // A round has every answer to a text once, so that a part of the rounds is as balanced as all are.
  const rounds = prompts.flatMap(({ text, answer }, number) => {
    const byAnswer = Map.groupBy(scenes.keys(), (scene) => answer(scenes[scene]!));
    byAnswer.delete(undefined);
    const own = random.fork(number), lists = [...byAnswer].map(([answer, all]) => ({ answer, all: own.shuffle(all) }));
    const most = lists.map(({ all }) => all.length).sort((a, b) => b - a)[equal - 1] ?? 0;
    return Array.from({ length: most }, (_, round) =>
      lists.filter(({ all }) => round < all.length)
        .map(({ answer, all }): Prompted<A> => ({ scene: all[round]!, text, answer: answer! })));
  });
  return random.shuffle(rounds).flat().slice(0, count);
}
