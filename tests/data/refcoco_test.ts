import { assertEquals, assertRejects } from "@std/assert";
import { openExpressions } from "../../src/data/expressions.ts";
import { referencePickles, toBytes } from "../testing/reference_pickles.ts";
import { withFolder } from "../testing/folders.ts";

const instances = {
  info: {},
  images: [{ id: 70, file_name: "b.jpg" }, { id: 9, file_name: "COCO_train2014_000000000009.jpg", width: 640 }],
  annotations: [
    { id: 1719310, image_id: 9, bbox: [1, 2, 3.5, 4], segmentation: [[1, 2]] },
    { id: 2, image_id: 70, bbox: [5, 6, 7, 8] },
  ],
};

async function write(folder: string, name: string, content: string | object): Promise<string> {
  const path = `${folder}/${name}`;
  if (typeof content === "string") await Deno.writeFile(path, toBytes(content));
  else await Deno.writeTextFile(path, JSON.stringify(content));
  return path;
}

Deno.test("openExpressions() reads RefCOCO+'s references and objects", () =>
  withFolder(async (folder) => {
    const annotations = [await write(folder, "instances.json", instances)];
    for (const [protocol, pickle] of referencePickles.entries()) {
      const data = [await write(folder, `refs(${protocol}).p`, pickle)];
      const dataset = await openExpressions({ data, annotations, images: "train2014" });
      const image = { path: "train2014/COCO_train2014_000000000009.jpg", id: 0 };
      const shared = { images: [image], imageId: "9", refId: 16, box: [1, 2, 3.5, 4], split: "testA" };
      assertEquals(Array.from({ length: dataset.length }, (_, i) => dataset.entry(i) as unknown), [
        { ...shared, text: "navy shirt" },
        { ...shared, text: "woman's café a\\b" },
        {
          images: [{ path: "train2014/b.jpg", id: 1 }],
          text: "dog",
          imageId: "70",
          refId: 17,
          box: [5, 6, 7, 8],
          split: "val",
        },
      ]);
      assertEquals((await openExpressions({ data, annotations, split: "val" })).length, 1);
    }
  }));

Deno.test("openExpressions() says what is wrong with references and objects", () =>
  withFolder(async (folder) => {
    const good = await write(folder, "good.p", referencePickles[2]!), rows = await write(folder, "rows.json", [{}]);
    const objects = await write(folder, "instances.json", instances);
    const fewer = await write(folder, "fewer.json", { ...instances, annotations: instances.annotations.slice(1) });
    const cases: [data: string, annotations: string | undefined, message: string][] = [
      [good, undefined, `Cannot read "${good}": "annotations" go with references, a pickle`],
      [rows, objects, `Cannot read "${rows}": "annotations" go with references, a pickle`],
      [good, fewer, `Cannot read "${good}": expression 0 has 1719310 as "ann_id"; the id of one of the annotations is`],
      [
        good,
        await write(folder, "none.json", { ...instances, images: [] }),
        `expression 0 has 9 as "image_id"; the id of one of the annotations' images is expected`,
      ],
      [
        good,
        await write(folder, "ids.json", { images: [], annotations: [{}] }),
        'annotation 0 must be an object with a whole number or a string as "id"',
      ],
      [await write(folder, "dict.p", "(d."), objects, "it must be a list of references"],
      [
        await write(folder, "one.p", "(lI1\na."),
        objects,
        'expression 0 has nothing as "sentences"; a list of sentences',
      ],
      [await write(folder, "evil.p", "cos\nsystem\n(S'true'\ntR."), objects, 'it asks for "os.system"'],
    ];
    for (const [data, annotations, message] of cases) {
      const open = () => openExpressions({ data: [data], annotations: annotations ? [annotations] : undefined });
      await assertRejects(open, Error, message);
    }
    const skipping = await openExpressions({ data: [good], annotations: [fewer], onError: "skip" });
    assertEquals([skipping.length, skipping.skipped.map(({ index }) => index)], [1, [0, 1]]);
  }));
