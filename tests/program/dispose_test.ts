import { assert, assertEquals } from "@std/assert";
import { defaultDevice } from "../../src/gpu/device.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { topK } from "../../src/ops/top_k.ts";
import { compile, evaluate, tensor, toDevice, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertRefused } from "../testing/refusals.ts";

const values = async (t: Tensor): Promise<number[]> => [...await toHost(t)];

Deno.test("a disposed tensor gives its memory to the next one of its size, at once", async () => {
  const x = tensor(new Float32Array(1000)), f = compile((x: Tensor) => add(x, 1)), device = await defaultDevice();
  (await f(x)).dispose();
  const before = device.memory;
  for (let i = 0; i < 50; i++) {
    using y = await f(x);
    assertEquals(y.shape, [1000]);
  }
  assertEquals(device.memory, before);
  f.destroy();
});

Deno.test("what was computed from a disposed tensor keeps its value, and disposing twice is once", async () => {
  const x = await toDevice(tensor([1, 2])), y = await evaluate(add(x, 1));
  x.dispose();
  x.dispose();
  const others = await evaluate([3, 4, 5].map((n) => add(tensor([n, n]), 0))); // one of them takes the memory
  assertEquals(await values(y), [2, 3]);
  assertEquals((await toHost(others)).map((v) => v[0]), [3, 4, 5]);
  const [largest, at] = await evaluate(topK(tensor([[1, 3, 2]]), 1)) as [Tensor, Tensor];
  largest.dispose();
  assertEquals([largest.isDisposed, at.isDisposed, await values(at)], [true, false, [1]]);
});

Deno.test("tensors may be disposed inside of a traced function, and before what is made of them is computed on the host's values", async () => {
  const f = compile((x: Tensor) => {
    using y = add(x, 1);
    return multiply(y, 2);
  });
  assertEquals(await values(await f(tensor([1, 2]))), [4, 6]);
  const x = tensor([5]), y = add(x, 1);
  x.dispose();
  assertEquals(await values(y), [6]);
});

Deno.test("a disposed tensor that is used is a sentence", async () => {
  const gone =
    'Cannot use a f32[2]: it must not have been disposed: it was, by dispose() or at the end of a "using" block';
  const onDevice = await toDevice(tensor([1, 2])),
    onHost = tensor([1, 2]),
    lazy = add(onHost, 1),
    made = add(onDevice, 1);
  const f = compile((x: Tensor) => add(x, 1)), capturing = compile((y: Tensor) => add(onDevice, y));
  await capturing(tensor([1, 1]));
  for (const x of [onDevice, onHost, lazy]) {
    x.dispose();
    await assertRefused([() => f(x), gone, Error], [() => toHost(x), gone, Error], [() => add(x, 1), gone, Error]);
  }
  await assertRefused([() => toHost(made), gone, Error], [() => capturing(tensor([1, 1])), gone, Error]);
  const early = await f(tensor([1, 2])), reading = toHost(early);
  early.dispose(); // before it has been read
  await assertRefused([() => reading, gone, Error]);
  assert(!(await f(tensor([1, 2]))).isDisposed);
});
