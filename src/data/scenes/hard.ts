/**
 * Groups of scenes that differ little, each with captions that are true of no other of its group.
 *
 * @module
 */
import { Random } from "../../random/random.ts";
import { captionScene } from "./language.ts";
import { captionHolds } from "./truth.ts";
import { canonical, COLORS, distinct, drawScene, type Kinds, type Scene, SHAPES, SIZES } from "./world.ts";

/** Scenes of a group: one and 7 near-duplicates of it. */
export const GROUP = 8;

/** Bases that are drawn for one group, and captions for one scene, before the world is said to be too small. */
const TRIES = 500;

/** A scene of a group. */
export interface HardScene {
  /** The scene. */
  readonly scene: Scene;
  /** Its captions. */
  readonly captions: readonly string[];
}

/**
 * Groups of 8 scenes, one after the other: a scene, then 7 that differ from it by the size, the colour or the shape of one object or by
 * two objects that have exchanged places. No scene is drawn twice, nor one of those seen.
 *
 * @param captions Captions of each scene, all of them false of the group's other scenes.
 * @throws {RangeError} If the world has too few scenes.
 */
export function drawHardScenes(
  { groups, captions, seed, seen, ...kinds }: Kinds & {
    readonly groups: number;
    readonly captions: number;
    readonly seed: number;
    readonly seen: readonly Scene[];
  },
): HardScene[] {
  const known = new Set(seen.map(canonical)), root = new Random(seed).fork(HARD);
  return Array.from({ length: groups }, (_, group) => {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const random = root.fork(group, attempt);
      const scenes = drawGroup(kinds, known, random), told = scenes && captionGroup(scenes, captions, random);
      if (!told) continue;
      for (const { scene } of told) known.add(canonical(scene));
      return told;
    }
    throw new RangeError(
      `Cannot draw ${groups} groups of ${GROUP} scenes that differ little: no group ${group} was found in ${TRIES} attempts, ` +
        "ask for fewer scenes or more colours, shapes or objects",
    );
  }).flat();
}

/** Number of the split's random stream, after those of the other splits. */
export const HARD = 3;

/** A new scene and 7 of its neighbours, if it has so many; each kind of difference is as likely as the others. */
function drawGroup(kinds: Kinds, known: ReadonlySet<string>, random: Random): Scene[] | undefined {
  const base = drawScene(kinds, random), used = new Set([canonical(base)]);
  if (!distinct(base) || known.has(canonical(base))) return undefined;
  const group = [base], left = neighbours(base, kinds).map((scenes) => random.shuffle(scenes));
  while (group.length < GROUP) {
    const some = left.filter((scenes) => scenes.length);
    if (!some.length) return undefined;
    const scene = random.pick(some).pop()!, name = canonical(scene);
    if (!distinct(scene) || known.has(name) || used.has(name)) continue;
    used.add(name);
    group.push(scene);
  }
  return group;
}

/** All scenes that differ by one object's size, colour or shape, or by the places of two objects: four lists. */
function neighbours(scene: Scene, { colors, shapes }: Kinds): Scene[][] {
  const values = { size: SIZES, color: COLORS.slice(0, colors), shape: SHAPES.slice(0, shapes) };
  const changed = Object.entries(values).map(([name, all]) =>
    scene.flatMap((object, i) =>
      all.filter((value) => value !== object[name as keyof typeof values])
        .map((value) => scene.with(i, { ...object, [name]: value }))
    )
  );
  const exchanged = scene.flatMap((a, i) =>
    scene.slice(i + 1).map((b, n) => {
      const at = ({ row, column }: typeof a) => ({ row, column });
      return scene.with(i, { ...a, ...at(b) }).with(i + 1 + n, { ...b, ...at(a) });
    })
  );
  return [...changed, exchanged];
}

/** Captions that tell the scenes of a group apart, if they are found. */
function captionGroup(scenes: readonly Scene[], count: number, random: Random): HardScene[] | undefined {
  const told: HardScene[] = [];
  for (const scene of scenes) {
    const others = scenes.filter((other) => other !== scene), captions = new Set<string>();
    for (let attempt = 0; attempt < TRIES && captions.size < count; attempt++) {
      const [caption] = captionScene(scene, 1, random) as [string];
      if (!others.some((other) => captionHolds(caption, other))) captions.add(caption);
    }
    if (captions.size < count) return undefined;
    told.push({ scene, captions: [...captions] });
  }
  return told;
}
