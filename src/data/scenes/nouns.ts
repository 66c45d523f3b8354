/**
 * What texts about scenes call their objects: one word for each attribute.
 *
 * @module
 */
import { COLORS, type Kinds, type Scene, type SceneObject, SHAPES, SIZES } from "./world.ts";

/** Attributes that an object may be asked for. */
export type Attributes = Partial<Pick<SceneObject, "size" | "color" | "shape">>;

/** A kind of objects. */
export interface Noun {
  /** "red circle", "small thing" */
  readonly one: string;
  /** "red circles", "small things" */
  readonly many: string;
  /** Number of such objects. */
  readonly count: (scene: Scene) => number;
}

/** Whether an object has all of the attributes. */
export function fits(object: SceneObject, attributes: Attributes): boolean {
  return Object.entries(attributes).every(([name, value]) => object[name as keyof Attributes] === value);
}

/** The objects that have some attributes, by name: "thing" where there is no shape. */
export function noun(attributes: Attributes): Noun {
  const { size, color, shape = "thing" } = attributes;
  const one = [size, color, shape].filter(Boolean).join(" ");
  const count = (scene: Scene) => scene.filter((object) => fits(object, attributes)).length;
  return { one, many: one.endsWith("s") ? `${one}es` : `${one}s`, count };
}

/** "a" or "an" before a noun. */
export function withArticle(text: string): string {
  return `${/^[aeiou]/.test(text) ? "an" : "a"} ${text}`;
}

/** The values that each attribute has in a world. */
export function values({ colors, shapes }: Pick<Kinds, "colors" | "shapes">) {
  return { sizes: SIZES, colors: COLORS.slice(0, colors), shapes: SHAPES.slice(0, shapes) };
}

/** The only object that has some attributes. */
export function only(scene: Scene, attributes: Attributes): SceneObject | undefined {
  const [object, ...others] = scene.filter((object) => fits(object, attributes));
  return others.length ? undefined : object;
}
