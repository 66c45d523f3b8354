import { assertEquals, assertRejects } from "@std/assert";
import { type Cutter, decode, LineCutter, ListCutter, readChunks } from "../../src/data/text_stream.ts";
import { withFolder } from "../testing/folders.ts";

/** The pieces of a text that comes in the given chunks. */
function cutAll(cutter: Cutter, chunks: readonly Uint8Array[]): string[] {
  return chunks.flatMap((chunk) => {
    const reused = chunk.slice(), pieces = [...cutter.push(reused).map(decode)];
    reused.fill(0x22); // as readChunks() reuses its buffer
    return pieces;
  });
}

/** A text in two parts at every border, and in chunks of every small size. */
function* cuttings(text: string): Generator<Uint8Array[]> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at <= bytes.length; at++) yield [bytes.subarray(0, at), bytes.subarray(at)];
  for (let size = 1; size <= 7; size++) {
    yield Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
  }
}

const elements = [
  { image: "a.jpg", caption: 'says "no, \\ [yes]" }', box: [[1, 2], [{ x: [] }, "]"]] },
  { image: "ü/猫 👩‍🚀.jpg", caption: ["x,y", "{", "\\", '\\"'], more: { deep: { er: [1, { z: "," }] } } },
  [],
  [[1, 2], 3],
  {},
  'a string, [with] {brackets} " and \\',
  -12.5e3,
  null,
  true,
];

Deno.test("ListCutter cuts a list at every border of chunks", () => {
  for (const text of [JSON.stringify(elements), `\r\n ${JSON.stringify(elements, null, 2)} \n`, "[]", " [ \n ] "]) {
    for (const chunks of cuttings(text)) {
      const cutter = new ListCutter("", "entry");
      assertEquals(cutAll(cutter, chunks).map((piece) => JSON.parse(piece)), JSON.parse(text));
      assertEquals([cutter.inList, cutter.outline().trim(), cutter.values], [false, "[]", 1]);
    }
  }
});

Deno.test("ListCutter cuts the list of an object at every border of chunks, wherever it stands", () => {
  const whole = {
    info: { year: 2014, authors: ["annotations", { annotations: [1] }] },
    other: [{ annotations: [7] }, '"annotations": ['],
    annotations: elements,
    none: [],
    last: 'x"annotations": [',
  };
  const outline = { ...whole, other: [], annotations: [], none: [] };
  for (const text of [JSON.stringify(whole), JSON.stringify(whole, null, 1)]) {
    for (const chunks of cuttings(text)) {
      const cutter = new ListCutter("annotations", "annotation");
      assertEquals(cutAll(cutter, chunks).map((piece) => JSON.parse(piece)), elements);
      assertEquals(JSON.parse(cutter.outline()), outline);
      assertEquals([...cutter.lists], ["other", "annotations", "none"]);
    }
  }
});

Deno.test("ListCutter gives an empty piece for a comma too many, and none for an empty list", () => {
  const pieces = (text: string) => cutAll(new ListCutter("", "entry"), [new TextEncoder().encode(text)]);
  assertEquals(pieces("[]"), []);
  assertEquals(pieces("[1,]"), ["1", ""]);
  assertEquals(pieces("[,1]"), ["", "1"]);
  assertEquals(pieces("[,]"), ["", ""]);
});

Deno.test("ListCutter says where the text ends, and its outline shows what is wrong with it", () => {
  const state = (text: string) => {
    const cutter = new ListCutter("b", "item");
    cutAll(cutter, [new TextEncoder().encode(text)]);
    return [cutter.inList, cutter.place, cutter.outline()];
  };
  assertEquals(state('{"a": 1, "b": [1, {"c'), [true, "item 1", '{"a": 1, "b": [']);
  assertEquals(state('{"a": [1, {"c'), [true, 'the list "a"', '{"a": [']);
  assertEquals(state('{"b": [1], "c'), [false, "the text outside its lists", '{"b": [], "c']);
  assertEquals(state('{"b": [1]}]]]}}{"b": ['), [false, "the text outside its lists", '{"b": []}]]]}}{"b": [']);
  assertEquals(state('{"b": [1}, 2'), [false, "the text outside its lists", '{"b": [}, 2']);
});

Deno.test("ListCutter holds no element of a list that is not wanted", () => {
  const cutter = new ListCutter("b", "item");
  cutAll(cutter, [new TextEncoder().encode(`{"a": ["${"x".repeat(10_000)}`)]);
  assertEquals(cutter.held, '{"a": ['.length);
});

Deno.test("LineCutter cuts lines at every border of chunks", () => {
  const text = "eins\r\n\nzwei 👩‍🚀\t猫\r\n\r\r\ndrei";
  for (const chunks of cuttings(text)) {
    const cutter = new LineCutter();
    assertEquals(cutAll(cutter, chunks), ["eins", "", "zwei 👩‍🚀\t猫", "\r"]);
    assertEquals([decode(cutter.rest()), cutter.place], ["drei", "line 5"]);
  }
});

Deno.test("readChunks() gives a file's bytes without a byte order mark, in chunks of the size asked for", async () => {
  const file = await Deno.makeTempFile();
  try {
    for (const text of ["", "a", "\uFEFF", "\uFEFFab\uFEFFc", "12345678901"]) {
      await Deno.writeTextFile(file, text);
      for (const size of [4, 5, 6, 1 << 20]) {
        const chunks = await Array.fromAsync(readChunks(file, size), (chunk) => chunk.slice());
        assertEquals(decode(Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))), text.replace(/^\uFEFF/, ""));
        assertEquals(chunks.every((chunk) => chunk.length <= size), true);
      }
    }
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("readChunks() refuses a missing file and a folder", async () => {
  await withFolder(async (folder) => {
    const read = (path: string) => () => Array.fromAsync(readChunks(path));
    await assertRejects(read(`${folder}/none`), Deno.errors.NotFound, `Cannot read "${folder}/none": there is no such`);
    await assertRejects(read(folder), TypeError, `Cannot read "${folder}": it must be a file, not a folder or a pipe`);
  });
});
