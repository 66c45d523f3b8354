import { assert, assertEquals, assertRejects } from "@std/assert";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import { pack, reshape, slice } from "../../src/ops/shape.ts";
import { compile, tensor, toDevice, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";

const bufferOf = (t: Tensor): GPUBuffer => t.node.storage[t.index]!.buffer;
const lists = async (tensors: readonly Tensor[]): Promise<number[][]> => (await toHost(tensors)).map((d) => [...d]);

Deno.test("a donated argument is updated in place", async () => {
  const step = compile((x: Tensor) => add(multiply(x, 2), 1), { donate: [0] });
  let x = await toDevice(tensor([1, 2, 3]));
  const memory = bufferOf(x);
  for (let i = 0; i < 3; i++) x = await step(x);
  assertEquals([...await toHost(x)], [15, 23, 31]);
  assertEquals(bufferOf(x), memory);
  assertEquals((await step.program(x)).plan.results[0]!.copied, false);
});

Deno.test("a donated argument cannot be used or read again, nor captured", async () => {
  const step = compile((x: Tensor) => add(x, 1), { donate: [0] });
  const x = await toDevice(tensor([1, 2]));
  await step(x);
  await assertRejects(
    async () => await step(x),
    Error,
    "Cannot use a f32[2]: its memory was donated to an earlier call",
  );
  await assertRejects(async () => await toHost(x), Error, "Cannot read a f32[2]: its memory was donated");
  const capturing = compile((y: Tensor) => add(x, y));
  await assertRejects(async () => await capturing(tensor([1, 2])), Error, "its memory was donated");
});

Deno.test("one tensor cannot be donated twice in one call", async () => {
  const step = compile((a: Tensor, b: Tensor) => [add(a, 1), add(b, 2)], { donate: [0, 1] });
  const x = await toDevice(tensor([1, 2]));
  await assertRejects(async () => await step(x, x), Error, "Cannot donate argument 1: argument 0 uses the same memory");
  assertEquals([...await toHost(x)], [1, 2]);
  assertEquals(await lists(await step(x, tensor([3, 4]))), [[2, 3], [5, 6]]);
});

Deno.test("a donated argument that is read after its result was written keeps its value until then", async () => {
  const step = compile((x: Tensor) => {
    const y = multiply(x, 10);
    return [y, sum(multiply(add(sum(y), x), x))]; // reads x after y is complete
  }, { donate: [0] });
  const [y, total] = await step(await toDevice(tensor([1, 2, 3])));
  assertEquals([...await toHost(y!)], [10, 20, 30]);
  assertEquals([...await toHost(total!)], [61 + 124 + 189]);
});

Deno.test("a donated argument may be handed through, alone and beside a result that could take its memory", async () => {
  const x = await toDevice(tensor([1, 2, 3])), memory = bufferOf(x);
  const through = compile((a: Tensor) => [add(a, 1), a, add(a, 2)], { donate: [0] });
  const [b, same, c] = await through(x);
  assertEquals(await lists([b!, same!, c!]), [[2, 3, 4], [1, 2, 3], [3, 4, 5]]);
  assertEquals(bufferOf(same!), memory);
});

Deno.test("results that share a value get memory of their own", async () => {
  const twice = compile((a: Tensor, b: Tensor) => {
    const y = add(a, b);
    return [y, y, a, a, slice(y, 0, 1, 3), reshape(a, [1, 4])];
  }, { donate: [0, 1] });
  const results = await twice(tensor([1, 2, 3, 4]), tensor([10, 10, 10, 10]));
  assertEquals(await lists(results), [
    [11, 12, 13, 14],
    [11, 12, 13, 14],
    [1, 2, 3, 4],
    [1, 2, 3, 4],
    [12, 13],
    [1, 2, 3, 4],
  ]);
  assertEquals(new Set(results.map(bufferOf)).size, 6);
});

Deno.test("a part of a donated argument that is read before and after the update has both values", async () => {
  const step = compile((x: Tensor) => {
    const before = multiply(slice(x, 0, 1, 2), 100);
    const y = add(add(x, 1), sum(before));
    return [y, add(before, slice(y, 0, 1, 2))];
  }, { donate: [0] });
  const [y, both] = await step(tensor([1, 2, 3]));
  assertEquals([...await toHost(y!)], [202, 203, 204]);
  assertEquals([...await toHost(both!)], [200 + 203]);
});

Deno.test("swapped donated arguments are swapped", async () => {
  const swap = compile((a: Tensor, b: Tensor) => [multiply(b, 1), multiply(a, 1)], { donate: [0, 1] });
  const [a, b] = await swap(tensor([1, 2]), tensor([3, 4]));
  assertEquals(await lists([a!, b!]), [[3, 4], [1, 2]]);
  const exchange = compile((p: Tensor, q: Tensor) => [q, p], { donate: [0, 1] });
  assertEquals(await lists(await exchange(tensor([1, 2]), tensor([3, 4]))), [[3, 4], [1, 2]]);
});

Deno.test("a whole tree is donated at once", async () => {
  const step = compile((state: { w: Tensor; count: Tensor }, g: Tensor) => ({
    w: add(state.w, multiply(g, state.count)),
    count: add(state.count, 1),
  }), { donate: [0] });
  let state = { w: tensor([0, 0]), count: tensor(0) };
  for (let i = 0; i < 4; i++) state = await step(state, tensor([1, -1]));
  assertEquals(await lists([state.w, state.count]), [[6, -6], [4]]);
});

const SIZE = 1024;
/** An argument full of what must not be seen again. */
const old = (): Promise<Tensor> => toDevice(tensor(new Float32Array(SIZE).fill(99)));
const counted = (from: number, length: number): number[] => Array.from({ length }, (_, i) => from + i);
const placed = (parts: readonly number[][], offsets: readonly number[]): number[] => {
  const whole = Array(SIZE).fill(0);
  parts.forEach((part, i) => part.forEach((value, k) => whole[offsets[i]! + k] = value));
  return whole;
};

for (
  const [what, offsets] of [["side by side", [0, 64]], ["with gaps", [0, 100]], ["off the grid", [3, 77]]] as const
) {
  const length = what === "side by side" ? 64 : 28;
  Deno.test(`parts ${what} are packed in place of a donated argument that nobody reads`, async () => {
    const step = compile((_: Tensor, x: Tensor) => pack([multiply(x, 2), add(x, 1)], offsets, SIZE), { donate: [0] });
    let state = await old();
    const memory = bufferOf(state);
    for (const from of [5, 50]) {
      const x = tensor(counted(from, length));
      const { plan, arenaBytes } = await step.program(state, x);
      assertEquals(plan.results[0]!.copied, false);
      assert(arenaBytes < SIZE * 4, `an arena of ${arenaBytes} bytes`);
      state = await step(state, x);
      const parts = [counted(from, length).map((v) => 2 * v), counted(from + 1, length)];
      assertEquals([...await toHost(state)], placed(parts, offsets));
      assertEquals(bufferOf(state), memory);
    }
  });
}

Deno.test("arguments alone are packed in place of a donated one, and the gaps are 0", async () => {
  const step = compile((_: Tensor, x: Tensor, y: Tensor) => pack([x, y], [0, 64], SIZE), { donate: [0] });
  const state = await step(await old(), tensor(counted(1, 10)), tensor(counted(2, 20)));
  assertEquals([...await toHost(state)], placed([counted(1, 10), counted(2, 20)], [0, 64]));
});

Deno.test("parts that are read while they are packed in place have their values", async () => {
  const step = compile((state: { packed: Tensor; other: Tensor }, x: Tensor) => {
    const square = matmul(x, x), next = add(square, 1);
    const packed = pack(
      [reshape(square, [16]), reshape(next, [16]), reshape(matmul(next, square), [16])],
      [0, 64, 100],
      SIZE,
    );
    return { packed, other: add(state.other, sum(packed)) };
  }, { donate: [0] });
  const x = [1, 2, 3, 4, 0, 1, 2, 3, 1, 0, 1, 0, 2, 1, 0, 1], rows = [0, 1, 2, 3];
  const product = (a: number[], b: number[]): number[] =>
    rows.flatMap((i) => rows.map((j) => rows.reduce((n, k) => n + a[4 * i + k]! * b[4 * k + j]!, 0)));
  const square = product(x, x), next = square.map((v) => v + 1), expected = [square, next, product(next, square)];
  const state = { packed: await old(), other: tensor(7) };
  const { packed, other } = await step(state, tensor(x, [4, 4]));
  assertEquals([...await toHost(packed)], placed(expected, [0, 64, 100]));
  assertEquals([...await toHost(other)], [7 + expected.flat().reduce((a, b) => a + b)]);
});

Deno.test("a donated argument that is read is not packed over before", async () => {
  const x = await toDevice(tensor(counted(0, 128)));
  const swap = compile((x: Tensor) => pack([slice(x, 0, 64, 128), slice(x, 0, 0, 64)], [0, 64], 128), { donate: [0] });
  assertEquals([...await toHost(await swap(x))], [...counted(64, 64), ...counted(0, 64)]);
  const step = compile(
    (x: Tensor) => pack([add(slice(x, 0, 0, 64), 1), multiply(slice(x, 0, 0, 64), 10)], [64, 0], 128),
    {
      donate: [0],
    },
  );
  const [first, rest] = [counted(0, 64).map((v) => 10 * v), counted(1, 64)];
  assertEquals([...await toHost(await step(tensor(counted(0, 128))))], [...first, ...rest]);
});

Deno.test("a donated argument that is handed through is not packed over", async () => {
  const step = compile((a: Tensor, x: Tensor) => [pack([add(x, 1)], [0], SIZE), a], { donate: [0] });
  const [packed, through] = await step(await old(), tensor(counted(0, 100)));
  assertEquals([...await toHost(packed!)], placed([counted(1, 100)], [0]));
  assertEquals([...await toHost(through!)], Array(SIZE).fill(99));
});
