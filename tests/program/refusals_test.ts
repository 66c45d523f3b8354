import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { UnsupportedError } from "../../src/gpu/errors.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, evaluate, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholder } from "../testing/run_op.ts";
import { assertRefused } from "../testing/refusals.ts";

Deno.test("a value larger than the adapter can bind is refused with its name, its size and the limit", async () => {
  const { gpu, adapter } = await defaultDevice(), most = gpu.limits.maxStorageBufferBindingSize;
  const n = Math.floor(most / 4) + 64, side = Math.ceil(Math.sqrt(n)); // nothing of that size is allocated
  const limit = `each value must have at most ${most} bytes, all that "${adapter}" can bind:`;
  const build = async (fn: (x: Tensor) => Tensor, ...shape: number[]): Promise<void> =>
    await (await compile(fn).program(placeholder(shape))).build();
  await assertRefused(
    [
      () => build((x) => add(x, 1), n),
      `Cannot run the kernel "add": ${limit} "input f32[${n}]" has ${4 * n}`,
      UnsupportedError,
    ],
    [
      () => build((x) => sum(matmul(x, x, { transposeB: true })), side, 2),
      `${limit} "matmul f32[${side},${side}]" has ${
        4 * side * side
      }; lower the batch size, the resolution or the width`,
      UnsupportedError,
    ],
  );
});

Deno.test("a computation that is refused keeps no memory", async () => {
  const device = await defaultDevice(), leaked = placeholder([1 << 16]);
  const before = device.memory;
  await assertRefused([() => evaluate(sum(multiply(add(leaked, 1), leaked))), "without a value", Error]);
  assertEquals(device.memory, { ...before, peak: device.memory.peak });
});

Deno.test("an argument that is still to be computed is computed first, once", async () => {
  const f = compile((x: Tensor, y: Tensor) => add(x, y)), x = multiply(tensor([1, 2]), 3);
  assertEquals([...await toHost(await f(x, tensor([1, 1])))], [4, 7]);
  const { storage } = x.node;
  assertEquals([...await toHost(await f(x, tensor([2, 2])))], [5, 8]);
  assertEquals(x.node.storage === storage && storage.length, 1);
});

Deno.test("a traced tensor that is used outside of its function is a sentence, however it is used", async () => {
  const sentence =
    "Cannot use a f32[2] without a value: it must be used inside of the function that compile() traced it for";
  let traced = tensor(0), inner = tensor(0);
  const f = compile((x: Tensor) => {
    traced = x;
    grad((y: Tensor) => sum(inner = multiply(y, y)))(x);
    return add(x, 1);
  });
  await f(tensor([1, 2]));
  const g = compile((x: Tensor) => add(x, traced));
  await assertRefused(
    [() => f(traced), sentence, Error],
    [() => toHost(traced), sentence, Error],
    [() => toHost(inner), sentence, Error],
    [() => toHost(add(traced, 1)), sentence, Error],
    [() => evaluate([traced, tensor([1])]), sentence, Error],
    [() => g(tensor([1, 2])), sentence, Error],
    [() => evaluate(placeholder([2])), sentence, Error],
  );
  assertEquals([...await toHost(await f(tensor([3, 4])))], [4, 5]);
});
