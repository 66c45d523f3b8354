import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { CaptionDataset } from "../../src/data/caption_pairs.ts";
import { type DatasetOptions, openDataset } from "../../src/data/datasets.ts";

async function withFiles(
  files: Record<string, string>,
  run: (open: (options?: Partial<DatasetOptions>) => Promise<CaptionDataset>, folder: string) => Promise<void>,
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

const all = (dataset: CaptionDataset) => Array.from({ length: dataset.length }, (_, i) => dataset.entry(i));

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
    const outside = await open({ images: "root/", outside: true });
    assertEquals([outside.entry(1).image, outside.entry(0).image], ["root/b.png", "/k/a1.jpg"]);
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
  ["a.json", " \n", "it is not JSON of a data set (it is empty; a list or objects are expected)"],
  ["a.json", "no list", 'it is not JSON of a data set (it starts with "n"; a list or objects are expected)'],
  ["a.json", '[{"image": "a", "capt', "it is not JSON (it ends inside entry 0)"],
  ["a.json", '[{"image": "a", "caption": "x"}, {"image": "b"', "it is not JSON (it ends inside entry 1)"],
  ["a.json", '[{"image": "a", "caption": "x"},]', "entry 1 cannot be read: it is not JSON"],
  ["a.json", '[{"image": "a", "caption": "x"} {}]', "entry 0 cannot be read: it is not JSON"],
  ["a.json", '[{"image": "a", "caption": "x"]}', "entry 0 cannot be read: it is not JSON"],
  ["a.json", '[{"image": "a", "caption": "x"}}', "it is not JSON"],
  ["a.json", '[{"image": "a", "caption": "x"}] []', "it is not JSON"],
  ["a.json", "[5]", "entry 0 must be an object: it is 5"],
  ["a.json", '["a.jpg"]', 'entry 0 must be an object: it is "a.jpg"'],
  ["a.json", "[[1, 2]]", "entry 0 must be an object: it is [1,2]"],
  ["a.jsonl", '{"image": "a", "caption": "x"}\n5\n', "line 2 must be an object: it is 5"],
  [
    "a.jsonl",
    '{"image": "a", "caption": "x"}\n\n{"image": "b", "caption": "x"}',
    "line 2 cannot be read: it is not JSON",
  ],
  [
    "a.jsonl",
    '{"image": "a", "caption": "x"},\n{"image": "b", "caption": "x"}',
    "line 1 cannot be read: it is not JSON",
  ],
  ["a.tsv", "", "it has no entries, at least one is needed"],
  ["a.json", "[]", "it has no entries, at least one is needed"],
  ["a.jsonl", '{"image": "a", "caption": "x"}\n{"image": "a", "cap\n', "line 2 cannot be read: it is not JSON"],
  ["a.tsv", "a.jpg\tx\nb.jpg\n", "line 2 has 1 columns; the path of an image, a tab and a caption are expected"],
  ["a.tsv", "a.jpg\tx\ty\n", "line 1 has 3 columns"],
  ["c.json", '{"annotations": [], "images": 3}', '"images" must be a list'],
  ["c.json", '{"annotations": [], "images": [{"id": "1"}]}', 'image 0 must have a whole number or a string as "id"'],
  ["c.json", '{"annotations": [{"image_id": 3}], "images": []}', 'annotation 0 has 3 as "image_id"; the id of one of'],
  ["c.json", JSON.stringify(coco).slice(0, -3), 'it is not JSON (it ends inside the list "annotations")'],
  ["c.json", JSON.stringify(coco).slice(0, -1), "it is not JSON"],
  ["c.json", `${JSON.stringify(coco).slice(0, -1)},}`, "it is not JSON"],
  ["c.json", '{"images": [], "annotations": [5]}', "annotation 0 must be an object: it is 5"],
  ["c.json", '{"images": [{"id": 1, "file_name": "a"},], "annotations": []}', "image 1 cannot be read: it is not JSON"],
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

Deno.test("openDataset() reads every kind of text: escapes, characters of all planes, a byte order mark", () => {
  const captions = ['\u00fc\n"q"\\\\', "猫 👩‍🚀", "\uFEFFmark", "\u0000"];
  const rows = captions.map((caption, i) => ({
    image: `${caption.replace("\0", "~")}${i}.jpg`,
    caption,
    box: [[1], { a: "]" }],
  }));
  const ascii = (text: string) => text.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const list = JSON.stringify(rows), coded = ascii(list), lines = rows.map((row) => JSON.stringify(row)).join("\r\n");
  return withFiles({ "a.json": `\uFEFF${list}`, "b.json": coded, "c.jsonl": `\uFEFF${lines}` }, async (open) => {
    const entries = all(await open());
    for (let i = 0; i < 12; i++) {
      const { image, caption } = rows[i % 4]!;
      assertEquals(entries[i], { image, captions: [caption], imageId: i % 4 });
    }
  });
});

Deno.test("openDataset() takes an object of several lines and JSON lines with other lists for what they are", () =>
  withFiles({
    "coco.json": JSON.stringify(
      { annotations: coco.annotations, licenses: [[1, [2]]], info: {}, images: coco.images },
      null,
      2,
    ),
    "lines.jsonl": '{"annotations": [1], "images": [2], "image": "z", "caption": "w"}\n'.repeat(2),
  }, async (open) => {
    assertEquals(all(await open({ images: "" })).map(({ image, imageId }) => [image, imageId]), [
      ["y.jpg", 0],
      ["x.jpg", 1],
      ["y.jpg", 0],
      ["z", 2],
      ["z", 2],
    ]);
  }));

Deno.test('openDataset() refuses a list that breaks off or has a broken entry, also with onError "skip"', async () => {
  for (const end of ["", ", {]", ", {]}"]) {
    await withFiles({ "a.json": `[{"image": "a", "caption": "x"}${end}` }, async (open) => {
      await assertRejects(() => open({ onError: "skip" }), SyntaxError, "it is not JSON");
    });
  }
});

Deno.test("openDataset() refuses a line or an entry that is longer than 16 MiB and takes one that is not", async () => {
  const long = (mebibytes: number) => JSON.stringify({ image: "a", caption: "x".repeat(mebibytes << 20) });
  await withFiles({ "a.jsonl": `${long(15)}\n`, "b.json": `[${long(15)}]` }, async (open) => {
    assertEquals(all(await open()).map(({ captions }) => captions[0]!.length), [15 << 20, 15 << 20]);
  });
  const short = '{"image": "a", "caption": "x"}';
  await withFiles({ "a.jsonl": `${short}\n${long(18)}\n` }, async (open) => {
    await assertRejects(() => open(), SyntaxError, "line 2 is longer than 16 MiB");
  });
  await withFiles({ "a.json": `[${short}, ${long(18)}]` }, async (open) => {
    await assertRejects(() => open(), SyntaxError, "entry 1 is longer than 16 MiB");
  });
});

Deno.test("openDataset() reads 200,000 lines in seconds and holds them outside JavaScript's heap", async () => {
  const count = 200_000, caption = "a small red ring to the left of a big blue cube, number ";
  const text = Array.from(
    { length: count },
    (_, i) => `{"image":"/photos/${i >> 1}.jpg","caption":"${caption}${i}"}\n`,
  );
  await withFiles({ "a.jsonl": text.join("") }, async (open) => {
    text.length = 0;
    const heap = Deno.memoryUsage().heapUsed, start = performance.now();
    const dataset = await open(), seconds = (performance.now() - start) / 1000;
    const used = (Deno.memoryUsage().heapUsed - heap) / 2 ** 20;
    assertEquals(dataset.length, count);
    for (let i = 0; i < count; i += 997) {
      assertEquals(dataset.entry(i), { image: `/photos/${i >> 1}.jpg`, captions: [`${caption}${i}`], imageId: i >> 1 });
    }
    assert(used < 40, `${used} MiB of heap`); // as objects: 60 to 120
    assert(seconds < 10, `${seconds} s`); // 0.4 on the machine it was written on
    const grouped = await open({ groupBy: "image" });
    assertEquals(grouped.length, count / 2);
    assertEquals(grouped.entry(70_001).captions, [`${caption}140002`, `${caption}140003`]);
  });
});
