/**
 * Captions of scenes: every object with its size, colour and shape, in words that vary, and how the objects lie to each other.
 *
 * @module
 */

import type { Random } from "../../random/random.ts";
import { type Relation, salientRelations } from "./facts.ts";
import { type Color, GRID, type Scene, type SceneObject, type Shape, type Size } from "./world.ts";

/** No caption has more words. */
export const MAX_WORDS = 24;

/** Words for each. */
export const sizeWords: Record<Size, readonly string[]> = { small: ["small", "little", "tiny"], big: ["big", "large"] };

/** Words for each. */
export const colorWords: Record<Color, readonly string[]> = {
  red: ["red"],
  orange: ["orange"],
  yellow: ["yellow"],
  green: ["green"],
  cyan: ["cyan", "turquoise"],
  blue: ["blue"],
  purple: ["purple", "violet"],
  black: ["black"],
};

/** Words for each. */
export const shapeWords: Record<Shape, readonly string[]> = {
  circle: ["circle", "disk"],
  square: ["square", "box"],
  triangle: ["triangle"],
  ring: ["ring", "hoop"],
  star: ["star"],
  cross: ["cross", "plus"],
  diamond: ["diamond", "rhombus"],
  heart: ["heart"],
};

/** Words for each. */
export const relationWords: Record<Relation, readonly string[]> = {
  "left of": ["left of", "to the left of"],
  "right of": ["right of", "to the right of"],
  above: ["above", "over"],
  below: ["below", "under"],
};

/** "... with a ring to its left" */
export const besideWords: Record<Relation, readonly string[]> = {
  "left of": ["to its left", "on its left"],
  "right of": ["to its right", "on its right"],
  above: ["above it", "over it"],
  below: ["below it", "under it"],
};

/** The words for a scene whose objects have been put in the order of telling. */
interface Wording {
  /** Object i with its attributes. */
  name(i: number): string;
  /** How object i lies to object j, before the name of j. */
  to(i: number, j: number): string;
  /** How object j lies to object i, which has just been named. */
  beside(i: number, j: number): string;
  /** Where object i is in the picture. */
  place(i: number): string;
}

/** Sentences for 1, 2, 3 and 4 objects. */
const sentences: readonly (readonly ((w: Wording) => string)[])[] = [
  [
    (w) => `${w.name(0)} ${w.place(0)}`,
    (w) => `there is ${w.name(0)} ${w.place(0)}`,
    (w) => `${w.place(0)} there is ${w.name(0)}`,
  ],
  [
    (w) => `${w.name(0)} ${w.to(0, 1)} ${w.name(1)}`,
    (w) => `${w.name(0)} is ${w.to(0, 1)} ${w.name(1)}`,
    (w) => `there is ${w.name(0)} ${w.to(0, 1)} ${w.name(1)}`,
    (w) => `${w.name(0)} with ${w.name(1)} ${w.beside(0, 1)}`,
  ],
  [
    (w) => `${w.name(0)} ${w.to(0, 1)} ${w.name(1)} and ${w.to(0, 2)} ${w.name(2)}`,
    (w) => `there is ${w.name(0)} ${w.to(0, 1)} ${w.name(1)} and ${w.to(0, 2)} ${w.name(2)}`,
    (w) => `${w.name(0)} ${w.to(0, 1)} ${w.name(1)} that is ${w.to(1, 2)} ${w.name(2)}`,
    (w) => `${w.name(0)} with ${w.name(1)} ${w.beside(0, 1)} and ${w.name(2)} ${w.beside(0, 2)}`,
  ],
  [
    (w) => `${w.name(0)} ${w.to(0, 1)} ${w.name(1)} and ${w.name(2)} ${w.to(2, 3)} ${w.name(3)}`,
    (w) => `${w.name(0)} is ${w.to(0, 1)} ${w.name(1)} and ${w.name(2)} is ${w.to(2, 3)} ${w.name(3)}`,
    (w) => `there is ${w.name(0)} ${w.to(0, 1)} ${w.name(1)} and ${w.name(2)} ${w.to(2, 3)} ${w.name(3)}`,
  ],
];

/**
 * Different captions of one scene, each true and each naming all objects, in lower case and without punctuation.
 *
 * @param count Number of captions, up to 8: so many exist for every scene.
 */
export function captionScene(scene: Scene, count: number, random: Random): string[] {
  const captions = new Set<string>();
  while (captions.size < count) {
    const caption = random.pick(sentences[scene.length - 1]!)(wording(random.shuffle([...scene]), random));
    if (caption.split(" ").length <= MAX_WORDS) captions.add(caption);
  }
  return [...captions];
}

function wording(scene: Scene, random: Random): Wording {
  const relation = (i: number, j: number) => random.pick(salientRelations(scene[i]!, scene[j]!));
  return {
    name: (i) => nounPhrase(scene[i]!, random),
    to: (i, j) => random.pick(relationWords[relation(i, j)]),
    beside: (i, j) => random.pick(besideWords[relation(j, i)]),
    place: (i) => random.pick(placeWords(scene[i]!)),
  };
}

function nounPhrase({ size, color, shape }: SceneObject, random: Random): string {
  return `a ${random.pick(sizeWords[size])} ${random.pick(colorWords[color])} ${random.pick(shapeWords[shape])}`;
}

/** What is said of an object's place where it stands alone. */
export function placeWords({ row, column }: Pick<SceneObject, "row" | "column">): readonly string[] {
  const vertical = row === 0 ? "top" : row === GRID - 1 ? "bottom" : "";
  const horizontal = column === 0 ? "left" : column === GRID - 1 ? "right" : "";
  if (vertical && horizontal) return [`at the ${vertical} ${horizontal}`, `in the ${vertical} ${horizontal} corner`];
  if (vertical) return [`at the ${vertical}`, `in the middle of the ${vertical}`];
  if (horizontal) return [`on the ${horizontal}`, `in the middle of the ${horizontal}`];
  return ["in the middle", "in the center"];
}
