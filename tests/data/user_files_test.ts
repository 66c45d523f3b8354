/** Files as people have them: ids of any kind, packed, in other encodings, with headers; and as strangers may make them. */
import { assertEquals, assertRejects } from "@std/assert";
import { type DatasetOptions, openDataset } from "../../src/data/datasets.ts";
import { openExpressions } from "../../src/data/expressions.ts";
import { openVqa } from "../../src/data/vqa.ts";
import { testInFolder } from "../testing/folders.ts";

const encode = (text: string) => new TextEncoder().encode(text);

async function gzip(...parts: BlobPart[]): Promise<Uint8Array<ArrayBuffer>> {
  const packed = new Blob(parts).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/** What is in files of the given bytes or texts: path and captions of every entry. */
async function read(
  dir: string,
  files: Record<string, string | Uint8Array>,
  options: Partial<DatasetOptions> = {},
): Promise<[string, ...string[]][]> {
  const data = Object.keys(files).map((name) => `${dir}/${name}`);
  for (const [name, content] of Object.entries(files)) {
    await Deno.writeFile(`${dir}/${name}`, typeof content === "string" ? encode(content) : content);
  }
  const dataset = await openDataset({ data, ...options });
  return Array.from({ length: dataset.length }, (_, i) => {
    const { image, captions } = dataset.entry(i);
    return [image, ...captions];
  });
}

/** COCO captions, the ids as they are written. */
function coco(
  ids: readonly [image: string, name: string][],
  captions: readonly [image: string, text: string][],
): string {
  const images = ids.map(([id, name]) => `{"id": ${id}, "file_name": "${name}"}`);
  const annotations = captions.map(([id, text]) => `{"image_id": ${id}, "caption": "${text}"}`);
  return `{"images": [${images}], "annotations": [${annotations}]}`;
}

const images = "photos";

testInFolder("openDataset() keeps COCO's ids apart beyond 2^53, and takes texts", async (dir) => {
  const big = coco([["9007199254740993", "a"], ["9007199254740992", "b"], ["123456789012345678901234567890", "c"]], [
    ["9007199254740993", "of a"],
    ["9007199254740992", "of b"],
    ['"123456789012345678901234567890"', "of c"],
  ]);
  assertEquals(await read(dir, { "a.json": big }, { images }), [
    ["photos/a", "of a"],
    ["photos/b", "of b"],
    ["photos/c", "of c"],
  ]);
  const texts = coco([['"x-1"', "a"], ['"7"', "b"], ["8", "c"], ['"08"', "d"]], [
    ['"x-1"', "of a"],
    ["7", "of b"],
    ['"8"', "of c"],
    ['"08"', "of d"],
  ]);
  assertEquals((await read(dir, { "a.json": texts }, { images })).map(([path, text]) => [path.at(-1), text!.at(-1)]), [
    ["a", "a"],
    ["b", "b"],
    ["c", "c"],
    ["d", "d"],
  ]);
});

testInFolder("openDataset() refuses a COCO id of two images, and takes an image that is there twice", async (dir) => {
  await assertRejects(
    () => read(dir, { "a.json": coco([["1", "a.jpg"], ["1", "b.jpg"]], [["1", "of a"]]) }, { images }),
    SyntaxError,
    `Cannot read "${dir}/a.json": image 1, "b.jpg", has the "id" 1 of "a.jpg"; an id of its own is expected`,
  );
  await assertRejects(
    () => read(dir, { "a.json": coco([["1", "a.jpg"], ['"1"', "b.jpg"]], [["1", "of a"]]) }, { images }),
    SyntaxError,
    "of its own",
  );
  assertEquals(await read(dir, { "a.json": coco([["1", "a"], ["1", "a"]], [["1", "x"]]) }, { images }), [[
    "photos/a",
    "x",
  ]]);
  await assertRejects(
    () => read(dir, { "a.json": coco([["1.5", "a.jpg"]], []) }, { images }),
    SyntaxError,
    'image 0 must have a whole number or a string as "id"',
  );
});

testInFolder("Answers and boxes with an id that others have are refused", async (dir) => {
  const answers = (...all: [id: number, answer: string][]) =>
    JSON.stringify({ annotations: all.map(([question_id, answer]) => ({ question_id, answers: [{ answer }] })) });
  const questions = { data_subtype: "val2014", questions: [{ question_id: 5, image_id: 1, question: "what is it" }] };
  await Deno.writeTextFile(`${dir}/q.json`, JSON.stringify(questions));
  const open = async (text: string) => {
    await Deno.writeTextFile(`${dir}/a.json`, text);
    return await openVqa({ data: [`${dir}/q.json`], annotations: [`${dir}/a.json`] });
  };
  assertEquals((await open(answers([5, "cat"], [5, "cat"]))).entry(0).answers[0]!.text, "cat");
  await assertRejects(() => open(answers([5, "cat"], [5, "dog"])), SyntaxError, 'annotation 1 has 5 as "question_id"');

  const rows = '[{"image": "a.jpg", "text": "left man", "image_id": 9007199254740993, "ref_id": 9007199254740993}]';
  await Deno.writeTextFile(`${dir}/e.json`, rows);
  const { imageId, refId } = (await openExpressions({ data: [`${dir}/e.json`] })).entry(0);
  assertEquals([imageId, refId], ["9007199254740993", "9007199254740993"]);
});

const list = '[{"image": "a.png", "caption": "ein Kätzchen 𝄞"}]';
const one: [string, string][] = [["a.png", "ein Kätzchen 𝄞"]];

testInFolder("openDataset() reads gzip, also of joined files, and UTF-16 with its mark", async (dir) => {
  const utf16 = (text: string, little: boolean) => {
    const view = new DataView(new ArrayBuffer(2 * text.length));
    for (let i = 0; i < text.length; i++) view.setUint16(2 * i, text.charCodeAt(i), little);
    return new Uint8Array(view.buffer);
  };
  for (const little of [true, false]) assertEquals(await read(dir, { "a.json": utf16(`\uFEFF${list}`, little) }), one);
  assertEquals(await read(dir, { "a.json.gz": await gzip(list) }), one);
  assertEquals(await read(dir, { "a.json": await gzip(utf16(`\uFEFF${list}`, true)) }), one);
  assertEquals(await read(dir, { "a.tsv.gz": await gzip("a\tx\n") }), [["a", "x"]]);
  const joined = new Uint8Array(await new Blob([await gzip("a\tx\n"), await gzip("b\ty\n")]).arrayBuffer());
  assertEquals(await read(dir, { "a.tsv": joined }), [["a", "x"], ["b", "y"]]);
});

testInFolder("openDataset() names what it cannot unpack, and stops where a file grows without end", async (dir) => {
  const packed = await gzip(list), changed = packed.slice();
  changed[changed.length - 6]! ^= 1; // of the check sum
  const refused: [Uint8Array, string][] = [
    [packed.subarray(0, -5), "its gzip data is damaged (unexpected end of file)"],
    [changed, "its gzip data is damaged (incorrect data check)"],
    [encode("PK\x03\x04..."), "it is a ZIP archive; unpack it, or pack it by gzip"],
    [encode("\x42\x5ah9..."), "it is packed by bzip2"],
    [Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0), "it is packed by zstd"],
    [Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a), "it is packed by xz"],
    [encode("[\0{\0}\0]\0"), "it has bytes of zero, so it seems to be UTF-16 or UTF-32"],
    [await gzip(...Array(80).fill(new Uint8Array(1 << 20).fill(32))), "it grows to more than 200 times its"],
  ];
  for (const [bytes, message] of refused) {
    await assertRejects(() => read(dir, { "a.json": bytes }), SyntaxError, `Cannot read "${dir}/a.json": ${message}`);
  }
});

testInFolder("openDataset() reads tables by their header, as open_clip's are", async (dir) => {
  const rows = [["a.jpg", 'a "big", old dog'], ["b.jpg", "two\nlines"]];
  const csv = 'filepath,title\r\na.jpg,"a ""big"", old dog"\r\nb.jpg,"two\nlines"\r\n';
  assertEquals(await read(dir, { "a.csv": csv }), rows as [string, string][]);
  assertEquals(await read(dir, { "a.tsv": csv.replace(/^([^,]+),|(jpg),/gm, "$1$2\t") }), rows as [string, string][]);
  const wide = 'id;Caption;source;Image\n0;"x; y";web;a.jpg\n1;5" pipe;web;b.jpg\n\n';
  assertEquals(await read(dir, { "a.csv": wide }), [["a.jpg", "x; y"], ["b.jpg", '5" pipe']]);
  assertEquals(await read(dir, { "a.csv": 'a.jpg,a dog\nb.jpg,"one, two"' }), [["a.jpg", "a dog"], [
    "b.jpg",
    "one, two",
  ]]);
  assertEquals(await read(dir, { "a.tsv": 'a.jpg\t"quoted" word\n' }), [["a.jpg", '"quoted" word']]);
  const refused: [string, string][] = [
    ["filepath,score\na.jpg,1\n", "its header names no column of captions (title, caption,"],
    ["filepath,title\na.jpg,a dog, asleep\n", "row 2 has 3 columns; 2 as in the header"],
    ['filepath,title\na.jpg,"a dog\n', "it ends inside quotation marks that row 2 opens"],
    ["a.jpg;a dog\n", "row 1 has 1 columns; the path of an image, a comma and a caption are expected"],
    ["filepath,title\n", "it has no entries, at least one is needed"],
  ];
  for (const [text, message] of refused) {
    await assertRejects(() => read(dir, { "a.csv": text }), SyntaxError, message);
  }
});

testInFolder("openDataset() takes all ways of writing a path for one image", async (dir) => {
  const paths = ["a.png", "./a.png", "b/../a.png", ".//a.png", "b/c.png", "b/./c.png", "b//c.png", `${dir}/a.png`];
  const text = JSON.stringify(paths.map((image, i) => ({ image, caption: `${i}` })));
  assertEquals(await read(dir, { "a.json": text }, { images: `${dir}/`, groupBy: "image" }), [
    [`${dir}/a.png`, "0", "1", "2", "3", "7"],
    [`${dir}/b/c.png`, "4", "5", "6"],
  ]);
  const others = ["...", ".a/b", "..a", "a../b", "a./b"].map((image) => ({ image, caption: "x" }));
  assertEquals((await read(dir, { "a.json": JSON.stringify(others) })).map(([path]) => path), [
    "...",
    ".a/b",
    "..a",
    "a../b",
    "a./b",
  ]);
});

testInFolder("openDataset() takes no image outside of the folder, unless that is allowed", async (dir) => {
  const leaving = ["/etc/passwd", "../x.png", "a/../../x.png", "..\\x.png", "C:\\x.png", "C:x.png", "/", ".."];
  for (const image of leaving) {
    const files = { "a.json": JSON.stringify([{ image, caption: "x" }]) };
    await assertRejects(
      () => read(dir, files, { images }),
      SyntaxError,
      `entry 0 has ${JSON.stringify(image)} as image, which is outside of the folder "photos"`,
    );
    await read(dir, files, { images, outside: true });
    await read(dir, files); // without a folder there is none to leave
  }
  const mixed = JSON.stringify([{ image: "../x.png", caption: "x" }, { image: "y.png", caption: "y" }]);
  assertEquals(await read(dir, { "a.json": mixed }, { images, onError: "skip" }), [["photos/y.png", "y"]]);
  await assertRejects(
    () => read(dir, { "a.json": '[{"image": "a\\u0000.png", "caption": "x"}]' }),
    SyntaxError,
    'entry 0 has a character of zero in the path "a\\u0000.png"',
  );
});

testInFolder('openDataset() says why nothing is left with onError "skip"', async (dir) => {
  await assertRejects(
    () => read(dir, { "a.json": '[{"image": "a.png"}, {"img": "b.png", "caption": "x"}]' }, { onError: "skip" }),
    SyntaxError,
    `Cannot read "${dir}/a.json": it has no entries that can be used: 2 of 2 were left out, ` +
      'the first since entry 0 has nothing as "caption"; a string or a list of strings is expected',
  );
});

testInFolder("openDataset() ends on files that go a million levels down, or have no text", async (dir) => {
  const deep = (open: string, inner: string, close: string, levels = 1e5) =>
    open.repeat(levels) + inner + close.repeat(levels);
  const files: [name: string, text: string, message: string][] = [
    ["a.json", `[{"image": "a", "caption": ${deep("[", "", "]")}}]`, "entry 0 has [[[[["],
    ["a.json", `[{"image": "a", "caption": ${deep("[", "9007199254740993", "]")}}]`, "nested too deeply"],
    ["a.jsonl", `{"image": "a", "caption": ${deep("[", "", "]", 1e6)}}`, "line 1 has [[[[["],
    ["a.json", "[".repeat(1e6), "it ends inside entry 0"],
    ["a.json", `{"info": ${deep('{"a":', "1", "}")}, "images": [], "annotations": []}`, "it has no entries"],
    ["a.tsv", "\n".repeat(1e6), "more than 100000 lines without text follow each other"],
  ];
  for (const [name, text, message] of files) {
    await assertRejects(() => read(dir, { [name]: text }, { images }), SyntaxError, message);
  }
});
