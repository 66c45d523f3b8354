import { assert, assertEquals, assertRejects } from "@std/assert";
import { openDataset } from "../../src/data/datasets.ts";
import { openRegions, withRegions } from "../../src/data/regions/dataset.ts";
import { Random } from "../../src/random/random.ts";
import { SCENE_REGION_CLASSES, writeSceneRegions } from "../../src/data/scenes/regions.ts";
import { sceneFiles, writeScenes } from "../../src/data/scenes/write.ts";
import { makeZip } from "../io/make_pth.ts";
import { testInFolder } from "../testing/folders.ts";

function base64(values: Float32Array | BigInt64Array): string {
  return btoa(String.fromCharCode(...new Uint8Array(values.buffer)));
}

/** A line of 6 columns: an image of 200 x 100 with regions of 3 numbers. */
function line(id: string, boxes: number[], features: number[], count = boxes.length / 4): string {
  return [id, 200, 100, count, base64(Float32Array.from(boxes)), base64(Float32Array.from(features))].join("\t");
}

testInFolder("regions of a .tsv are found by name or number; boxes become shares of the image", async (dir) => {
  const path = `${dir}/r.tsv`, features = [1, 2, 3, 4, 5, 6];
  const lines = [line("42", [20, 10, 100, 50, 0, 0, 200, 120], features), line("a cat", [0, 0, 50, 50], [7, 8, 9])];
  for (const end of ["\n", "\r\n"]) {
    await Deno.writeTextFile(path, lines.map((l) => l + end).join(""));
    const source = await openRegions(path);
    assertEquals([source.width, source.classes], [3, 0]);
    const first = await source.regions(`${dir}/COCO_val2014_000000000042.jpg`);
    assertEquals([...first.features], features);
    assertEquals([...first.boxes], [...Float32Array.of(0.1, 0.1, 0.5, 0.5, 0, 0, 1, 1)]);
    assertEquals([...(await source.regions("folder/a cat.png")).boxes], [0, 0, 0.25, 0.5]);
    await assertRejects(() => source.regions("b.jpg"), Error, `has no regions in "${path}"`);
    source.close();
  }
});

testInFolder("regions of a .tsv: what is wrong is told with its line", async (dir) => {
  const path = `${dir}/r.tsv`, good = line("1", [0, 0, 9, 9], [1, 2, 3]);
  const refusedAtOnce = async (text: string, sentence: string) => {
    await Deno.writeTextFile(path, text);
    await assertRejects(() => openRegions(path), SyntaxError, `Cannot read "${path}": ${sentence}`);
  };
  await refusedAtOnce("", "it has no lines");
  await refusedAtOnce("nothing", "line 1 has no tabs");
  await refusedAtOnce(`${good}\n${good}\n`, 'line 2 has the image "1" once more');
  await refusedAtOnce(`${good}\tmore\n`, "line 1 has 7 columns; 6 or 10 are expected");
  await refusedAtOnce(good.replace("\t1\t", "\t1e9\t"), 'line 1 has "1e9" as count; a whole number from 1 to 1000');
  const refused = async (second: string, sentence: string) => {
    await Deno.writeTextFile(path, `${good}\n${second}\n`);
    const source = await openRegions(path);
    await assertRejects(() => source.regions("2.jpg"), Error, `has a line 2 that ${sentence}`);
    assertEquals((await source.regions("1.jpg")).count, 1);
    source.close();
  };
  await refused("2\t3", "has 2 columns");
  await refused(line("2", [0, 0, 9, 9], [1, 2]), "has 2 numbers as features; 3 for each of its 1 regions");
  await refused(line("2", [0, 0, 9, 9], [1, 2, 3], 2), "has 4 numbers as boxes; 4 for each of its 2 regions");
  await refused(line("2", [9, 0, 0, 9], [1, 2, 3]), "has the box");
  await refused(line("2", [0, 0, 9, 9], [1, NaN, 3]), "has numbers that are not finite as features");
  await refused(line("2", [0, 0, 9, 9], [1, 2, 3]).slice(0, -2) + "*=", "has features that are not base64");
  await refused(line("2", [0, 0, 9, 9], [1, 2, 3]).replace("\t200\t", "\t-200\t"), 'has "-200" as width');
});

/** A .npy entry of f16, f32 or f64. */
function npy(name: string, kind: "<f2" | "<f4" | "<f8" | "|O", shape: number[], values: number[]) {
  const header = `{'descr': '${kind}', 'fortran_order': False, 'shape': (${shape.join(", ")}${
    shape.length === 1 ? "," : ""
  }), }\n`;
  const numbers = kind === "<f8"
    ? Float64Array.from(values)
    : kind === "<f2"
    ? Float16Array.from(values)
    : Float32Array.from(values);
  const bytes = new Uint8Array(10 + header.length + numbers.byteLength);
  bytes.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length, 0, ...new TextEncoder().encode(header)]);
  bytes.set(new Uint8Array(numbers.buffer), 10 + header.length);
  return [`${name}.npy`, bytes] as const;
}

testInFolder(
  "regions of a folder of .npz files: features, boxes, confidences, probabilities of classes",
  async (dir) => {
    const shares = [0.5, 0.25, 0.25, 0, 1, 0], boxes = [0, 0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 1, 1, 0.75, 0.75];
    const files = (features = npy("features", "<f2", [2, 2], [1, 2, 3, 4.5])) => [
      features,
      npy("norm_bb", "<f4", [2, 6], boxes),
      npy("conf", "<f8", [2], [0.75, 0.5]),
      npy("soft_labels", "<f4", [2, 3], shares),
    ];
    await Deno.writeFile(`${dir}/one.npz`, makeZip(files()));
    const source = await openRegions(dir), found = await source.regions("photos/one.jpg");
    assertEquals([source.width, source.classes, found.count], [2, 3, 2]);
    assertEquals([...found.features], [1, 2, 3, 4.5]);
    assertEquals([...found.boxes], [0, 0, 0.5, 0.5, 0.25, 0.25, 1, 1]);
    assertEquals([[...found.confidences!], [...found.shares!]], [[0.75, 0.5], shares]);
    await assertRejects(() => source.regions("two.jpg"), Error, `has no file "${dir}/two.npz"`);
    const refused = async (entries: ReturnType<typeof files>, sentence: string) => {
      await Deno.writeFile(`${dir}/two.npz`, makeZip(entries));
      await assertRejects(() => source.regions("two.jpg"), Error, sentence);
    };
    await refused(
      files(npy("features", "<f4", [2, 3], [1, 2, 3, 4, 5, 6])),
      "has 6 numbers as features; 2 for each of its 2",
    );
    await refused(
      files(npy("features", "<f4", [2, 2], [1, 2, 3])),
      "must have 16 bytes by its shape (2, 2): it has 12",
    );
    await refused(files(npy("features", "|O", [2, 2], [1, 2, 3, 4])), "must be of one of <f2, <f4, <f8, <i4, <i8");
    await refused(files().slice(1), 'it must have "features" of two axes');
  },
);

testInFolder("scenes write regions that tell their objects, and captions find them", async (dir) => {
  await writeScenes(dir, { train: 6, val: 0, test: 0, size: 32 });
  const files = sceneFiles(dir, "train"), options = { size: 32, noise: 0.1, seed: 3 };
  const path = await writeSceneRegions(files, options), bytes = await Deno.readFile(path);
  assertEquals(await Deno.readFile(await writeSceneRegions(files, options)), bytes);
  const facts = JSON.parse(await Deno.readTextFile(files.facts)).images;
  const source = await openRegions(path, SCENE_REGION_CLASSES.length);
  assertEquals([source.width, source.classes], [18, 8]);
  const dataset = withRegions(
    await openDataset({ data: [files.captions], images: files.images, groupBy: "image" }),
    source,
  );
  for (let i = 0; i < 6; i++) {
    const { regions } = await dataset.example(i, new Random(1)), { objects } = facts[i];
    assertEquals(regions.count, objects.length);
    assertEquals(
      [...regions.classes!].map((id) => SCENE_REGION_CLASSES[id]),
      objects.map((o: { shape: string }) => o.shape),
    );
    objects.forEach((o: { bbox: number[] }, n: number) => {
      const own = regions.features.subarray(18 * n, 18 * n + 8), most = own.indexOf(Math.max(...own));
      assertEquals(most, regions.classes![n], "the feature tells the shape");
      assert(Math.abs(regions.boxes[4 * n]! - o.bbox[0]! / 32) < 0.15, "the box is near");
    });
  }
  source.close();
});
