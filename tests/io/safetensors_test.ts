import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DTYPES, type NamedTensor, toFloat32, toInt32, toUint32 } from "../../src/io/dtype.ts";
import { openSafetensors, parseSafetensors, writeSafetensors } from "../../src/io/safetensors.ts";
import { withFolder } from "../testing/folders.ts";
import { counting, safetensorsBytes } from "./testing.ts";
import { assertRefused } from "../testing/refusals.ts";

const MIXED: NamedTensor[] = [
  counting("b.weight", [2, 3]),
  { name: "7", dtype: "BF16", shape: [2], data: new Uint8Array([0x80, 0x3F, 0x00, 0xC0]) },
  { name: "__proto__", dtype: "I32", shape: [], data: Int32Array.of(-5) },
  { name: "a", dtype: "BOOL", shape: [3], data: new Uint8Array([1, 0, 1]) },
  { name: "0", dtype: "U32", shape: [1, 1], data: Uint32Array.of(4_000_000_000) },
  counting("empty", [4, 0]),
];

Deno.test("writeSafetensors() and openSafetensors() keep names, order, formats, shapes and elements", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/mixed.safetensors`;
    await writeSafetensors(path, MIXED, { format: "pt" });
    const archive = await openSafetensors(path);
    assertEquals([...archive.metadata], [["format", "pt"]]);
    assertEquals([...archive.tensors.keys()], MIXED.map((tensor) => tensor.name));
    for (const tensor of MIXED) assertEquals(await archive.read(tensor.name), tensor);
    assertEquals([...parseSafetensors(await Deno.readFile(path)).values()], MIXED);
    await assertRejects(() => archive.read("c"), RangeError, `Cannot read "c": "${path}" has no tensor of this name`);
    archive.close();
  });
});

Deno.test("writeSafetensors() starts the data at a multiple of 8 and writes the same bytes every time", async () => {
  await withFolder(async (folder) => {
    const lazy = MIXED.map(({ data: _, ...info }, at) => ({ ...info, read: () => Promise.resolve(MIXED[at]!) }));
    await writeSafetensors(`${folder}/a`, MIXED, { step: "3" });
    await writeSafetensors(`${folder}/b`, lazy, { step: "3" });
    const bytes = await Deno.readFile(`${folder}/a`);
    assertEquals(bytes, await Deno.readFile(`${folder}/b`));
    assertEquals(new DataView(bytes.buffer).getUint32(0, true) % 8, 0);
  });
});

Deno.test("writeSafetensors() refuses a repeated name and elements that do not fill the shape, and leaves no file", async () => {
  await withFolder(async (folder) => {
    const twice = [counting("a", [1]), counting("a", [2])];
    await assertRejects(() => writeSafetensors(`${folder}/x`, twice), RangeError, 'the name "a" is taken');
    const short = [{ ...counting("a", [2]), shape: [3] }];
    const message = '"a" has 8 bytes, F32 [3] takes 12';
    await assertRejects(() => writeSafetensors(`${folder}/x`, short), RangeError, message);
    assertEquals((await Array.fromAsync(Deno.readDir(folder))).length, 0);
  });
});

const F32 = (begin: number, end: number, shape = [(end - begin) / 4]) => {
  return { dtype: "F32", shape, data_offsets: [begin, end] };
};

const BAD: [rule: string, bytes: Uint8Array, message: string][] = [
  ["no length", new Uint8Array(5), "it has 5 bytes, the length of the header alone takes 8"],
  ["a length beyond the file", new Uint8Array([9, 0, 0, 0, 0, 0, 0, 0, 123, 125]), "claims 9 bytes, but only 2 follow"],
  ["an absurd length", new Uint8Array(8).fill(255), "claims 18446744073709551615 bytes, at most 100000000 are read"],
  ["no object", safetensorsBytes("[1]"), "does not start with {"],
  ["broken JSON", safetensorsBytes('{"a":'), "is not JSON in UTF-8"],
  ["broken UTF-8", new Uint8Array([4, 0, 0, 0, 0, 0, 0, 0, 123, 34, 255, 125]), "is not JSON in UTF-8"],
  ["one name twice", safetensorsBytes('{"a":{},"\\u0061" : {}}'), 'has the key "a" twice'],
  ["one key twice", safetensorsBytes('{"a":{"dtype":"U8","dtype":"I8"}}'), 'has the key "dtype" twice'],
  ["an entry that is no object", safetensorsBytes({ a: [1] }), '"a" is not an object of dtype, shape and data_offsets'],
  ["an unknown key", safetensorsBytes({ a: { ...F32(0, 4), x: 1 } }, 4), '"a" has the unknown key "x"'],
  [
    "an unknown dtype",
    safetensorsBytes({ a: { ...F32(0, 4), dtype: "F31" } }, 4),
    'has dtype "F31", must be one of BOOL',
  ],
  ["an inherited dtype", safetensorsBytes({ a: { ...F32(0, 4), dtype: "toString" } }, 4), 'has dtype "toString"'],
  ["a missing shape", safetensorsBytes({ a: { dtype: "U8", data_offsets: [0, 0] } }), "has shape undefined"],
  ["a negative size", safetensorsBytes({ a: F32(0, 4, [-1, -1]) }, 4), "has shape [-1,-1]"],
  ["a fraction as size", safetensorsBytes({ a: F32(0, 4, [0.5, 2]) }, 4), "has shape [0.5,2]"],
  [
    "a product that overflows",
    safetensorsBytes({ a: F32(0, 4, [2 ** 53 - 1, 2 ** 53 - 1, 2 ** 53 - 1]) }, 4),
    "takes 2.9",
  ],
  ["three offsets", safetensorsBytes({ a: { ...F32(0, 4), data_offsets: [0, 4, 4] } }, 4), "must be two non-negative"],
  ["offsets in reverse", safetensorsBytes({ a: { ...F32(0, 4), data_offsets: [4, 0] } }, 4), "spans -4 bytes"],
  ["a span that is not the shape's", safetensorsBytes({ a: F32(0, 8, [1]) }, 8), "spans 8 bytes, but F32 [1] takes 4"],
  [
    "data beyond the file",
    safetensorsBytes({ a: F32(0, 8) }, 4),
    "ends at byte 8 of the data, but there are only 4 bytes",
  ],
  ["a start that is not 0", safetensorsBytes({ a: F32(4, 8) }, 8), "starts at byte 4 of the data, must start"],
  ["overlap", safetensorsBytes({ a: F32(0, 8), b: F32(4, 12) }, 12), '"b" starts at byte 4 of the data, must'],
  ["the same bytes twice", safetensorsBytes({ a: F32(0, 8), b: F32(0, 8) }, 8), '"b" starts at byte 0'],
  ["a hole", safetensorsBytes({ a: F32(0, 4), b: F32(8, 12) }, 12), '"b" starts at byte 8 of the data, must'],
  ["bytes after the last", safetensorsBytes({ a: F32(0, 4) }, 5), "end at byte 4 of the data, but there are 5 bytes"],
  ["part of a byte", safetensorsBytes({ a: { dtype: "F4", shape: [3], data_offsets: [0, 1] } }, 1), "takes 1.5"],
  ["metadata that is no text", safetensorsBytes({ __metadata__: { a: 1 } }), '__metadata__ "a" is not a string'],
  ["metadata that is no object", safetensorsBytes({ __metadata__: [] }), "__metadata__ is not an object of strings"],
];

for (const [rule, bytes, message] of BAD) {
  Deno.test(`parseSafetensors() refuses ${rule}`, () => {
    const error = assertThrows(() => parseSafetensors(bytes, "x.safetensors"), SyntaxError, message);
    assert(error.message.startsWith('Cannot read "x.safetensors" as safetensors: '));
  });
}

Deno.test("parseSafetensors() accepts every dtype that the format names", () => {
  for (const dtype of DTYPES) {
    const size = { F4: 4, F6_E2M3: 6, F6_E3M2: 6 }[dtype as string] ??
      8 * ({ C64: 8 }[dtype as string] ?? bytesOf(dtype));
    const bytes = safetensorsBytes({ a: { dtype, shape: [8], data_offsets: [0, size] } }, size);
    assertEquals(parseSafetensors(bytes).get("a")!.data.byteLength, size);
  }
});

function bytesOf(dtype: string): number {
  return dtype === "BOOL" ? 1 : Number(/\d+/.exec(dtype)![0]) / 8;
}

function stored(dtype: NamedTensor["dtype"], data: { buffer: ArrayBuffer; length: number }): NamedTensor {
  return { name: "t", dtype, shape: [data.length], data: new Uint8Array(data.buffer) };
}

Deno.test("toFloat32() widens half and brain floats exactly and rounds doubles", () => {
  const halves = Uint16Array.of(0x3C00, 0xC000, 0x0001, 0x7BFF, 0x7C00, 0x8000);
  assertEquals([...toFloat32(stored("F16", halves))], [1, -2, 2 ** -24, 65504, Infinity, -0]);
  assertEquals([...toFloat32(stored("BF16", Uint16Array.of(0x3FC0, 0xFF80)))], [1.5, -Infinity]);
  assertEquals([...toFloat32(stored("F64", Float64Array.of(0.1, -Infinity)))], [Math.fround(0.1), -Infinity]);
  assert(Number.isNaN(toFloat32(stored("F16", Uint16Array.of(0x7E00)))[0]));
});

Deno.test("toFloat32(), toInt32() and toUint32() refuse what does not fit, with the element", async () => {
  await assertRefused(
    [() => toFloat32(stored("F64", Float64Array.of(1, 1e39))), "1e+39 at 1 (F64) does not fit F32"],
    [() => toFloat32(stored("I32", Int32Array.of(16777217))), "16777217 at 0"],
    [() => toInt32(stored("I64", BigInt64Array.of(2n ** 31n))), "2147483648 at 0 (I64)"],
    [() => toInt32(stored("F32", Float32Array.of(0.5))), "0.5 at 0 (F32) does not fit I32"],
    [() => toUint32(stored("I64", BigInt64Array.of(-1n))), "-1 at 0 (I64) does not fit U32"],
    [() => toFloat32(stored("F8_E4M3", Uint8Array.of(1))), "F8_E4M3 has no F32 form", TypeError],
  );
  assertEquals([...toInt32(stored("I64", BigInt64Array.of(-7n)))], [-7]);
  assertEquals([...toUint32(stored("U64", BigUint64Array.of(2n ** 32n - 1n)))], [2 ** 32 - 1]);
});
