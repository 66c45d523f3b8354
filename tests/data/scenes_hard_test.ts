import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { relationFacts } from "../../src/data/scenes/facts.ts";
import { drawHardScenes, GROUP } from "../../src/data/scenes/hard.ts";
import type { SceneOptions } from "../../src/data/scenes/options.ts";
import { captionHolds } from "../../src/data/scenes/truth.ts";
import { canonical, drawScenes, type Scene } from "../../src/data/scenes/world.ts";
import { sceneFiles, writeScenes } from "../../src/data/scenes/write.ts";
import { withFolder } from "../testing/folders.ts";

const few: SceneOptions = { train: 4, val: 2, test: 2, size: 32, seed: 5 };

/** In what two scenes differ: names of attributes, or "exchange". */
function difference(a: Scene, b: Scene): string {
  const changed = a.flatMap((o, i) =>
    (["size", "color", "shape", "row", "column"] as const).filter((name) => o[name] !== b[i]![name])
      .map((name) => ({ i, name }))
  );
  if (changed.length === 1 && !["row", "column"].includes(changed[0]!.name)) return changed[0]!.name;
  const moved = [...new Set(changed.map(({ i }) => i))], at = (o: Scene[number]) => `${o.row}${o.column}`;
  assert(changed.every(({ name }) => name === "row" || name === "column"), JSON.stringify([a, b]));
  assertEquals(moved.map((i) => at(a[i]!)), moved.toReversed().map((i) => at(b[i]!)));
  assertEquals(moved.length, 2);
  return "exchange";
}

Deno.test("drawHardScenes() gives groups of a scene and 7 that differ from it in one thing, told apart by every caption", () => {
  for (const objects of [[1, 1], [2, 3], [4, 4]] as const) {
    const seen = drawScenes({ seed: 1, counts: { train: 50, val: 0, test: 0 }, objects, twins: 0 }).train;
    const scenes = drawHardScenes({ groups: 6, captions: 3, seed: 1, seen, objects }), kinds = new Set<string>();
    assertEquals(scenes.length, 6 * GROUP);
    assertEquals(new Set([...scenes.map(({ scene }) => scene), ...seen].map(canonical)).size, scenes.length + 50);
    for (let from = 0; from < scenes.length; from += GROUP) {
      const group = scenes.slice(from, from + GROUP);
      for (const { scene } of group.slice(1)) kinds.add(difference(group[0]!.scene, scene));
      for (const { captions } of group) {
        assertEquals(new Set(captions).size, 3);
        for (const text of captions) {
          const true_ = group.filter(({ scene }) => captionHolds(text, scene));
          assertEquals(true_.map(({ captions }) => captions.includes(text)), [true], text);
        }
      }
    }
    assertEquals([...kinds].sort(), ["color", ...(objects[1] === 1 ? [] : ["exchange"]), "shape", "size"]);
  }
});

Deno.test("drawHardScenes() says that a world is too small", () => {
  assertThrows(
    () => drawHardScenes({ groups: 1, captions: 1, seed: 1, seen: [], objects: [1, 1], colors: 2, shapes: 2 }),
    RangeError,
    "Cannot draw 1 groups of 8 scenes",
  );
});

Deno.test("writeScenes() adds a hard split and leaves the bytes of the others", async () => {
  await withFolder(async (folder) => {
    await writeScenes(`${folder}/a`, few);
    const told: number[] = [];
    await writeScenes(`${folder}/b`, { ...few, hard: 2 }, ({ total }) => told.push(total));
    assertEquals(told, Array(24).fill(24));
    for (const split of ["train", "val", "test"] as const) {
      const [a, b] = ["a", "b"].map((name) => sceneFiles(`${folder}/${name}`, split));
      for (const name of ["captions", "facts"] as const) {
        assertEquals(await Deno.readTextFile(a![name]), await Deno.readTextFile(b![name]));
      }
      for await (const { name } of Deno.readDir(a!.images)) {
        assertEquals(await Deno.readFile(`${a!.images}/${name}`), await Deno.readFile(`${b!.images}/${name}`));
      }
    }
    const files = sceneFiles(`${folder}/b`, "hard"), facts = JSON.parse(await Deno.readTextFile(files.facts)).images;
    assertEquals(facts.map((f: { group: number }) => f.group), [...Array(8).fill(0), ...Array(8).fill(1)]);
    const { images, annotations } = JSON.parse(await Deno.readTextFile(files.captions));
    assertEquals(images.map((image: { id: number }) => image.id), Array.from({ length: 16 }, (_, i) => 8 + i));
    for (const { image_id, caption } of annotations) {
      const { objects, relations } = facts[image_id - 8];
      assert(captionHolds(caption, objects));
      assertEquals(relations, relationFacts(objects));
    }
    assertEquals([...Deno.readDirSync(files.images)].length, 16);
    await assertRejects(() => Deno.stat(sceneFiles(`${folder}/a`, "hard").facts), Deno.errors.NotFound);
  });
});

Deno.test("a manifest names the later options only where they are used, so that folders of before stay valid", async () => {
  await withFolder(async (folder) => {
    await writeScenes(`${folder}/a`, few);
    assertEquals(
      await Deno.readTextFile(`${folder}/a/manifest.json`),
      `{\n  "format": "gritstone-scenes",\n  "version": 1,\n  "train": 4,\n  "val": 2,\n  "test": 2,\n  "size": 32,\n` +
        `  "seed": 5,\n  "captions": 3,\n  "objects": [2,3],\n  "twins": 0.25\n}\n`,
    );
    await assertRejects(() => writeScenes(`${folder}/a`, { ...few, hard: 1 }), Error, `where "hard": 1 is wanted`);
    await assertRejects(() => writeScenes(`${folder}/a`, { ...few, colors: 3 }), Error, `where "colors": 3 is wanted`);
    for (
      const [options, message] of [[{ hard: -1 }, `"hard" is -1`], [{ colors: 1 }, `"colors" is 1`], [
        { shapes: 9 },
        `"shapes" is 9`,
      ]] as const
    ) {
      await assertRejects(() => writeScenes(`${folder}/c`, options), RangeError, message);
    }
  });
});

Deno.test("a world of few colours and shapes has no others, and room is counted for these", () => {
  const world = { seed: 2, counts: { train: 300, val: 0, test: 0 }, objects: [1, 4], twins: 0, shapes: 3 } as const;
  const scenes = drawScenes({ ...world, colors: 2 }).train.flat();
  assertEquals([...new Set(scenes.map((o) => o.color))].sort(), ["orange", "red"]);
  assertEquals([...new Set(scenes.map((o) => o.shape))].sort(), ["circle", "square", "triangle"]);
  assertThrows(
    () => drawScenes({ ...world, objects: [1, 1], colors: 2 }),
    RangeError,
    "at most 54 are possible",
  );
});
