import { assertEquals, assertRejects } from "@std/assert";
import { defaultDevice, type Device, openDevice, setDefaultDevice } from "../../src/gpu/device.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { compile, evaluate, tensor, toDevice, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";

/** Registers a test with a second device, which is closed after it; the default device is again what it was. */
function testWithOther(name: string, body: (other: Device) => Promise<void>): void {
  const fn = async (): Promise<void> => {
    const before = await defaultDevice(), other = await openDevice();
    try {
      await body(other);
    } finally {
      setDefaultDevice(before);
      other.close();
    }
  };
  Deno.test({ name, fn, sanitizeResources: false });
}

const values = async (t: Tensor): Promise<number[]> => [...await toHost(t)];
const elsewhere = "it must be on that device: it is on another one";

testWithOther("a compiled function runs on what is the default device when it is called", async (other) => {
  const f = compile((x: Tensor) => add(multiply(x, 2), 1));
  const first = await f(tensor([1, 2]));
  setDefaultDevice(other);
  const second = await f(tensor([1, 2]));
  assertEquals([await values(first), await values(second)], [[3, 5], [3, 5]]);
  assertEquals(second.node.storage[0]!.device === other, true);
  assertEquals(await values(await f(second)), [7, 11]);
  f.destroy();
});

testWithOther("arguments and captured values of another device are refused, and can be moved", async (other) => {
  const there = await evaluate(add(tensor([1, 2]), 0));
  const here = compile((x: Tensor) => add(x, 1), { device: other });
  await assertRejects(() => here(there), Error, elsewhere);
  await assertRejects(() => compile((x: Tensor) => add(x, there), { device: other })(tensor([1, 2])), Error, elsewhere);
  await toDevice(there, other);
  assertEquals(await values(await here(there)), [2, 3]);
  await assertRejects(() => compile((x: Tensor) => add(x, 1))(there), Error, elsewhere);
});

testWithOther("host values that were sent to one device can be used on another", async (other) => {
  const table = await toDevice(tensor([10, 20])), x = await toDevice(tensor([1, 2]));
  for (const device of [other, await defaultDevice()]) {
    const f = compile((x: Tensor) => add(x, table), { device });
    for (let i = 0; i < 2; i++) assertEquals(await values(await f(x)), [11, 22]);
  }
});

testWithOther("values of several devices are read together, each from its own", async (other) => {
  const double = (device: Device) => compile((x: Tensor) => multiply(x, 2), { device });
  const [a, b] = [await double(await defaultDevice())(tensor([1, 2])), await double(other)(tensor([3, 4, 5]))];
  assertEquals((await toHost([b, a, b, tensor([9])])).map((v) => [...v]), [[6, 8, 10], [2, 4], [6, 8, 10], [9]]);
  assertEquals((await toHost([add(b, 1), add(a, 1)])).map((v) => [...v]), [[7, 9, 11], [3, 5]]);
});

testWithOther("what is computed outside of compile() is computed where its inputs are", async (other) => {
  const there = await toDevice(tensor([1, 2]), other),
    own = await compile((x: Tensor) => add(x, 0), { device: other })(there);
  const sum = await evaluate(add(multiply(own, 3), tensor([1, 1])));
  assertEquals(sum.node.storage[0]!.device === other, true);
  assertEquals(await values(sum), [4, 7]);
  const mine = await evaluate(add(tensor([1, 2]), 1));
  await assertRejects(() => evaluate(add(mine, own)), Error, elsewhere);
});

testWithOther("toDevice() moves values of every kind to the device that it is given", async (other) => {
  const host = tensor([1, 2]), sent = await toDevice(tensor([3])), computed = await evaluate(add(tensor([4]), 1));
  const lazy = add(tensor([6]), 1), lazyThere = add(computed, 1);
  const all = [host, sent, computed, lazy, lazyThere];
  await toDevice(all, other);
  assertEquals(all.every((t) => t.node.storage[0]!.device === other), true);
  assertEquals((await toHost(all)).map((v) => [...v]), [[1, 2], [3], [5], [7], [6]]);
});
