/**
 * Damaged files: each gives an error in our words, or exactly what an independent reading gives. Allocations are watched by
 * standing in for the constructors of typed arrays.
 */
import { assert, assertEquals } from "@std/assert";
import { Random } from "../../src/random/random.ts";
import type { Archive } from "../../src/io/archive.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { bytesOf, type NamedTensor, toFloat32 } from "../../src/io/dtype.ts";
import { pickKey, pickStateDict, readPth } from "../../src/io/pth.ts";
import { readSafetensors } from "../../src/io/safetensors.ts";
import { type ByteSource, memorySource } from "../../src/io/source.ts";
import { encodePickleValue, makePickle, makePth, makeZip, tensor } from "./make_pth.ts";
import { mutate, mutateIntegers, ODD_NUMBERS } from "./mutate.ts";
import { withFolder } from "../testing/folders.ts";
import { safetensorsBytes } from "./testing.ts";

const fixture = (name: string) => Deno.readFileSync(new URL(`./fixtures/${name}`, import.meta.url));

const WATCHED = ["Uint8Array", "Uint16Array", "Uint32Array", "Int32Array", "Float32Array", "BigUint64Array"] as const;

/** Runs and returns the most bytes that one typed array was made with. */
async function largestAllocation(run: () => Promise<void>): Promise<number> {
  let largest = 0;
  const world = globalThis as unknown as Record<string, new (...args: unknown[]) => ArrayBufferView>;
  const originals = WATCHED.map((name) => world[name]!);
  originals.forEach((original, at) => {
    world[WATCHED[at]!] = new Proxy(original, {
      construct(target, args) {
        const made = new target(...args);
        if (typeof args[0] === "number") largest = Math.max(largest, made.byteLength);
        return made;
      },
    });
  });
  try {
    await run();
  } finally {
    originals.forEach((original, at) => world[WATCHED[at]!] = original);
  }
  return largest;
}

/** All tensors of an archive, or undefined when it is refused; an error that is not ours is thrown on. */
async function readAll(
  open: (source: ByteSource) => Promise<Archive>,
  bytes: Uint8Array,
): Promise<NamedTensor[] | undefined> {
  try {
    const archive = await open(memorySource(bytes, "fuzz"));
    const tensors: NamedTensor[] = [];
    for (const name of archive.tensors.keys()) tensors.push(await archive.read(name));
    return tensors;
  } catch (error) {
    const isOurs = error instanceof SyntaxError || error instanceof RangeError;
    if (isOurs && error.message.startsWith('Cannot read "fuzz"')) return undefined;
    throw error;
  }
}

const SIZES: Record<string, number> = { BOOL: 1, U8: 1, F16: 2, BF16: 2, I32: 4, F32: 4, I64: 8, F64: 8 };

/** An independent reading: the tensors of a header, if they tile the data; undefined otherwise. */
function readPlainly(bytes: Uint8Array): Map<string, number[]> | undefined {
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))), data = bytes.subarray(8 + length);
  delete header.__metadata__;
  const covered = new Array<number>(data.length).fill(0), result = new Map<string, number[]>();
  for (
    const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries<
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >(header)
  ) {
    const size = shape.reduce((product, size) => product * size, SIZES[dtype]!);
    if (begin < 0 || end > data.length || end - begin !== size) return undefined;
    for (let at = begin; at < end; at++) covered[at]!++;
    result.set(name, [...data.slice(begin, end)]);
  }
  return covered.every((times) => times === 1) ? result : undefined;
}

const HEADER = {
  __metadata__: { format: "pt" },
  "a.weight": { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] },
  "a.bias": { dtype: "F16", shape: [2], data_offsets: [24, 28] },
  ids: { dtype: "I64", shape: [1, 1], data_offsets: [28, 36] },
  flag: { dtype: "BOOL", shape: [], data_offsets: [36, 37] },
  none: { dtype: "F32", shape: [0, 4], data_offsets: [37, 37] },
};

/** A header with one to three numbers, formats or shapes changed. */
function mutateHeader(random: Random): unknown {
  const header: Record<string, unknown> = structuredClone(HEADER);
  const names = Object.keys(header).slice(1);
  const odd = () => [...ODD_NUMBERS, -1, 0.5, "4", null, 24, 28, 36, 37, 12, 16][random.below(ODD_NUMBERS.length + 10)];
  type Entry = { dtype: string; shape: unknown[]; data_offsets: unknown[] };
  const changes: ((entry: Entry) => unknown)[] = [
    (entry) => entry.dtype = ["F32", "F64", "U8", "F99", "F16", "I32"][random.below(6)]!,
    (entry) => entry.data_offsets[random.below(2)] = odd(),
    (entry) => entry.shape[random.below(3)] = odd(),
    (entry) => entry.shape.reverse().push(1),
  ];
  for (let time = 1 + random.below(3); time > 0; time--) {
    changes[random.below(changes.length)]!(header[names[random.below(names.length)]!] as Entry);
  }
  return header;
}

const BODY = Uint8Array.from({ length: 37 }, (_, at) => at + 1);

Deno.test("2,000 damaged safetensors files are refused or read as they are", async () => {
  const random = new Random(1), seed = safetensorsBytes(HEADER, BODY);
  assertEquals((await readAll(readSafetensors, seed))?.length, 5);
  let accepted = 0;
  for (let time = 0; time < 2000; time++) {
    const bytes = (time % 2 ? mutate(seed, random) : safetensorsBytes(mutateHeader(random), BODY)).slice();
    let tensors: NamedTensor[] | undefined;
    const largest = await largestAllocation(async () => {
      tensors = await readAll(readSafetensors, bytes);
    });
    assert(largest <= bytes.length, `file ${time} of ${bytes.length} bytes made an array of ${largest}`);
    if (tensors === undefined) continue;
    accepted++;
    const plain = readPlainly(bytes);
    assert(plain !== undefined, `file ${time} is no tiling of its data, but was accepted`);
    assertEquals(new Map(tensors.map(({ name, data }) => [name, [...bytesOf(data)]])), plain, `file ${time}`);
  }
  assert(accepted > 50 && accepted < 1500, `${accepted} were accepted: the damage is too weak or too strong to tell`);
});

Deno.test("1,000 .pth files with damaged bytes are refused or read as the undamaged one", async () => {
  const random = new Random(2), open = (source: ByteSource) => readPth(source, pickKey(undefined));
  const large = makePth({ a: tensor("0", 6, [2, 3], [3, 1]) }, { 0: Float32Array.of(1, 2, 3, 4, 5, 6) }, true);
  const seeds = [fixture("state.pth"), fixture("checkpoint.pth"), fixture("protocol4_deflated.pth"), large];
  const originals = await Promise.all(seeds.map((seed) => readAll(open, seed)));
  let accepted = 0;
  for (let time = 0; time < 1000; time++) {
    const which = time % seeds.length, bytes = mutate(seeds[which]!, random);
    let tensors: NamedTensor[] | undefined;
    const largest = await largestAllocation(async () => {
      tensors = await readAll(open, bytes);
    });
    assert(largest <= Math.max(bytes.length, seeds[which]!.length), `file ${time} made an array of ${largest} bytes`);
    if (tensors === undefined) continue;
    accepted++;
    assertEquals(tensors, originals[which], `file ${time}`);
  }
  assert(accepted > 20 && accepted < 800, `${accepted} were accepted`);
});

Deno.test("1,000 .pth files with damaged pickles and right check sums give no number that they do not hold", async () => {
  const random = new Random(3), open = (source: ByteSource) => readPth(source, pickStateDict);
  const storages = { 0: Float32Array.of(1, 2, 3, 4, 5, 6), 1: Float32Array.of(7, 8) };
  const files = Object.entries(storages).map(([key, data]) =>
    [`archive/data/${key}`, new Uint8Array(data.buffer)] as const
  );
  const pickle = makePickle({ model: { a: tensor("0", 6, [3, 2], [1, 3]), b: tensor("1", 2, [2], [1]) }, epoch: 3 });
  let accepted = 0;
  for (let time = 0; time < 1000; time++) {
    const damaged = time % 2 ? mutate(pickle, random) : mutateIntegers(pickle, random);
    const bytes = makeZip([["archive/data.pkl", damaged], ...files]);
    let tensors: NamedTensor[] | undefined;
    const largest = await largestAllocation(async () => {
      tensors = await readAll(open, bytes);
    });
    assert(largest <= bytes.length, `file ${time} of ${bytes.length} bytes made an array of ${largest}`);
    for (const read of tensors ?? []) {
      assertEquals(read.data.byteLength, read.shape.reduce((product, size) => product * size, SIZES[read.dtype]!));
      if (read.dtype !== "F32") continue;
      assert(toFloat32(read).every((value) => value >= 1 && value <= 8), `file ${time} gave ${read.data}`);
    }
    if (tensors !== undefined) accepted++;
  }
  assert(accepted > 50 && accepted < 800, `${accepted} were accepted`);
});

/** The elements of a view by its definition; undefined when one lies outside. */
function viewPlainly(count: number, shape: number[], strides: number[], offset: number): number[] | undefined {
  let places = [offset];
  shape.forEach((size, axis) => {
    places = places.flatMap((place) => Array.from({ length: size }, (_, at) => place + at * strides[axis]!));
  });
  return places.every((place) => place < count) ? places.map((place) => place + 1) : undefined;
}

Deno.test("500 views of a storage are refused or read by their definition", async () => {
  const random = new Random(4), count = 24, open = (source: ByteSource) => readPth(source, pickKey(undefined));
  const data = Float32Array.from({ length: count }, (_, at) => at + 1);
  let accepted = 0;
  for (let time = 0; time < 500; time++) {
    const rank = random.below(4), draw = (below: number) => Array.from({ length: rank }, () => random.below(below));
    const shape = draw(4).map((size) => size + random.below(2)), strides = draw(12), offset = random.below(8);
    const tensors = await readAll(open, makePth({ a: tensor("0", count, shape, strides, offset) }, { 0: data }));
    const plain = viewPlainly(count, shape, strides, offset);
    if (tensors !== undefined) {
      accepted++;
      assertEquals([...tensors[0]!.data], plain, `[${shape}] by [${strides}] from ${offset}`);
    } else if (plain !== undefined) {
      assert(plain.length > count, `[${shape}] by [${strides}] from ${offset} was refused`);
    }
  }
  assert(accepted > 100 && accepted < 450, `${accepted} were accepted`);
});

Deno.test("damaged files on the disk are refused with their file closed", async () => {
  const random = new Random(5), seeds = [fixture("state.pth"), safetensorsBytes(HEADER, BODY)];
  await withFolder(async (folder) => {
    for (let time = 0; time < 100; time++) {
      const path = `${folder}/${time}`;
      await Deno.writeFile(path, mutate(seeds[time % 2]!, random));
      await openCheckpoint(path).then((archive) => archive.close(), (error) => {
        assert(error.message.startsWith(`Cannot read "${path}"`), error.message);
      });
    }
  });
});

Deno.test("a deflated entry that claims or gives too much is refused before it is unpacked in full", async () => {
  const bomb = new Blob([new Uint8Array(2 ** 24)]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const packed = new Uint8Array(await new Response(bomb).arrayBuffer());
  const stored = makeZip([["archive/data.pkl", packed]]);
  const view = new DataView(stored.buffer);
  const central = stored.findLastIndex((_, at) => at + 4 <= stored.length && view.getUint32(at, true) === 0x02014B50);
  view.setUint16(central + 10, 8, true);
  for (const [claim, words] of [[2 ** 24, "claims to grow"], [packed.length * 60, "inflates to more than"]] as const) {
    view.setUint32(central + 24, claim, true);
    const error = await readPth(memorySource(stored, "bomb"), pickStateDict).then(() => undefined, (error) => error);
    assert(error instanceof SyntaxError && error.message.includes(words), String(error));
  }
});

Deno.test("a pickle of 20,000 tuples or lists within each other ends with an answer", async () => {
  const deep = (open: number[], close: number[]) => {
    const inner = [...Array(20000).fill(open).flat(), ...Array(20000).fill(close).flat()];
    const value = [0x7D, ...encodePickleValue("a"), ...inner, 0x73];
    return makeZip([["data.pkl", Uint8Array.from([0x80, 2, ...value, 0x2E])]]);
  };
  const open = (source: ByteSource) => readPth(source, pickKey(undefined));
  assertEquals(await readAll(open, deep([0x28], [0x74])), undefined);
  assertEquals(await readAll(open, deep([0x5D], [0x61])), undefined);
});
