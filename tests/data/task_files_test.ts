import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { openDataset } from "../../src/data/datasets.ts";
import type { Example } from "../../src/data/dataset.ts";
import { openEntailment } from "../../src/data/entailment.ts";
import { openExpressions, readDetections } from "../../src/data/expressions.ts";
import { openNlvr } from "../../src/data/nlvr.ts";
import type { TaskDataset } from "../../src/data/task_files.ts";
import { openVqa } from "../../src/data/vqa.ts";
import { Random } from "../../src/random/random.ts";
import { withFolder } from "../testing/folders.ts";

/** Writes files, as JSON unless they are text already, and gives their paths. */
function withFiles(files: Record<string, unknown>, run: (paths: string[], folder: string) => Promise<void>) {
  return withFolder(async (folder) => {
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeTextFile(`${folder}/${name}`, typeof content === "string" ? content : JSON.stringify(content));
    }
    await run(Object.keys(files).map((name) => `${folder}/${name}`), folder);
  });
}

/** All examples, with their images as paths. */
function all<E extends Example>(dataset: TaskDataset<E>) {
  return Array.from({ length: dataset.length }, (_, i) => {
    assertEquals(dataset.example(i, new Random(0)), dataset.entry(i));
    const { images, ...rest } = dataset.entry(i);
    return { images: images.map(({ path }) => path), ...rest };
  });
}

const lines = (...rows: unknown[]) => rows.map((row) => JSON.stringify(row)).join("\n");

Deno.test("openVqa() reads ALBEF's rows: ten answers, one of Visual Genome, and none", () =>
  withFiles({
    "a.json": [
      {
        dataset: "vqa",
        image: "q1.jpg",
        question: "What fruit is it?",
        question_id: 11,
        answer: ["fig", "fig", "date", "fig"],
      },
      { dataset: "vg", image: "/vg/77.jpg", question: "where is the cup?", question_id: 12, answer: "on the shelf" },
    ],
    "b.json": [{ dataset: "vqa", image: "q1.jpg", question: "is it wet?", question_id: 13, question_type: "is it" }],
  }, async (data) => {
    const dataset = await openVqa({ data, images: "root/", outside: true });
    assertEquals(all(dataset), [
      {
        images: ["root/q1.jpg"],
        question: "What fruit is it?",
        questionId: 11,
        answers: [{ text: "fig", weight: 0.75 }, { text: "date", weight: 0.25 }],
      },
      {
        images: ["/vg/77.jpg"],
        question: "where is the cup?",
        questionId: 12,
        answers: [{ text: "on the shelf", weight: 0.5 }],
      },
      { images: ["root/q1.jpg"], question: "is it wet?", questionId: 13, answers: [], questionType: "is it" },
    ]);
    assertEquals(Array.from({ length: 3 }, (_, i) => dataset.entry(i).images[0].id), [0, 1, 0]);
    assertThrows(() => dataset.entry(3), RangeError, "it has the entries 0 to 2");
  }));

const questions = {
  info: { year: 2017 },
  questions: [
    { image_id: 9, question: "Is it day?", question_id: 9000 },
    { image_id: 581929, question: "How many?", question_id: 581929002 },
  ],
  data_subtype: "train2014",
};
const annotations = {
  annotations: [
    { question_id: 581929002, image_id: 581929, answers: [{ answer: "2", answer_id: 1 }, { answer: "3" }] },
    { question_id: 9000, image_id: 9, answers: [{ answer: "yes" }] },
  ],
};

Deno.test("openVqa() reads VQA v2's questions and annotations, names images as COCO does", () =>
  withFiles({
    "q.json": questions,
    "a.json": annotations,
    "dev.json": { ...questions, data_subtype: "test-dev2015" },
  }, async ([q, a, dev], folder) => {
    assertEquals(all(await openVqa({ data: [q!], annotations: [a!], images: "coco" })), [
      {
        images: ["coco/COCO_train2014_000000000009.jpg"],
        question: "Is it day?",
        questionId: 9000,
        answers: [{ text: "yes", weight: 1 }],
      },
      {
        images: ["coco/COCO_train2014_000000581929.jpg"],
        question: "How many?",
        questionId: 581929002,
        answers: [{ text: "2", weight: 0.5 }, { text: "3", weight: 0.5 }],
      },
    ]);
    const test = await openVqa({ data: [dev!] });
    assertEquals(test.entry(0).images[0].path, "COCO_test2015_000000000009.jpg");
    assertEquals(test.entry(0).answers, []);
    await Deno.mkdir(`${folder}/train2014`);
    const { entry } = await openVqa({ data: [q!], images: folder });
    assertEquals(entry(0).images[0].path, `${folder}/train2014/COCO_train2014_000000000009.jpg`);
  }));

Deno.test("openVqa() reads easy-VQA's rows", () =>
  withFiles({ "questions.json": [["what shape is it?", "circle", 0], ["is it red?", "no", 12]] }, async (data, dir) => {
    const dataset = await openVqa({ data });
    assertEquals(all(dataset), [
      {
        images: [`${dir}/images/0.png`],
        question: "what shape is it?",
        questionId: 0,
        answers: [{ text: "circle", weight: 1 }],
      },
      {
        images: [`${dir}/images/12.png`],
        question: "is it red?",
        questionId: 1,
        answers: [{ text: "no", weight: 1 }],
      },
    ]);
    assertEquals((await openVqa({ data, images: "elsewhere" })).entry(1).images[0].path, "elsewhere/12.png");
  }));

Deno.test("openNlvr() reads rows of ALBEF, NLVR2 and NLVR", () =>
  withFiles({
    "albef.json": [{ sentence: "Boats.", label: "True", images: ["a-img0.png", "a-img1.png"] }],
    "nlvr2.jsonl": lines(
      { sentence: "s", label: "False", identifier: "dev-850-0-2", left_url: "http://x" },
      { sentence: "t", label: true, identifier: "train-10171-0-0", directory: 63 },
    ),
    "dev.json": lines({ sentence: "u", label: "true", identifier: "1572-0", directory: "2", structured_rep: [[]] }),
    "nlvr.jsonl": lines({ sentence: "v", label: "false", identifier: "2321-0", image: "images/52/train-2321-0-4.png" }),
  }, async (data) => {
    const picture = "images/2/dev-1572-0-0.png", given = "images/52/train-2321-0-4.png";
    assertEquals(all(await openNlvr({ data })), [
      { images: ["a-img0.png", "a-img1.png"], sentence: "Boats.", label: true, identifier: "0" },
      {
        images: ["dev/dev-850-0-img0.png", "dev/dev-850-0-img1.png"],
        sentence: "s",
        label: false,
        identifier: "dev-850-0-2",
      },
      {
        images: ["train/63/train-10171-0-img0.png", "train/63/train-10171-0-img1.png"],
        sentence: "t",
        label: true,
        identifier: "train-10171-0-0",
      },
      { images: [picture, picture], sentence: "u", label: true, identifier: "1572-0" },
      { images: [given, given], sentence: "v", label: false, identifier: "2321-0" },
    ]);
  }));

Deno.test('openEntailment() reads rows of ALBEF and SNLI-VE and leaves out what is labelled "-"', () =>
  withFiles({
    "albef.json": [
      { image: "3412", sentence: "A man sleeps", label: "contradiction" },
      { image: "x.png", sentence: "y", label: "neutral" },
    ],
    "snli_ve.jsonl": lines(
      { Flickr30K_ID: "470", gold_label: "entailment", sentence1: "no", sentence2: "a dog", pairID: "470.jpg#1" },
      { Flickr30K_ID: "471", gold_label: "-", sentence2: "a cat" },
    ),
  }, async (data) => {
    const dataset = await openEntailment({ data, images: "flickr" });
    assertEquals(all(dataset), [
      { images: ["flickr/3412.jpg"], sentence: "A man sleeps", label: "contradiction" },
      { images: ["flickr/x.png"], sentence: "y", label: "neutral" },
      { images: ["flickr/470.jpg"], sentence: "a dog", label: "entailment" },
    ]);
    assertEquals(dataset.skipped, [
      { index: 2, file: data[1], reason: 'line 2 has "-" as "gold_label": its annotators did not agree' },
    ]);
  }));

const coco = "train2014/COCO_train2014_000000581857.jpg";

Deno.test("openExpressions() reads texts with boxes, and one split of them", () =>
  withFiles({
    "a.json": [
      { image: coco, text: "left man", ref_id: 501, box: [1, 2, 3.5, 4], split: "testA" },
      { image: "kite.png", text: "kite", image_id: 7, bbox: [0, 0, 1, 1], split: "val" },
      { image: "kite.png", text: "sky", split: "val" },
    ],
  }, async (data) => {
    const rows = all(await openExpressions({ data }));
    assertEquals(rows, [
      { images: [coco], text: "left man", imageId: "581857", refId: 501, box: [1, 2, 3.5, 4], split: "testA" },
      { images: ["kite.png"], text: "kite", imageId: "7", box: [0, 0, 1, 1], split: "val" },
      { images: ["kite.png"], text: "sky", imageId: "kite", split: "val" },
    ]);
    assertEquals(all(await openExpressions({ data, split: "val" })), rows.slice(1));
    assertEquals(all(await openExpressions({ data, split: "val+testA" })), rows);
    await assertRejects(
      () => openExpressions({ data, split: "testB" }),
      SyntaxError,
      'it has no entries of the split "testB": its splits are testA, val',
    );
  }));

Deno.test("readDetections() gives boxes by image", () =>
  withFiles({
    "d.json": { 9001: [[1, 2, 3, 4, 0.9], [0, 0, 5, 5]], none: [] },
    "list.json": [[1, 2, 3, 4]],
    "text.json": { 1: "x" },
    "flat.json": { 1: [[0, 0, 1, 1], [1, 2, 0, 4]] },
    "broken.json": '{"1": [[',
  }, async ([good, ...bad]) => {
    assertEquals(await readDetections(good!), new Map([["9001", [[1, 2, 3, 4], [0, 0, 5, 5]]], ["none", []]]));
    const messages = [
      "it must be an object of image ids",
      'image "1" has "x"',
      'box 1 of image "1" is [1,2,0,4]',
      "it is not JSON",
    ];
    for (const [i, path] of bad.entries()) {
      await assertRejects(() => readDetections(path), SyntaxError, `Cannot read "${path}": ${messages[i]}`);
    }
  }));

const karpathy = {
  images: [
    {
      filepath: "val2014",
      filename: "a.jpg",
      split: "restval",
      sentences: [{ raw: "A man." }, { raw: "two" }],
      cocoid: 1,
    },
    { filepath: "train2014", filename: "b.jpg", split: "train", sentences: [{ raw: "b" }] },
    { filename: "c.jpg", split: "test", sentences: [{ raw: "c", tokens: ["c"] }] },
  ],
  dataset: "coco",
};

Deno.test("openDataset() reads Karpathy's file, one split or several", () =>
  withFiles({ "dataset_coco.json": karpathy, "plain.json": [{ image: "a", caption: "b" }] }, async ([file, plain]) => {
    const open = async (split?: string) => {
      const dataset = await openDataset({ data: [file!], images: "coco", split, groupBy: "caption" });
      return Array.from({ length: dataset.length }, (_, i) => Object.values(dataset.entry(i)).flat());
    };
    const entries = [
      ["coco/val2014/a.jpg", "A man.", 0],
      ["coco/val2014/a.jpg", "two", 0],
      ["coco/train2014/b.jpg", "b", 1],
      ["coco/c.jpg", "c", 2],
    ];
    assertEquals(await open(), entries);
    assertEquals(await open("train+restval"), entries.slice(0, 3));
    assertEquals(await open("test"), [["coco/c.jpg", "c", 0]]);
    await assertRejects(() => open("valid"), SyntaxError, "its splits are restval, train, test");
    await assertRejects(
      () => openDataset({ data: [plain!], split: "val" }),
      SyntaxError,
      'entry 0 has nothing as "split"',
    );
  }));

const openers = { vqa: openVqa, nlvr: openNlvr, ve: openEntailment, ref: openExpressions, captions: openDataset };
const question = { image: "a", question: "b", question_id: 1 };
const broken: [task: keyof typeof openers, name: string, content: unknown, message: string][] = [
  ["vqa", "a.json", [question, { ...question, image: 5 }], 'entry 1 has 5 as "image"; a path is expected'],
  ["vqa", "a.json", [{ ...question, question: "" }], 'entry 0 has "" as "question"; a string is expected'],
  [
    "vqa",
    "a.json",
    [{ ...question, question_id: "1" }],
    'entry 0 has "1" as "question_id"; a whole number is expected',
  ],
  ["vqa", "a.json", [{ ...question, answer: [] }], 'entry 0 has [] as "answer"; a string or a list of strings is'],
  ["vqa", "a.json", [["a?", "yes"]], "entry 0 must be a list of question, answer and number of the image"],
  [
    "vqa",
    "a.json",
    { questions: questions.questions },
    'it has nothing as "data_subtype"; the images\' set is expected',
  ],
  ["vqa", "a.json", { ...questions, questions: [{ image_id: -1 }] }, 'question 0 has -1 as "image_id"; a whole number'],
  ["vqa", "a.json", JSON.stringify(questions).slice(0, 80), "it is not JSON"],
  ["nlvr", "a.jsonl", lines({ sentence: "a", label: "maybe", image: "b" }), 'line 1 has "maybe" as "label"; "True" or'],
  [
    "nlvr",
    "a.jsonl",
    lines({ sentence: "a", label: "True", images: ["b"] }),
    'has ["b"] as "images"; a list of two paths',
  ],
  ["nlvr", "a.jsonl", lines({ sentence: "a", label: "True" }), "line 1 names no images"],
  [
    "nlvr",
    "a.jsonl",
    lines({ sentence: "a", label: "True", identifier: "1-0" }),
    "the file's name must tell the split",
  ],
  [
    "nlvr",
    "dev.json",
    lines({ label: "True", identifier: "1-0", directory: ".." }),
    'has ".." as "directory"; the number',
  ],
  [
    "nlvr",
    "dev.json",
    lines({ sentence: "a", label: "True", identifier: "x" }),
    'has "x" as "identifier"; one of NLVR2',
  ],
  [
    "ve",
    "a.json",
    [{ image: "a", sentence: "b", label: "true" }],
    'has "true" as "label"; "contradiction" or "neutral"',
  ],
  ["ve", "a.jsonl", lines({ Flickr30K_ID: 4, sentence2: "b" }), 'line 1 has 4 as "Flickr30K_ID"; the name of an image'],
  ["ve", "a.json", [{ image: "a", label: "neutral" }], 'entry 0 has nothing as "sentence"; a string is expected'],
  [
    "ref",
    "a.json",
    [{ image: "a", text: "b", box: [1, 2, 0, 3] }],
    'entry 0 has [1,2,0,3] as "box"; [left, top, width',
  ],
  [
    "ref",
    "a.json",
    [{ image: "a", text: "b", ref_id: 1.5 }],
    'entry 0 has 1.5 as "ref_id"; a whole number or a string',
  ],
  ["ref", "a.json", [{ image: "a" }], 'entry 0 has nothing as "text"; a string is expected'],
  ["ref", "a.json", [], "it has no entries, at least one is needed"],
  ["captions", "k.json", { images: [{ filepath: "a" }] }, 'image 0 has nothing as "filename"; the name of an image'],
  [
    "captions",
    "k.json",
    { images: [{ filename: "a", sentences: ["b"] }] },
    'image 0 has ["b"] as "sentences"; a list of',
  ],
  [
    "captions",
    "k.json",
    { images: [{ filename: "a", filepath: 1 }] },
    'image 0 has 1 as "filepath"; a folder or nothing',
  ],
];

Deno.test("The readers name file, entry, field and what is expected", async () => {
  for (const [task, name, content, message] of broken) {
    await withFiles({ [name]: content }, async ([file]) => {
      const open = () => openers[task]({ data: [file!] });
      await assertRejects(open, SyntaxError, `Cannot read "${file}": `);
      await assertRejects(open, SyntaxError, message);
    });
  }
});

Deno.test("openVqa() names what is wrong with annotations, and refuses them for other files", () =>
  withFiles({
    "q.json": questions,
    "a.json": { annotations: annotations.annotations.slice(0, 1) },
    "b.json": { annotations: [{ question_id: 1, answers: ["yes"] }] },
    "rows.json": [question],
  }, async ([q, a, b, rows]) => {
    const unknown = 'question 0 has 9000 as "question_id"; the id of one of the annotations is expected';
    await assertRejects(() => openVqa({ data: [q!], annotations: [a!] }), SyntaxError, unknown);
    const skipping = await openVqa({ data: [q!], annotations: [a!], onError: "skip" });
    assertEquals([skipping.length, skipping.skipped], [1, [{ index: 0, file: q, reason: unknown }]]);
    await assertRejects(
      () => openVqa({ data: [q!], annotations: [b!] }),
      SyntaxError,
      `Cannot read "${b}": annotation 0 has ["yes"] as "answers"; a list of objects with a string as "answer" is`,
    );
    await assertRejects(() => openVqa({ data: [rows!], annotations: [a!] }), TypeError, '"annotations" go with VQA v2');
  }));
