/**
 * What is true of a scene.
 *
 * @module
 */

import type { Scene, SceneObject } from "./world.ts";

/** How two objects lie to each other in the picture. */
export const RELATIONS: readonly Relation[] = ["left of", "right of", "above", "below"];
/** A relation's name. */
export type Relation = "left of" | "right of" | "above" | "below";

/** "The subject is (relation) the object", by their indices in the scene. */
export interface RelationFact {
  /** Index of the one that is somewhere. */
  readonly subject: number;
  /** Where it is. */
  readonly relation: Relation;
  /** Index of the one that it is seen from. */
  readonly object: number;
}

/** Whether a relation holds. Objects of one column are neither left nor right of each other, those of one row neither above nor below. */
export function holds(a: SceneObject, relation: Relation, b: SceneObject): boolean {
  switch (relation) {
    case "left of":
      return a.column < b.column;
    case "right of":
      return a.column > b.column;
    case "above":
      return a.row < b.row;
    case "below":
      return a.row > b.row;
  }
}

/** Every relation that holds in a scene, between any two objects and in both directions. */
export function relationFacts(scene: Scene): RelationFact[] {
  return scene.flatMap((a, subject) =>
    scene.flatMap((b, object) =>
      RELATIONS.filter((relation) => holds(a, relation, b)).map((relation) => ({ subject, relation, object }))
    )
  );
}

/** The relations that a speaker would use: those along the axis on which two objects are further apart, or both on a diagonal. */
export function salientRelations(a: SceneObject, b: SceneObject): Relation[] {
  const across = Math.abs(a.column - b.column), down = Math.abs(a.row - b.row);
  return RELATIONS.filter((relation) => {
    const horizontal = relation === "left of" || relation === "right of";
    return holds(a, relation, b) && (horizontal ? across >= down : down >= across);
  });
}
