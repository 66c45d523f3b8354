import { assert, assertEquals, assertThrows } from "@std/assert";
import { relationFacts } from "../../src/data/scenes/facts.ts";
import { captionScene } from "../../src/data/scenes/language.ts";
import { captionHolds, parseCaption } from "../../src/data/scenes/truth.ts";
import { drawScenes, type Scene } from "../../src/data/scenes/world.ts";
import { Random } from "../../src/random/random.ts";

/** Few kinds, so that captions are often true of other scenes. */
const world = { seed: 3, counts: { train: 240, val: 1, test: 1 }, twins: 0.3, colors: 2, shapes: 2 };

function scenesOf(objects: readonly [number, number]): Scene[] {
  return drawScenes({ ...world, objects }).train;
}

/** Truth by trying every list of different objects, from the relation facts. */
function bruteForce(caption: string, scene: Scene): boolean {
  const { objects, relations, cells } = parseCaption(caption), facts = relationFacts(scene);
  let lists: number[][] = [[]];
  for (let n = 0; n < objects.length; n++) lists = lists.flatMap((list) => [...scene.keys()].map((i) => [...list, i]));
  return lists.some((list) =>
    new Set(list).size === list.length &&
    list.every((i, n) => Object.entries(objects[n]!).every(([name, value]) => scene[i]![name as "size"] === value)) &&
    relations.every(([a, relation, b]) =>
      facts.some((f) => f.subject === list[a] && f.relation === relation && f.object === list[b])
    ) && (!cells || cells.some((c) => c.row === scene[list[0]!]!.row && c.column === scene[list[0]!]!.column))
  );
}

Deno.test("captionHolds() is true of a caption's own scene, in every sentence", () => {
  for (const objects of [[1, 1], [2, 2], [3, 3], [4, 4]] as const) {
    drawScenes({ ...world, counts: { train: 150, val: 0, test: 0 }, colors: 8, shapes: 8, objects }).train
      .forEach((scene, i) => {
        for (const caption of captionScene(scene, 8, new Random(i))) assert(captionHolds(caption, scene), caption);
      });
  }
});

Deno.test("captionHolds() agrees with every assignment tried on the relation facts, on other scenes too", () => {
  const scenes = [...scenesOf([2, 2]), ...scenesOf([2, 3]).slice(0, 100), ...scenesOf([4, 4]).slice(0, 60)];
  let foreign = 0, larger = 0;
  scenes.forEach((scene, i) => {
    const [caption] = captionScene(scene, 1, new Random(i)) as [string];
    scenes.forEach((other, j) => {
      const holds = captionHolds(caption, other);
      assertEquals(holds, bruteForce(caption, other), `${caption}: ${JSON.stringify(other)}`);
      if (holds && i !== j) foreign++;
      if (holds && other.length > scene.length) larger++;
    });
  });
  assert(foreign > 200, `${foreign} captions are true of another scene`);
  assert(larger > 20, "other objects make nothing false");
});

Deno.test("captionHolds() understands places, synonyms and both kinds of relation", () => {
  const disk = { shape: "circle", color: "cyan", size: "small", row: 0, column: 2 } as const;
  const box = { shape: "square", color: "purple", size: "big", row: 2, column: 2 } as const;
  const cases: [string, boolean][] = [
    ["a tiny turquoise disk at the top right", true],
    ["in the top right corner there is a little cyan circle", true],
    ["there is a small cyan circle at the top", false],
    ["there is a small cyan circle on the right", false],
    ["a small cyan circle in the center", false],
    ["a small cyan circle over a large violet box", true],
    ["a small cyan circle is under a large violet box", false],
    ["a small cyan circle with a big purple square under it", true],
    ["a small cyan circle with a big purple square on its left", false],
    ["a small cyan circle above a small cyan circle", false],
  ];
  for (const [caption, expected] of cases) assertEquals(captionHolds(caption, [disk, box]), expected, caption);
});

Deno.test("captionHolds() refuses what is no sentence of the language", () => {
  for (const text of ["", "a red circle", "a big red circle", "a big red circle near a big red star", "two dogs"]) {
    assertThrows(() => captionHolds(text, []), SyntaxError, `Cannot read "${text}": a caption must be a sentence`);
  }
  assertThrows(() => captionHolds("a big red circle above a big red star ", []), SyntaxError);
});
