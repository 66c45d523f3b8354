/**
 * A small world with ground truth: scenes of a few coloured shapes on a coarse grid.
 *
 * @module
 */

import { Random } from "../../random/random.ts";

/** What an object can be. */
export const SHAPES: readonly Shape[] = ["circle", "square", "triangle", "ring", "star", "cross", "diamond", "heart"];
/** What colour an object can have. */
export const COLORS: readonly Color[] = ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "black"];
/** How large an object can be. */
export const SIZES: readonly Size[] = ["small", "big"];
/** The parts that every data set has. */
export const SPLITS = ["train", "val", "test"] as const;
/** Rows and columns of the grid that objects stand on, one object a cell at most. */
export const GRID = 3;

/** A shape's name. */
export type Shape = "circle" | "square" | "triangle" | "ring" | "star" | "cross" | "diamond" | "heart";
/** A colour's name. */
export type Color = "red" | "orange" | "yellow" | "green" | "cyan" | "blue" | "purple" | "black";
/** A size's name. */
export type Size = "small" | "big";
/** A split's name. */
export type SceneSplit = "train" | "val" | "test" | "hard";

/** One object. */
export interface SceneObject {
  /** What it is. */
  readonly shape: Shape;
  /** What colour it has. */
  readonly color: Color;
  /** How large it is. */
  readonly size: Size;
  /** Row of the grid, 0 at the top. */
  readonly row: number;
  /** Column of the grid, 0 at the left. */
  readonly column: number;
}

/** One scene: 1 to 4 objects in random order, no two of the same shape, colour and size, no two in one cell. */
export type Scene = readonly SceneObject[];

/** What scenes are made of. */
export interface Kinds {
  /** Smallest and largest number of objects. */
  readonly objects: readonly [number, number];
  /** How many of the colours there are. @default 8 */
  readonly colors?: number;
  /** How many of the shapes there are. @default 8 */
  readonly shapes?: number;
}

/** What kind of world scenes are drawn from. */
export interface WorldOptions extends Kinds {
  /** Everything follows from it. */
  readonly seed: number;
  /** Number of scenes in each split; `hard` only has to find room besides. */
  readonly counts: Readonly<Record<typeof SPLITS[number], number> & { hard?: number }>;
  /** Probability that a scene is a twin of the scene before: attributes or places of two objects swapped. */
  readonly twins: number;
}

/** The description by which scenes are told apart: shape, colour, size and cell of every object, in the order of cells. */
export function canonical(scene: Scene): string {
  return scene.map((o) => `${o.row}${o.column} ${o.size} ${o.color} ${o.shape}`).sort().join(", ");
}

/**
 * The scenes of all splits, no scene twice. The test split is drawn first and the training split last, so that held-out scenes
 * stay the same when the training split grows.
 *
 * @throws {RangeError} If the world has too few different scenes for these counts.
 */
export function drawScenes({ seed, counts, twins, ...kinds }: WorldOptions): Record<typeof SPLITS[number], Scene[]> {
  requireRoom(counts.train + counts.val + counts.test + (counts.hard ?? 0), kinds);
  const seen = new Set<string>();
  const splits: Record<typeof SPLITS[number], Scene[]> = { train: [], val: [], test: [] };
  for (const split of ["test", "val", "train"] as const) {
    const scenes = splits[split], root = new Random(seed).fork(SPLITS.indexOf(split));
    while (scenes.length < counts[split]) {
      const scene = newScene(root.fork(scenes.length), scenes.at(-1), seen, kinds, twins);
      seen.add(canonical(scene));
      scenes.push(scene);
    }
  }
  return splits;
}

/** Draws until a scene is none of those seen. */
function newScene(
  random: Random,
  before: Scene | undefined,
  seen: ReadonlySet<string>,
  kinds: Kinds,
  twins: number,
): Scene {
  while (true) {
    const scene = before && random.uniform() < twins ? drawTwin(before, random) : drawScene(kinds, random);
    if (distinct(scene) && !seen.has(canonical(scene))) return scene;
  }
}

/** Any scene; objects may be alike. */
export function drawScene({ objects: [least, most], colors, shapes }: Kinds, random: Random): Scene {
  const count = least + random.below(most - least + 1);
  return [...random.permutation(GRID * GRID).subarray(0, count)].map((cell) => ({
    shape: random.pick(SHAPES.slice(0, shapes)),
    color: random.pick(COLORS.slice(0, colors)),
    size: random.pick(SIZES),
    row: Math.floor(cell / GRID),
    column: cell % GRID,
  }));
}

/** The closest wrong answer: two objects exchange one attribute or their places. A single object moves to another cell. */
function drawTwin(scene: Scene, random: Random): Scene {
  if (scene.length === 1) return [{ ...scene[0]!, row: random.below(GRID), column: random.below(GRID) }];
  const [a, b] = random.shuffle([...scene.keys()]) as [number, number];
  const names = random.pick([["shape"], ["color"], ["size"], ["row", "column"]] as const);
  const twin = [...scene];
  for (const name of names) {
    twin[a] = { ...twin[a]!, [name]: scene[b]![name] };
    twin[b] = { ...twin[b]!, [name]: scene[a]![name] };
  }
  return twin;
}

/** Whether no two objects are alike. */
export function distinct(scene: Scene): boolean {
  return new Set(scene.map((o) => `${o.shape} ${o.color} ${o.size}`)).size === scene.length;
}

/** Half of all scenes is the limit, so that drawing unseen ones stays quick. */
function requireRoom(total: number, { objects: [least, most], colors = 8, shapes = 8 }: Kinds): void {
  const kinds = shapes * colors * SIZES.length, cells = GRID * GRID;
  let room = 0, scenes = 1;
  for (let count = 1; count <= most; count++) {
    scenes *= (kinds - count + 1) * (cells - count + 1) / count;
    if (count >= least) room += scenes / 2;
  }
  if (total <= room) return;
  const many = least === most ? `${most}` : `${least} to ${most}`, noun = most === 1 ? "object" : "objects";
  throw new RangeError(
    `Cannot draw ${total} different scenes of ${many} ${noun}: at most ${room} are possible, ask for fewer scenes or more objects`,
  );
}
