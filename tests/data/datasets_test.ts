import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Dataset, type DatasetOptions, openDataset } from "../../src/data/datasets.ts";

async function withFiles(
  files: Record<string, string>,
  run: (open: (options?: Partial<DatasetOptions>) => Promise<Dataset>, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const data = Object.keys(files).map((name) => `${folder}/${name}`);
  try {
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder}/${name}`, text);
    await run((options = {}) => openDataset({ data, ...options }), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const all = (dataset: Dataset) => Array.from({ length: dataset.length }, (_, i) => dataset.entry(i));

const coco = {
  images: [{ id: 70, file_name: "x.jpg" }, { id: 7, file_name: "y.jpg" }, { id: 9, file_name: "unused.jpg" }],
  annotations: [
    { id: 1, image_id: 7, caption: "one" },
    { id: 2, image_id: 70, caption: "two" },
    { id: 3, image_id: 7, caption: "three" },
  ],
};

Deno.test("openDataset() concatenates ALBEF lists, as an array and as JSON lines", () =>
  withFiles({
    "a.json": JSON.stringify([{ image: "/k/a1.jpg", caption: "a red kite" }, { image: "b.png", caption: ["x", "y"] }]),
    "b.jsonl": '{"image": "b.png", "caption": "z"}\n{"image": "c.png", "caption": "w", "image_id": "coco_7"}\n',
  }, async (open) => {
    assertEquals(all(await open()), [
      { image: "/k/a1.jpg", captions: ["a red kite"], imageId: 0 },
      { image: "b.png", captions: ["x", "y"], imageId: 1 },
      { image: "b.png", captions: ["z"], imageId: 1 },
      { image: "c.png", captions: ["w"], imageId: 2 },
    ]);
    assertEquals((await open({ images: "root/" })).entry(1).image, "root/b.png");
    assertEquals((await open({ images: "root/" })).entry(0).image, "/k/a1.jpg");
  }));

Deno.test("openDataset() makes entries by row, by caption or by image", () =>
  withFiles(
    { "a.json": '[{"image":"a","caption":["p","q"]},{"image":"b","caption":"r"},{"image":"a","caption":"s"}]' },
    async (open) => {
      assertEquals(all(await open({ groupBy: "caption" })), [
        { image: "a", captions: ["p"], imageId: 0 },
        { image: "a", captions: ["q"], imageId: 0 },
        { image: "b", captions: ["r"], imageId: 1 },
        { image: "a", captions: ["s"], imageId: 0 },
      ]);
      assertEquals(all(await open({ groupBy: "image" })), [
        { image: "a", captions: ["p", "q", "s"], imageId: 0 },
        { image: "b", captions: ["r"], imageId: 1 },
      ]);
    },
  ));

Deno.test("openDataset() reads COCO captions, one entry per caption or per image", () =>
  withFiles({ "captions.json": JSON.stringify(coco) }, async (open) => {
    assertEquals(all(await open({ images: "photos" })), [
      { image: "photos/y.jpg", captions: ["one"], imageId: 0 },
      { image: "photos/x.jpg", captions: ["two"], imageId: 1 },
      { image: "photos/y.jpg", captions: ["three"], imageId: 0 },
    ]);
    assertEquals(all(await open({ images: "photos", groupBy: "image" })), [
      { image: "photos/y.jpg", captions: ["one", "three"], imageId: 0 },
      { image: "photos/x.jpg", captions: ["two"], imageId: 1 },
    ]);
    await assertRejects(() => open(), TypeError, "COCO captions need the folder of the images");
  }));

Deno.test("openDataset() reads lines of path, tab, caption", () =>
  withFiles({ "pairs.tsv": "a.jpg\ta dog\r\nb c.jpg\ta cat, asleep\r\n\n" }, async (open) => {
    assertEquals(all(await open()), [
      { image: "a.jpg", captions: ["a dog"], imageId: 0 },
      { image: "b c.jpg", captions: ["a cat, asleep"], imageId: 1 },
    ]);
  }));

const broken: [name: string, text: string, message: string][] = [
  [
    "a.json",
    '[{"image": "a", "caption": "x"}, {"image": 5, "caption": "x"}]',
    'entry 1 has 5 as "image"; a path is expected',
  ],
  ["a.json", '[{"image": "a"}]', 'entry 0 has nothing as "caption"; a string or a list of strings is expected'],
  ["a.json", '[{"image": "a", "caption": []}]', 'entry 0 has [] as "caption"'],
  ["a.json", '[{"image": "a", "caption": ["x", 1]}]', 'entry 0 has ["x",1] as "caption"'],
  ["a.json", "[null]", "entry 0 must be an object: it is null"],
  ["a.json", '[{"image": "a", "capt', "it is not JSON"],
  ["a.json", "", "it is not JSON"],
  ["a.json", "[]", "it has no entries, at least one is needed"],
  ["a.jsonl", '{"image": "a", "caption": "x"}\n{"image": "a", "cap\n', "line 2 cannot be read: it is not JSON"],
  ["a.tsv", "a.jpg\tx\nb.jpg\n", "line 2 has 1 columns; the path of an image, a tab and a caption are expected"],
  ["a.tsv", "a.jpg\tx\ty\n", "line 1 has 3 columns"],
  ["c.json", '{"annotations": [], "images": 3}', '"images" must be a list'],
  ["c.json", '{"annotations": [], "images": [{"id": "1"}]}', 'image 0 must have a number as "id"'],
  ["c.json", '{"annotations": [{"image_id": 3}], "images": []}', 'annotation 0 has 3 as "image_id"; the id of one of'],
  ["c.json", JSON.stringify({ ...coco, annotations: [{ image_id: 7 }] }), 'annotation 0 has nothing as "caption"'],
];

for (const [name, text, message] of broken) {
  Deno.test(`openDataset() refuses ${name} with ${JSON.stringify(text).slice(0, 60)}`, () =>
    withFiles({ [name]: text }, async (open, folder) => {
      await assertRejects(() => open({ images: "" }), SyntaxError, `Cannot read "${folder}/${name}": `);
      await assertRejects(() => open({ images: "" }), SyntaxError, message);
    }));
}

Deno.test('openDataset() lists what it skips with onError "skip"', () =>
  withFiles({
    "a.jsonl": '{"image": "a", "caption": "x"}\n{"image\n{"image": "b", "caption": 4}\n{"image": "c", "caption": "y"}',
  }, async (open, folder) => {
    const dataset = await open({ onError: "skip" });
    assertEquals(all(dataset).map((entry) => entry.image), ["a", "c"]);
    assertEquals(dataset.skipped.map(({ index, file }) => [index, file]), [[2, `${folder}/a.jsonl`], [
      3,
      `${folder}/a.jsonl`,
    ]]);
    assertEquals(dataset.skipped[1]!.reason, 'line 3 has 4 as "caption"; a string or a list of strings is expected');
  }));

Deno.test("openDataset() takes a format that the name does not tell, and names a missing file", () =>
  withFiles({ "list": "a.jpg\tx\n" }, async (open, folder) => {
    assertEquals((await open({ format: "tsv" })).length, 1);
    await assertRejects(
      () => openDataset({ data: [`${folder}/none.json`] }),
      Deno.errors.NotFound,
      "there is no such file",
    );
  }));

Deno.test("Dataset.entry() refuses an index outside", () =>
  withFiles({ "a.tsv": "a.jpg\tx\n" }, async (open, folder) => {
    const dataset = await open();
    assertThrows(
      () => dataset.entry(1),
      RangeError,
      `Cannot take entry 1 of "${folder}/a.tsv": it has the entries 0 to 0`,
    );
    assertThrows(() => dataset.entry(-1), RangeError);
  }));
