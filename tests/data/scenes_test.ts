import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import sharp from "npm:sharp@0.35.5";
import { Random } from "../../src/random/random.ts";
import { holds, type Relation, relationFacts } from "../../src/data/scenes/facts.ts";
import { captionScene } from "../../src/data/scenes/language.ts";
import { resolveSceneOptions, type SceneOptions } from "../../src/data/scenes/options.ts";
import { canonical, drawScenes, type Scene, type SceneObject, SPLITS } from "../../src/data/scenes/world.ts";
import { sceneFiles, writeScenes } from "../../src/data/scenes/write.ts";
import { withFolder } from "../testing/folders.ts";

const counts = { train: 600, val: 100, test: 100 };
const world = { seed: 7, counts, objects: [1, 4], twins: 0.25 } as const;
const few: SceneOptions = { train: 12, val: 3, test: 3, size: 64, seed: 5, objects: [1, 4] };

async function readJson(path: string) {
  return JSON.parse(await Deno.readTextFile(path));
}

function everyScene(options: Parameters<typeof drawScenes>[0]): Scene[] {
  return Object.values(drawScenes(options)).flat();
}

/** Synonyms, written down a second time: word to name. */
const names: Record<string, string> = {
  little: "small",
  tiny: "small",
  large: "big",
  turquoise: "cyan",
  violet: "purple",
  disk: "circle",
  box: "square",
  hoop: "ring",
  plus: "cross",
  rhombus: "diamond",
};
const relationPattern = "(?:is )?(?:to the )?(left of|right of|above|below|over|under)";
const besidePattern = "(?:(?:to|on) its (left|right)|(above|below|over|under) it)";
const relationNames: Record<string, Relation> = { left: "left of", right: "right of", over: "above", under: "below" };

/** What a caption says: its objects, and relations or a place. */
function parse(caption: string, scene: Scene) {
  const told: number[] = [];
  const text = caption.replace("there is ", "").replace(/a (\w+) (\w+) (\w+)(?= |$)/g, (_, ...words) => {
    const [size, color, shape] = words.slice(0, 3).map((word: string) => names[word] ?? word);
    told.push(scene.findIndex((o) => o.size === size && o.color === color && o.shape === shape));
    return `@${told.length - 1}`;
  });
  const claims: [subject: number, relation: Relation, object: number][] = [];
  const claim = (subject: string | number, word: string, object: string | number) =>
    claims.push([told[+subject]!, relationNames[word] ?? word as Relation, told[+object]!]);
  const shape = (pattern: string) => text.match(new RegExp(`^${pattern.replaceAll("REL", relationPattern)}$`));
  let match: RegExpMatchArray | null;
  if ((match = shape("@0 REL @1"))) claim(0, match[1]!, 1);
  else if ((match = shape("@0 REL @1 and REL @2"))) claim(0, match[1]!, 1), claim(0, match[2]!, 2);
  else if ((match = shape("@0 REL @1 that REL @2"))) claim(0, match[1]!, 1), claim(1, match[2]!, 2);
  else if ((match = shape("@0 REL @1 and @2 REL @3"))) claim(0, match[1]!, 1), claim(2, match[2]!, 3);
  else if ((match = shape(`@0 with @1 ${besidePattern}(?: and @2 ${besidePattern})?`))) {
    claim(1, match[1] ?? match[2]!, 0);
    if (told.length === 3) claim(2, match[3] ?? match[4]!, 0);
  }
  return { told, claims, rest: text };
}

/** Where a single object is said to be. */
function place(text: string): Pick<SceneObject, "row" | "column"> {
  const at = (low: string, high: string) => text.includes(low) ? 0 : text.includes(high) ? 2 : 1;
  return { row: at("top", "bottom"), column: at("left", "right") };
}

Deno.test("drawScenes() gives the same scenes for the same seed and others for another", () => {
  assertEquals(drawScenes(world), drawScenes(world));
  const shared = new Set(everyScene(world).map(canonical));
  const others = everyScene({ ...world, seed: 8 }).filter((scene) => scene.length > 1);
  assert(others.every((scene) => !shared.has(canonical(scene))));
});

Deno.test("drawScenes() repeats no scene, neither in a split nor in another", () => {
  for (const objects of [[1, 1], [1, 4], [2, 3]] as const) {
    const small = { train: 400, val: 80, test: 80 };
    const scenes = everyScene({ ...world, counts: objects[1] === 1 ? small : counts, objects });
    assertEquals(new Set(scenes.map(canonical)).size, scenes.length);
  }
});

Deno.test("drawScenes() keeps the held-out scenes when the training split grows", () => {
  const less = drawScenes(world), more = drawScenes({ ...world, counts: { ...counts, train: 900 } });
  assertEquals([more.val, more.test], [less.val, less.test]);
});

Deno.test("drawScenes() draws as many objects as asked for, each in its own cell and unlike the others", () => {
  const scenes = everyScene(world);
  assertEquals([...new Set(scenes.map((scene) => scene.length))].sort(), [1, 2, 3, 4]);
  for (const scene of scenes) {
    assertEquals(new Set(scene.map((o) => `${o.row} ${o.column}`)).size, scene.length);
    assertEquals(new Set(scene.map((o) => `${o.shape} ${o.color} ${o.size}`)).size, scene.length);
  }
});

Deno.test("drawScenes() makes twins: the same shapes, colours, sizes and cells, otherwise distributed", () => {
  const parts = (scene: Scene) =>
    (["shape", "color", "size", "row", "column"] as const).map((name) => scene.map((o) => o[name]).sort().join())
      .join();
  const share = (twins: number) => {
    const scenes = drawScenes({ ...world, objects: [2, 3], twins }).train;
    return scenes.filter((scene, i) => i && parts(scene) === parts(scenes[i - 1]!)).length / scenes.length;
  };
  assertEquals(share(0), 0);
  assert(Math.abs(share(0.5) - 0.45) < 0.1, `${share(0.5)} of the scenes are twins`);
});

Deno.test("drawScenes() refuses more scenes than the world has", () => {
  assertThrows(
    () => drawScenes({ ...world, objects: [1, 1] }),
    RangeError,
    "Cannot draw 800 different scenes of 1 object: at most 576 are possible",
  );
});

Deno.test("relationFacts() has each relation with its converse, and none for objects of one row or column", () => {
  const dot = { shape: "circle", color: "red", size: "big" } as const;
  const scene = [{ ...dot, row: 0, column: 1 }, { ...dot, row: 2, column: 1 }, { ...dot, row: 2, column: 2 }];
  assertEquals(relationFacts(scene).map((f) => `${f.subject} ${f.relation} ${f.object}`), [
    "0 above 1",
    "0 left of 2",
    "0 above 2",
    "1 below 0",
    "1 left of 2",
    "2 right of 0",
    "2 below 0",
    "2 right of 1",
  ]);
});

Deno.test("captionScene() names every object once and says only what is true", () => {
  everyScene(world).forEach((scene, i) => {
    for (const caption of captionScene(scene, 4, new Random(i))) {
      const { told, claims, rest } = parse(caption, scene);
      assertEquals([...told].sort(), [...scene.keys()], caption);
      if (scene.length === 1) assertEquals(place(rest), { row: scene[0]!.row, column: scene[0]!.column }, caption);
      else assertEquals(claims.length, scene.length === 2 ? 1 : 2, caption);
      for (const [a, relation, b] of claims) assert(holds(scene[a]!, relation, scene[b]!), `${caption}: ${relation}`);
    }
  });
});

Deno.test("captionScene() gives different captions, of 24 plain words at most, from a small vocabulary", () => {
  const words = new Set<string>();
  everyScene(world).forEach((scene, i) => {
    const captions = captionScene(scene, 8, new Random(i));
    assertEquals(new Set(captions).size, 8);
    for (const caption of captions) {
      assert(/^[a-z]+( [a-z]+)*$/.test(caption), caption);
      assert(caption.split(" ").length <= 24, caption);
      caption.split(" ").forEach((word) => words.add(word));
    }
  });
  assert(words.size > 40 && words.size < 150, `${words.size} words`);
});

Deno.test("writeScenes() writes COCO captions, facts and pictures that belong together", async () => {
  await withFolder(async (folder) => {
    const progress: number[] = [];
    assert(await writeScenes(folder, few, ({ done, total }) => progress.push(done, total)));
    assertEquals([progress.length, progress.at(-2), progress.at(-1)], [36, 18, 18]);
    const scenes = drawScenes({ ...resolveSceneOptions(few), counts: { train: 12, val: 3, test: 3 } });
    const ids = new Set<number>();
    for (const split of SPLITS) {
      const files = sceneFiles(folder, split);
      const { images, annotations } = await readJson(files.captions), facts = await readJson(files.facts);
      assertEquals(images.length, scenes[split].length);
      assertEquals(annotations.length, 3 * images.length);
      for (const [i, image] of images.entries()) {
        ids.add(image.id);
        const { width, height, format } = await sharp(`${files.images}/${image.file_name}`).metadata();
        assertEquals([width, height, format, image.width, image.height], [64, 64, "png", 64, 64]);
        const own = annotations.filter((a: { image_id: number }) => a.image_id === image.id);
        assertEquals(own.length, 3);
        for (const { caption } of own) assert(!parse(caption, scenes[split][i]!).told.includes(-1), caption);
        assertEquals([facts.images[i].image_id, facts.images[i].file_name], [image.id, image.file_name]);
        assertEquals(facts.images[i].relations, relationFacts(scenes[split][i]!));
      }
      assertEquals(new Set(annotations.map((a: { id: number }) => a.id)).size, annotations.length);
    }
    assertEquals(ids.size, 18);
  });
});

Deno.test("writeScenes() draws every object inside the picture, apart from the others and in its colour", async () => {
  await withFolder(async (folder) => {
    await writeScenes(folder, { ...few, objects: [4, 4] });
    const files = sceneFiles(folder, "train");
    for (const { file_name, objects } of (await readJson(files.facts)).images) {
      const { data } = await sharp(`${files.images}/${file_name}`).raw().toBuffer({ resolveWithObject: true });
      for (const { bbox: [x, y, width, height], shape, color } of objects) {
        assert(x >= 0 && y >= 0 && x + width <= 64 && y + height <= 64);
        for (const { bbox: [left, top, across, down] } of objects) {
          const apart = left >= x + width || left + across <= x || top >= y + height || top + down <= y;
          assert(apart || (left === x && top === y), `${file_name}: objects overlap`);
        }
        const at = 3 * (64 * Math.floor(y + height / 2) + Math.floor(x + width / 2));
        const [red, green, blue] = data.subarray(at, at + 3) as unknown as [number, number, number];
        if (shape === "ring") assert(Math.min(red, green, blue) > 120, "a ring has a hole");
        else if (color === "black") assert(Math.max(red, green, blue) < 80);
        else assert(Math.max(red, green, blue) - Math.min(red, green, blue) > 100, `${file_name}: ${color} ${shape}`);
      }
    }
  });
});

Deno.test("writeScenes() writes the same bytes again, leaves a whole folder alone and finishes an unfinished one", async () => {
  await withFolder(async (folder) => {
    const bytes = async (name: string) => {
      const files = SPLITS.map((split) => sceneFiles(`${folder}/${name}`, split));
      const first = `${files[0]!.images}/000000000000.png`;
      return await Promise.all([...files.flatMap((f) => [f.captions, f.facts]), first].map((p) => Deno.readFile(p)));
    };
    assert(await writeScenes(`${folder}/a`, few));
    assert(await writeScenes(`${folder}/b`, few));
    const written = await bytes("a");
    assertEquals(await bytes("b"), written);
    assertEquals(await writeScenes(`${folder}/a`, few), false);
    await Deno.rename(`${folder}/a/manifest.json`, `${folder}/a/unfinished.json`);
    await Deno.truncate(`${folder}/a/train/000000000000.png`, 10);
    assert(await writeScenes(`${folder}/a`, few));
    assertEquals(await bytes("a"), written);
    assertEquals([...Deno.readDirSync(`${folder}/a`)].map((entry) => entry.name).sort(), [
      "annotations",
      "manifest.json",
      "test",
      "train",
      "val",
    ]);
  });
});

Deno.test("writeScenes() gives a share of the training pictures the captions of others, and changes nothing else", async () => {
  await withFolder(async (folder) => {
    const own = `${folder}/own`, noisy = `${folder}/noisy`, options = { ...few, train: 20, captions: 2 };
    await writeScenes(own, options);
    await writeScenes(noisy, { ...options, swapped: 0.3 });
    const captionsOf = async (path: string): Promise<string[]> => {
      const { images, annotations } = await readJson(sceneFiles(path, "train").captions);
      return images.map(({ id }: { id: number }) =>
        annotations.filter((a: { image_id: number }) => a.image_id === id).map((a: { caption: string }) => a.caption)
          .join("; ")
      );
    };
    const before = await captionsOf(own), after = await captionsOf(noisy);
    assertEquals(after.filter((captions, i) => captions !== before[i]).length, 6, "30 % of 20");
    assertEquals([...after].sort(), [...before].sort());
    assertEquals(await readJson(sceneFiles(noisy, "train").facts), await readJson(sceneFiles(own, "train").facts));
    assertEquals(await readJson(sceneFiles(noisy, "test").captions), await readJson(sceneFiles(own, "test").captions));
  });
});

Deno.test("writeScenes() refuses a folder with other scenes or other files, and leaves it as it is", async () => {
  await withFolder(async (folder) => {
    await writeScenes(`${folder}/a`, few);
    await assertRejects(
      () => writeScenes(`${folder}/a`, { ...few, seed: 6 }),
      Error,
      `its "manifest.json" says "seed": 5 where "seed": 6 is wanted; give another folder, or delete this one`,
    );
    await Deno.mkdir(`${folder}/b`);
    await Deno.writeTextFile(`${folder}/b/thesis.txt`, "mine");
    await assertRejects(() => writeScenes(`${folder}/b`, few), Error, `it holds "thesis.txt" and no scenes`);
    assertEquals([...Deno.readDirSync(`${folder}/b`)].length, 1);
    await assertRejects(() => writeScenes(`${folder}/b/thesis.txt`, few), Error, "Cannot write scenes");
  });
});

Deno.test("writeScenes() refuses bad options before it touches the folder", async () => {
  await withFolder(async (folder) => {
    const cases: [SceneOptions, string][] = [
      [{ train: 0 }, `"train" is 0, but it must be a whole number from 1 to 1000000`],
      [{ val: -1 }, `"val" is -1`],
      [{ test: 1.5 }, `"test" is 1.5`],
      [{ size: 8 }, `"size" is 8, but it must be a whole number from 16 to 1024`],
      [{ seed: NaN }, `"seed" is NaN`],
      [{ captions: 9 }, `"captions" is 9, but it must be a whole number from 1 to 8`],
      [{ objects: [0, 2] }, `"objects[0]" is 0`],
      [{ objects: [3, 2] }, `"objects[1]" is 2, but it must be a whole number from 3 to 4`],
      [{ objects: [2, 5] }, `"objects[1]" is 5`],
      [{ twins: 1 }, `"twins" is 1, but it must be a number from 0 to 0.9`],
      [{ swapped: 1.1 }, `"swapped" is 1.1, but it must be a number from 0 to 1`],
    ];
    for (const [options, message] of cases) {
      await assertRejects(() => writeScenes(`${folder}/new`, options), RangeError, message);
    }
    assertEquals([...Deno.readDirSync(folder)], []);
  });
});
