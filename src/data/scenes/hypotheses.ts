/**
 * Sentences that follow from a scene, contradict it, or are about something that it does not show.
 *
 * @module
 */
import type { Random } from "../../random/random.ts";
import type { EntailmentClass } from "../entailment.ts";
import { drawBalanced, type Prompt, type Prompted } from "./balance.ts";
import { holds, RELATIONS } from "./facts.ts";
import { type Attributes, fits, noun, only, values } from "./nouns.ts";
import type { Kinds, Scene, SceneObject } from "./world.ts";

/**
 * Sentences with their labels, at most three for each scene and of every text as many of each label.
 *
 * "The circle is red" follows where the only circle is red and is contradicted where it is not; where no circle is drawn,
 * the picture does not tell.
 */
export function drawHypotheses(scenes: readonly Scene[], kinds: Kinds, random: Random): Prompted<EntailmentClass>[] {
  return drawBalanced(prompts(kinds), scenes, { equal: 3, count: 3 * scenes.length }, random);
}

function prompts(kinds: Kinds): Prompt<EntailmentClass>[] {
  const { sizes, colors, shapes } = values(kinds);
  const about = (subject: Attributes, claim: string, claimed: Attributes): Prompt<EntailmentClass> => {
    const { one, count } = noun(subject);
    return {
      text: `the ${one} is ${claim}`,
      answer(scene) {
        if (count(scene) === 0) return "neutral";
        const object = only(scene, subject);
        return object && label(fits(object, claimed));
      },
    };
  };
  return [
    ...shapes.flatMap((shape) => colors.map((color) => about({ shape }, color, { color }))),
    ...shapes.flatMap((shape) => sizes.map((size) => about({ shape }, size, { size }))),
    ...colors.flatMap((color) => shapes.map((shape) => about({ color }, `a ${shape}`, { shape }))),
    ...shapes.flatMap((first) =>
      shapes.filter((second) => second !== first).flatMap((second) =>
        RELATIONS.map((relation) => ({
          text: `the ${first} is ${relation} the ${second}`,
          answer: (scene: Scene) => relationLabel(scene, first, relation, second),
        }))
      )
    ),
  ];
}

function label(truth: boolean): EntailmentClass {
  return truth ? "entailment" : "contradiction";
}

/** Neutral where one of the two is drawn and not the other; nothing is said of scenes without both. */
function relationLabel(
  scene: Scene,
  first: SceneObject["shape"],
  relation: typeof RELATIONS[number],
  second: SceneObject["shape"],
): EntailmentClass | undefined {
  const a = only(scene, { shape: first }), b = only(scene, { shape: second });
  if (a && b) return holds(a, relation, b) || holds(b, relation, a) ? label(holds(a, relation, b)) : undefined;
  const drawn = [first, second].map((shape) => noun({ shape }).count(scene));
  return (a || b) && drawn.includes(0) ? "neutral" : undefined;
}
