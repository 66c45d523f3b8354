/**
 * Whether a caption is true of a scene: the language of `language.ts` read back.
 *
 * @module
 */
import { holds, type Relation } from "./facts.ts";
import { besideWords, colorWords, placeWords, relationWords, shapeWords, sizeWords } from "./language.ts";
import { GRID, type Scene, type SceneObject } from "./world.ts";

type Cell = Pick<SceneObject, "row" | "column">;

/** What a caption says. */
export interface CaptionClaims {
  /** The objects that it names. */
  readonly objects: readonly Pick<SceneObject, "size" | "color" | "shape">[];
  /** "The subject is (relation) the object", by the numbers of the objects named. */
  readonly relations: readonly (readonly [subject: number, relation: Relation, object: number])[];
  /** Cells of which a single object is said to be in one. */
  readonly cells?: readonly Cell[];
}

/** Sentences by their words and, for each relation in them, who is how to whom. */
const sentences: readonly (readonly [words: string, ...pairs: (readonly [number, number])[]])[] = [
  ["(?:there is )?NAME PLACE"],
  ["PLACE there is NAME"],
  ["(?:there is )?NAME TO NAME", [0, 1]],
  ["NAME is TO NAME", [0, 1]],
  ["NAME with NAME BESIDE", [1, 0]],
  ["(?:there is )?NAME TO NAME and TO NAME", [0, 1], [0, 2]],
  ["NAME TO NAME that is TO NAME", [0, 1], [1, 2]],
  ["NAME with NAME BESIDE and NAME BESIDE", [1, 0], [2, 0]],
  ["(?:there is )?NAME TO NAME and NAME TO NAME", [0, 1], [2, 3]],
  ["NAME is TO NAME and NAME is TO NAME", [0, 1], [2, 3]],
];

/** Names by their words. */
function byWord<N extends string>(words: Readonly<Record<N, readonly string[]>>): ReadonlyMap<string, N> {
  return new Map(Object.entries(words).flatMap(([name, all]) => (all as string[]).map((word) => [word, name as N])));
}

const sizes = byWord(sizeWords), colors = byWord(colorWords), shapes = byWord(shapeWords);
const relations = new Map([...byWord(relationWords), ...byWord(besideWords)]);
const places = new Map<string, Cell[]>();
for (let cell = 0; cell < GRID * GRID; cell++) {
  const at = { row: Math.floor(cell / GRID), column: cell % GRID };
  for (const words of placeWords(at)) places.set(words, [...places.get(words) ?? [], at]);
}

const either = (words: Iterable<string>) => [...words].join("|");
const slots: Record<string, string> = {
  NAME: `a (?<size>${either(sizes.keys())}) (?<color>${either(colors.keys())}) (?<shape>${either(shapes.keys())})`,
  TO: `(?<relation>${either(Object.values(relationWords).flat())})`,
  BESIDE: `(?<relation>${either(Object.values(besideWords).flat())})`,
  PLACE: `(?<place>${either(places.keys())})`,
};
// Groups of one name get the number of their turn, since a name may stand once only.
const patterns = sentences.map(([words]) => {
  const turns: Record<string, number> = {};
  const source = words.replace(/[A-Z]+/g, (slot) => slots[slot]!)
    .replace(/\?<(\w+)>/g, (_, name) => `?<${name}${turns[name] = (turns[name] ?? -1) + 1}>`);
  return new RegExp(`^${source}$`);
});

/**
 * What a caption of our scenes says.
 *
 * @throws {SyntaxError} If the text is no such caption.
 */
export function parseCaption(caption: string): CaptionClaims {
  for (const [i, [, ...pairs]] of sentences.entries()) {
    const groups = patterns[i]!.exec(caption)?.groups;
    if (!groups) continue;
    const objects = [0, 1, 2, 3].filter((n) => groups[`size${n}`]).map((n) => ({
      size: sizes.get(groups[`size${n}`]!)!,
      color: colors.get(groups[`color${n}`]!)!,
      shape: shapes.get(groups[`shape${n}`]!)!,
    }));
    const said = pairs.map(([a, b], n) => [a, relations.get(groups[`relation${n}`]!)!, b] as const);
    const cells = places.get(groups["place0"] ?? "");
    return { objects, relations: said, ...(cells ? { cells } : {}) };
  }
  throw new SyntaxError(`Cannot read "${caption}": a caption must be a sentence of the scenes' language`);
}

/**
 * Whether what is said is true of a scene, in the plain sense: there are different objects that fit the words. That the scene has
 * other objects too makes nothing false, for no caption says that there are none.
 */
export function claimsHold({ objects, relations, cells }: CaptionClaims, scene: Scene): boolean {
  const fits = (n: number, o: SceneObject) =>
    objects[n]!.size === o.size && objects[n]!.color === o.color && objects[n]!.shape === o.shape &&
    (!cells || cells.some(({ row, column }) => row === o.row && column === o.column));
  const found: SceneObject[] = [];
  const assign = (n: number): boolean => {
    if (n === objects.length) return relations.every(([a, relation, b]) => holds(found[a]!, relation, found[b]!));
    return scene.some((o) => {
      if (found.slice(0, n).includes(o) || !fits(n, o)) return false;
      found[n] = o;
      return assign(n + 1);
    });
  };
  return assign(0);
}

/**
 * Whether a caption is true of a scene, its own or another: some different objects of the scene are as it says. Further objects do
 * not matter.
 *
 * @throws {SyntaxError} If the text is no caption of our scenes.
 */
export function captionHolds(caption: string, objects: Scene): boolean {
  return claimsHold(parseCaption(caption), objects);
}

/**
 * Which captions are true of which pictures of a split: the number of a picture, in the order of the file of facts (`imageId` of a data
 * set opened from the captions of that split alone), and any caption of our scenes. Captions are read once.
 *
 * @param files Those of {@linkcode sceneFiles}.
 */
export async function sceneTruth(
  files: { readonly facts: string },
): Promise<(image: number, caption: string) => boolean> {
  const { images } = JSON.parse(await Deno.readTextFile(files.facts)) as { images: { objects: Scene }[] };
  const claims = new Map<string, CaptionClaims>();
  return (image, caption) => {
    if (!images[image]) {
      throw new RangeError(
        `Cannot tell what is true of image ${image}: there are the images 0 to ${images.length - 1}`,
      );
    }
    const said = claims.get(caption) ?? parseCaption(caption);
    claims.set(caption, said);
    return claimsHold(said, images[image].objects);
  };
}
