import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Archive } from "../../src/io/archive.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { toFloat32, toInt32 } from "../../src/io/dtype.ts";
import { openPth, pickKey, readPth } from "../../src/io/pth.ts";
import { memorySource } from "../../src/io/source.ts";
import { writeSafetensors } from "../../src/io/safetensors.ts";
import { Call, makePickle, makePth, makeZip, tensor, TupleOf } from "./make_pth.ts";
import { withFolder } from "../testing/folders.ts";
import { counting } from "./testing.ts";

const fixture = (name: string) => new URL(`./fixtures/${name}`, import.meta.url).pathname;

function read(bytes: Uint8Array, key?: string): Promise<Archive> {
  return readPth(memorySource(bytes, "x.pth"), pickKey(key));
}

async function floats(archive: Archive, name: string): Promise<number[]> {
  return [...toFloat32(await archive.read(name))];
}

Deno.test("openPth() reads every format, strided views and shared storages as Python's pickler writes them", async () => {
  const archive = await openPth(fixture("state.pth"));
  const shapes = [...archive.tensors.values()].map(({ name, dtype, shape }) => `${name} ${dtype} [${shape}]`);
  assertEquals(shapes, [
    "linear.weight F32 [3,4]",
    "linear.transposed F32 [4,3]",
    "linear.part F32 [2,2]",
    "scalar F64 []",
    "ids I64 [1,3]",
    "half F16 [2]",
    "brain BF16 [2]",
    "flags BOOL [3]",
    "empty F32 [0,5]",
  ]);
  assertEquals(await floats(archive, "linear.weight"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  assertEquals(await floats(archive, "linear.transposed"), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
  assertEquals(await floats(archive, "linear.part"), [5, 6, 9, 10]);
  assertEquals(await floats(archive, "scalar"), [Math.fround(0.07)]);
  assertEquals(await floats(archive, "half"), [1.5, -2]);
  assertEquals(await floats(archive, "brain"), [1, -2]);
  assertEquals([...toInt32(await archive.read("flags"))], [1, 0, 1]);
  assertEquals(await floats(archive, "empty"), []);
  await archive.read("ids").then((ids) => assertEquals([...new BigInt64Array(ids.data.buffer)], [3n, -1n, 2n ** 40n]));
  archive.close();
});

Deno.test("openPth() reads what PyTorch 1.13 saved: state dicts, optimizer, views and formats", async () => {
  const archive = await openPth(fixture("torch_1_13.pth"));
  assertEquals(await floats(archive, "model.linear.weight"), [0, 1, 2, 3, 4, 5]);
  assertEquals(archive.tensors.get("model.norm.num_batches_tracked")!.shape, []);
  assertEquals(await floats(archive, "optimizer.state.3.step"), [1]);
  assertEquals(await floats(archive, "views.transposed"), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
  assertEquals(await floats(archive, "views.column"), [1, 5, 9]);
  assertEquals(await floats(archive, "views.part"), [6, 7, 10, 11]);
  assertEquals(await floats(archive, "views.parameter"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  assertEquals(await floats(archive, "formats.half"), [1.5, -2]);
  assertEquals(await floats(archive, "formats.brain"), [1, -3]);
  assertEquals(await floats(archive, "formats.double"), [Math.fround(0.07)]);
  assertEquals(await floats(archive, "formats.long"), [-1, 2 ** 40]);
  assertEquals([...toInt32(await archive.read("formats.bool"))], [1, 0]);
  assertEquals([...toInt32(await archive.read("formats.byte"))], [1, 255]);
  assertEquals(archive.tensors.get("formats.empty")!.shape, [0, 3]);
  assertEquals([...archive.metadata], [["epoch", "29"]]);
  archive.close();
});

Deno.test("openPth() reads deflated entries, protocol 4 and untyped storages", async () => {
  const archive = await openPth(fixture("protocol4_deflated.pth"));
  assertEquals([...toInt32(await archive.read("a"))], [7, 8]);
  assertEquals(await archive.read("b"), { name: "b", dtype: "U16", shape: [2], data: new Uint8Array([2, 0, 3, 0]) });
  archive.close();
});

Deno.test("openPth() joins the keys of nested containers and keeps numbers and texts as metadata", async () => {
  const archive = await openPth(fixture("checkpoint.pth"));
  assert(archive.tensors.has("model.linear.weight"));
  assertEquals(await floats(archive, "optimizer.state.0.exp_avg"), [0.5]);
  assertEquals(archive.metadata.get("epoch"), "29");
  archive.close();
});

Deno.test("openCheckpoint() finds the state dict, takes a key, and reads safetensors just as well", async () => {
  const found = await openCheckpoint(fixture("checkpoint.pth")), bare = await openCheckpoint(fixture("state.pth"));
  assertEquals([...found.tensors.keys()], [...bare.tensors.keys()]);
  const keyed = await openCheckpoint(fixture("checkpoint.pth"), { key: "optimizer" });
  assertEquals([...keyed.tensors.keys()], ["state.0.exp_avg"]);
  for (const archive of [found, bare, keyed]) archive.close();
  await assertRejects(
    () => openCheckpoint(fixture("checkpoint.pth"), { key: "ema" }),
    SyntaxError,
    'it has no dict "ema"; its keys are model, epoch',
  );
  await withFolder(async (folder) => {
    // A header of 640 bytes starts with 0x80 0x02, as a pickle does.
    await writeSafetensors(`${folder}/a`, [counting("a".repeat(585), [2])]);
    assertEquals([...await Deno.readFile(`${folder}/a`)].slice(0, 2), [0x80, 0x02]);
    const archive = await openCheckpoint(`${folder}/a`);
    assertEquals(archive.tensors.size, 1);
    archive.close();
    await assertRejects(() => openCheckpoint(`${folder}/a`, { key: "model" }), TypeError, 'it has no member "model"');
  });
});

Deno.test("openCheckpoint() asks for a key when several members could be meant", async () => {
  await withFolder(async (folder) => {
    const dict = { w: tensor("0", 1, [1], [1]) };
    await Deno.writeFile(`${folder}/a.pth`, makePth({ teacher: dict, student: dict }, { 0: Float32Array.of(1) }));
    const message = "several dicts of tensors (teacher, student); give the key";
    await assertRejects(() => openCheckpoint(`${folder}/a.pth`), SyntaxError, message);
    await Deno.writeFile(`${folder}/b.pth`, makePth({ epoch: 1 }));
    await assertRejects(
      () => openCheckpoint(`${folder}/b.pth`),
      SyntaxError,
      "it holds no dict of tensors; give the key",
    );
  });
});

Deno.test("openPth() prints the global that a pickle asks for and runs nothing", async () => {
  const error = await assertRejects(() => openPth(fixture("evil.pth")), SyntaxError);
  assert(
    /asks for "(posix|nt)\.system", which is no tensor and no plain container; nothing was run/.test(error.message),
  );
  for (
    const name of ["argparse.Namespace", "builtins.eval", "torch.load", "torch._utils._rebuild_qtensor", "numpy.core.x"]
  ) {
    await assertRejects(() => read(makePth({ a: new Call(name, []) })), SyntaxError, `asks for "${name}"`);
  }
});

Deno.test("openPth() prints the instruction that a pickle of tensors does not need", async () => {
  const cases: [number[], string][] = [
    [[0x81], "NEWOBJ"],
    [[0x69], "INST"],
    [[0x50], "PERSID"],
    [[0x8B], "LONG4"],
    [[0x97], "NEXT_BUFFER"],
    [[0xFF], "0xff"],
  ];
  for (const [code, name] of cases) {
    const bytes = makeZip([["archive/data.pkl", Uint8Array.from([0x80, 2, ...code, 0x2E])]]);
    await assertRejects(() => read(bytes), SyntaxError, `it has the instruction ${name} at byte 2`);
  }
});

Deno.test("openPth() refuses the format before PyTorch 1.6 and says how to convert it", async () => {
  for (const open of [openPth, openCheckpoint]) {
    await assertRejects(() => open(fixture("legacy.pth")), SyntaxError, 'torch.save(torch.load("old.pth"');
  }
});

Deno.test("openPth() reads 64-bit archives", async () => {
  const bytes = makePth({ a: tensor("0", 2, [2], [1]) }, { 0: Float32Array.of(1, 2) }, true);
  assertEquals(await floats(await read(bytes), "a"), [1, 2]);
});

const F4 = { 0: Float32Array.of(1, 2, 3, 4) };
const BAD: [rule: string, bytes: Uint8Array, message: string][] = [
  [
    "a view beyond its storage",
    makePth({ a: tensor("0", 4, [2, 2], [2, 1], 1) }, F4),
    'of storage "0" reaches element 4 of a storage of 4',
  ],
  ["a stride beyond its storage", makePth({ a: tensor("0", 4, [2, 2], [3, 1]) }, F4), "reaches element 4"],
  ["a size beyond all memory", makePth({ a: tensor("0", 4, [2 ** 40], [1]) }, F4), "reaches element 1099511627775"],
  [
    "one element repeated",
    makePth({ a: tensor("0", 4, [2 ** 40], [0]) }, F4),
    "repeats elements: 1099511627776 from a storage of 4",
  ],
  [
    "a negative stride",
    makePth({ a: tensor("0", 4, [2], [-1], 3) }, F4),
    "is not made of a storage, an offset, sizes and strides",
  ],
  ["a fraction as offset", makePth({ a: tensor("0", 4, [2], [1], 0.5) }, F4), "is not made of a storage"],
  ["fewer strides than sizes", makePth({ a: tensor("0", 4, [2, 2], [1]) }, F4), "has 2 sizes and 1 strides"],
  [
    "a storage that claims less than it has",
    makePth({ a: tensor("0", 3, [3], [1]) }, F4),
    "has 16 bytes, its pickle claims 12",
  ],
  [
    "a storage that claims more than it has",
    makePth({ a: tensor("0", 5, [5], [1]) }, F4),
    "has 16 bytes, its pickle claims 20",
  ],
  ["a storage that is missing", makePth({ a: tensor("7", 4, [4], [1]) }, F4), 'no entry "archive/data/7"'],
  [
    "a storage class that is none",
    makePth({ a: tensor("0", 4, [4], [1], 0, "torch._utils._rebuild_parameter") }, F4),
    "a persistent id does not name",
  ],
  [
    "a call of a storage class",
    makePth({ a: new Call("torch.FloatStorage", []) }),
    'calls "torch.FloatStorage", which is no function',
  ],
  [
    "a parameter of no tensor",
    makePth({ a: new Call("torch._utils._rebuild_parameter", [1]) }),
    "not made of a tensor",
  ],
  [
    "a tensor of no storage",
    makePth({ a: new Call("torch._utils._rebuild_tensor_v2", [1, 2]) }),
    "is not made of a storage",
  ],
  [
    "a tensor of an unknown format",
    makePth({ a: new Call("torch._utils._rebuild_tensor_v3", [1]) }),
    "no known dtype",
  ],
  ["a dict made of arguments", makePth({ a: new Call("collections.OrderedDict", [[]]) }), "made of arguments"],
  [
    "one name for two tensors",
    makePth(new Map<string, unknown>([["a.b", tensor("0", 4, [4], [1])], ["a", { b: tensor("0", 4, [4], [1]) }]]), F4),
    'two tensors "a.b"',
  ],
  ["no dict", makePth([1]), "does not hold a dict"],
  ["a key that is a tuple", makePth(new Map([[new TupleOf(1), 2]])), "a key is neither a text nor a number"],
  ["no pickle", makeZip([["archive/version", new Uint8Array(2)]]), "has 0 entries data.pkl, must have one"],
  ["two pickles", makeZip([["a/data.pkl", makePickle({})], ["b/data.pkl", makePickle({})]]), "has 2 entries data.pkl"],
  [
    "big-endian storages",
    makeZip([["data.pkl", makePickle({})], ["byteorder", new TextEncoder().encode("big")]]),
    "not little-endian",
  ],
  ["a pickle that does not stop", makeZip([["data.pkl", makePickle({}).slice(0, -1)]]), "asks for 1 bytes"],
  ["bytes after the end", makeZip([["data.pkl", Uint8Array.from([...makePickle({}), 0])]]), "stops at byte"],
  [
    "an absurd length of text",
    makeZip([["data.pkl", Uint8Array.from([0x80, 2, 0x58, 255, 255, 255, 255])]]),
    "asks for 4294967295 bytes",
  ],
  ["protocol 0", makeZip([["data.pkl", Uint8Array.from([0x80, 0, 0x2E])]]), "its protocol is 0, must be 2 to 5"],
  [
    "a value that was not stored",
    makeZip([["data.pkl", Uint8Array.from([0x80, 2, 0x68, 9, 0x2E])]]),
    "recalls value 9",
  ],
  ...["../../x", "a/../../x", "/etc/x", "C:\\x", "..\\x", "a\0b"].map((name): [string, Uint8Array, string] => [
    `an entry ${JSON.stringify(name)}`,
    makeZip([["data.pkl", makePickle({})], [name, new Uint8Array(1)]]),
    `its entry "${name}" leaves the folder`,
  ]),
  ["an empty stack", makeZip([["data.pkl", Uint8Array.from([0x80, 2, 0x2E])]]), "there is no value"],
];

for (const [rule, bytes, message] of BAD) {
  Deno.test(`openPth() refuses ${rule}`, async () => {
    const error = await assertRejects(() => read(bytes), SyntaxError, message);
    assert(error.message.startsWith('Cannot read "x.pth"'));
  });
}

Deno.test("openPth() ends on containers that name each other a billion times", async () => {
  // Each list holds the one before ten times: 10^30 values in some hundred bytes. Then a list that holds itself.
  const laughs = [0x80, 2, 0x7D, 0x4B, 1, 0x28, 0x5D, 0x71, 0];
  for (let level = 1; level <= 30; level++) {
    const previous = Array.from({ length: 10 }, () => [0x68, level - 1]).flat();
    laughs.push(0x5D, 0x71, level, 0x28, ...previous, 0x65);
  }
  const bytes = makeZip([["data.pkl", Uint8Array.from([...laughs, 0x74, 0x73, 0x2E])]]);
  await assertRejects(() => read(bytes), SyntaxError, "contain each other too often");
  const self = Uint8Array.from([0x80, 2, 0x7D, 0x4B, 1, 0x5D, 0x71, 0, 0x68, 0, 0x61, 0x73, 0x2E]);
  await assertRejects(() => read(makeZip([["data.pkl", self]])), SyntaxError, "contain each other too often");
});

Deno.test("openPth() keeps Python's rule that the last value of a key stays", async () => {
  const twice = new Map<unknown, unknown>([[new TupleOf("torch.float32"), 1]]);
  await assertRejects(() => read(makePth(twice)), SyntaxError, "a key is neither");
  const bytes = Uint8Array.from([0x80, 2, 0x7D, 0x4B, 1, 0x4B, 2, 0x73, 0x4B, 1, 0x4B, 3, 0x73, 0x2E]);
  assertEquals((await read(makeZip([["data.pkl", bytes]]))).metadata.get("1"), "3");
});

Deno.test("openPth() notices one flipped bit in a storage", async () => {
  const bytes = makePth({ a: tensor("0", 4, [4], [1]) }, F4);
  const at = bytes.findIndex((_, i) => bytes[i + 2] === 0x80 && bytes[i + 3] === 0x3F);
  bytes[at + 2]! ^= 1;
  const archive = await read(bytes);
  await assertRejects(() => archive.read("a"), SyntaxError, "is damaged: its CRC-32 differs");
});
