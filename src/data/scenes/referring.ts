/**
 * Expressions that refer to one object of a scene.
 *
 * @module
 */
import type { Random } from "../../random/random.ts";
import { holds, RELATIONS } from "./facts.ts";
import { type Attributes, fits, noun } from "./nouns.ts";
import type { Scene, SceneObject } from "./world.ts";

/** Attributes that an expression names together. */
const named: readonly (readonly (keyof Attributes)[])[] = [
  ["shape"],
  ["color"],
  ["size"],
  ["color", "shape"],
  ["size", "shape"],
  ["size", "color"],
  ["size", "color", "shape"],
];

/**
 * An expression that fits one object of a scene and no other: by its attributes or, a third of the time where that is possible,
 * by its place.
 */
export function referTo(object: SceneObject, scene: Scene, random: Random): string {
  const byPlace = placePhrases(object, scene);
  return random.pick(byPlace.length && random.below(3) === 0 ? byPlace : attributePhrases(object, scene));
}

/** At least one: no two objects are alike. */
function attributePhrases(object: SceneObject, scene: Scene): string[] {
  return named.map((names): Attributes => Object.fromEntries(names.map((name) => [name, object[name]])))
    .filter((attributes) => noun(attributes).count(scene) === 1)
    .map((attributes) => `the ${noun(attributes).one}`);
}

/** As in "the thing above the star". */
function placePhrases(object: SceneObject, scene: Scene): string[] {
  const landmarks = scene.filter(({ shape }) => scene.filter((other) => fits(other, { shape })).length === 1);
  return landmarks.flatMap((landmark) =>
    RELATIONS.filter((relation) => {
      const there = scene.filter((other) => holds(other, relation, landmark));
      return there.length === 1 && there[0] === object;
    }).map((relation) => `the thing ${relation} the ${landmark.shape}`)
  );
}
