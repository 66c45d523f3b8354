/**
 * Questions about scenes.
 *
 * @module
 */
import type { Random } from "../../random/random.ts";
import { drawBalanced, type Prompt, type Prompted } from "./balance.ts";
import { holds, RELATIONS } from "./facts.ts";
import { noun, only, values, withArticle } from "./nouns.ts";
import type { Kinds, Scene } from "./world.ts";

/** Kinds of questions. */
export type QuestionType = "existence" | "count" | "color" | "relation";

/** A question about one scene. */
export interface SceneQuestion extends Prompted {
  /** What it asks for. */
  readonly type: QuestionType;
}

/** What VQA calls the kinds of answers. */
export const answerTypes: Record<QuestionType, string> = {
  existence: "yes/no",
  count: "number",
  color: "other",
  relation: "yes/no",
};

/** How many of the answers to a question are equally frequent: of counts, 3 in a row are. */
const equal: Record<QuestionType, number> = { existence: 2, count: 3, color: 3, relation: 2 };

/** Questions of each type, at most as many as there are scenes, balanced text by text. */
export function drawQuestions(scenes: readonly Scene[], kinds: Kinds, random: Random): SceneQuestion[] {
  return Object.entries(prompts(kinds)).flatMap(([name, all], i) => {
    const type = name as QuestionType;
    return drawBalanced(all, scenes, { equal: equal[type], count: scenes.length }, random.fork(i))
      .map((question) => ({ ...question, type }));
  });
}

/** All that a question can have as answer. */
export function possibleAnswers(kinds: Kinds): string[] {
  return ["yes", "no", ...Array.from({ length: kinds.objects[1] + 1 }, (_, n) => String(n)), ...values(kinds).colors];
}

function prompts(kinds: Kinds): Record<QuestionType, Prompt[]> {
  const { sizes, colors, shapes } = values(kinds);
  const yes = (truth: boolean) => truth ? "yes" : "no";
  const kindsOfOne = [...colors.map((color) => noun({ color })), ...shapes.map((shape) => noun({ shape }))];
  const exists = kindsOfOne.map(({ one, count }): Prompt => ({
    text: `is there ${withArticle(one)}?`,
    answer: (scene) => yes(count(scene) > 0),
  }));
  // Asked only where something has the colour or the shape: a look for one of them does not answer it.
  const existsBoth = colors.flatMap((color) =>
    shapes.map((shape): Prompt => {
      const { one, count } = noun({ color, shape });
      return {
        text: `is there ${withArticle(one)}?`,
        answer: (scene) =>
          scene.some((o) => o.color === color || o.shape === shape) ? yes(count(scene) > 0) : undefined,
      };
    })
  );
  const counts = [noun({}), ...sizes.map((size) => noun({ size })), ...kindsOfOne].map(({ many, count }): Prompt => ({
    text: `how many ${many} are there?`,
    answer: (scene) => String(count(scene)),
  }));
  const colorOf = shapes.flatMap((shape) =>
    [{ shape }, ...sizes.map((size) => ({ size, shape }))].map((attributes): Prompt => ({
      text: `what color is the ${noun(attributes).one}?`,
      answer: (scene) => only(scene, attributes)?.color,
    }))
  );
  const relations = shapes.flatMap((first) =>
    shapes.filter((second) => second !== first).flatMap((second) =>
      RELATIONS.map((relation): Prompt => ({
        text: `is the ${first} ${relation} the ${second}?`,
        answer(scene) {
          const a = only(scene, { shape: first }), b = only(scene, { shape: second });
          // Asked only where one of the two ways round is true, not of objects in one row or column.
          return a && b && (holds(a, relation, b) || holds(b, relation, a)) ? yes(holds(a, relation, b)) : undefined;
        },
      }))
    )
  );
  return { existence: [...exists, ...existsBoth], count: counts, color: colorOf, relation: relations };
}
