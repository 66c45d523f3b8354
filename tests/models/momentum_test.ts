import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  advanceQueues,
  NO_IMAGE,
  type Queues,
  rampedAlpha,
  startQueues,
  updateTeacher,
} from "../../src/models/momentum.ts";
import { compile, data, read, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { randoms } from "./sizes.ts";

Deno.test("startQueues() gives random rows of length 1 and no image ids", () => {
  const { images, texts, ids } = startQueues(12, 8, 5, true);
  for (const { node } of [images, texts]) {
    for (let row = 0; row < 12; row++) {
      assertAlmostEquals(Math.hypot(...node.host!.subarray(row * 8, (row + 1) * 8)), 1, 1e-6);
    }
  }
  assert(images.node.host![0] !== texts.node.host![0]);
  assert(ids!.node.host!.every((id) => id === NO_IMAGE));
  assertEquals(startQueues(12, 8, 5).images.node.host, images.node.host);
  assertEquals(startQueues(12, 8, 5).ids, undefined);
});

Deno.test("advanceQueues() replaces the oldest rows in place and goes round", async () => {
  const advance = compile((queues: Queues, rows: Tensor, ids: Tensor) => advanceQueues(queues, rows, rows, ids), {
    donate: [0],
  });
  const start = startQueues(6, 4, 1, true), first = Float32Array.from(start.images.node.host!);
  let queues: Queues = start;
  const batches = [0, 1, 2, 3].map((n) => randoms([2, 4], n + 10));
  const expected = [...first];
  for (const [n, rows] of batches.entries()) {
    queues = await advance(queues, rows, tensor(Uint32Array.of(2 * n, 2 * n + 1)));
    expected.splice((n % 3) * 8, 8, ...rows.node.host!);
  }
  const [images, texts, pointer, ids] = await read([queues.images, queues.texts, queues.pointer, queues.ids!]);
  assertEquals([...images!], expected);
  assertEquals([...texts!].slice(0, 24), expected);
  assertEquals([...pointer!], [2]);
  assertEquals([...ids!], [6, 7, 2, 3, 4, 5]);
  advance.destroy();
});

Deno.test("advanceQueues() refuses a length that is no multiple of the batch", () => {
  const rows = randoms([4, 8], 1);
  assertThrows(() => advanceQueues(startQueues(10, 8, 1), rows, rows), RangeError, "it is 10");
});

Deno.test("updateTeacher() moves each copy towards its parameter", async () => {
  const update = compile((copy: { a: Tensor }, params: { a: Tensor; other: Tensor }) =>
    updateTeacher(copy, params, 0.9)
  );
  const { a } = await update({ a: tensor([1, 2]) }, { a: tensor([11, -8]), other: tensor([5]) });
  assertEquals([...await data(a)].map((x) => Math.round(x * 1e5) / 1e5), [2, 1]);
  assertThrows(() => updateTeacher({ b: tensor([1]) }, { a: tensor([1]) }), Error, '"b"');
  update.destroy();
});

Deno.test("rampedAlpha() rises in the first epoch and then stays", () => {
  assertEquals([0, 50, 100].map((step) => rampedAlpha(0, step, 100)), [0, 0.2, 0.4]);
  assertEquals(rampedAlpha(1, 0, 100), 0.4);
  assertEquals(rampedAlpha(3, 7, 100, 0.3), 0.3);
});
