import { assert, assertEquals } from "@std/assert";
import { vjp } from "../../src/autograd/grad.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { compile, evaluate, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";

/** Values after which the collector is asked for dead ones; it may take a few calls until it finds them. */
const COLLECTED = 1024, CALLS = 3;

/** The most bytes and buffers that `turns` turns add, one value each. */
async function growth(
  turns: number,
  turn: (i: number) => Promise<unknown>,
): Promise<{ bytes: number; buffers: number }> {
  const device = await defaultDevice(), before = device.memory;
  let bytes = 0, buffers = 0;
  for (let i = 0; i < turns; i++) {
    await turn(i);
    bytes = Math.max(bytes, device.memory.bytes - before.bytes);
    buffers = Math.max(buffers, device.memory.buffers - before.buffers);
  }
  return { bytes, buffers };
}

Deno.test("5,000 awaited results of 5,000 sizes keep memory flat", async () => {
  const size = (i: number): number => 4 * (1 + i * 1237 % 5000), mean = 40_000; // bytes
  const { bytes, buffers } = await growth(5000, (i) => evaluate(multiply(full([size(i)], 1), 2)));
  assert(buffers < 1.1 * CALLS * COLLECTED, `${buffers} buffers`);
  assert(bytes < 1.1 * CALLS * COLLECTED * mean, `${bytes} of ${5000 * mean} bytes`);
});

Deno.test("10,000 eager ops keep memory flat, though each is made of the ones before", async () => {
  let x = tensor([0, 0, 0, 0]);
  const { buffers } = await growth(5000, () => evaluate(x = add(multiply(x, 1), 1)));
  assert(buffers < 1.1 * CALLS * COLLECTED, `${buffers} buffers`);
  assertEquals([...await toHost(x)], [5000, 5000, 5000, 5000]);
});

Deno.test("results may be read before gradients are taken through them", async () => {
  const [y, back] = vjp((x: Tensor) => multiply(x, x), tensor([1, 2, 3]));
  await toHost(y);
  assertEquals([...await toHost(back(tensor([1, 1, 1]))[0])], [2, 4, 6]);
});

Deno.test("a compiled function that gets arguments of many shapes keeps the programs of the last 128", async () => {
  const device = await defaultDevice(), f = compile((x: Tensor) => add(x, 1)), before = device.memory.buffers;
  const results = await Promise.all(Array.from({ length: 135 }, (_, i) => f(tensor(new Float32Array(i + 1))))); // none is idle
  for (const [i, y] of (await toHost(results)).entries()) assertEquals([y.length, y[i]], [i + 1, 1]);
  const buffers: number[] = [];
  for (let i = 0; i < 200; i++) {
    using y = await f(tensor(new Float32Array(20 + i * 37 % 200)));
    assertEquals(y.dtype, "f32");
    buffers.push(device.memory.buffers - before);
  }
  assert(buffers[199]! < buffers[0]! + 50, `${buffers[0]} buffers became ${buffers[199]}`);
  assertEquals([...await toHost(await f(tensor([1, 2])))], [2, 3], "one that was destroyed is traced again");
  f.destroy();
});
