import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { albefSpec } from "../../src/models/albef.ts";
import {
  advanceQueues,
  type KeyQueues,
  MOMENTUM_PARTS,
  momentumEncoders,
  NO_IMAGE,
  startQueues,
} from "../../src/models/momentum.ts";
import { initialize } from "../../src/nn/spec.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { config, randoms } from "./sizes.ts";

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

Deno.test("startQueues() draws nothing before it is needed: these queues would be 32 GiB", () => {
  const { images, texts } = startQueues(2 ** 24, 256, 5);
  assertEquals([images.shape, texts.shape], [[2 ** 24, 256], [2 ** 24, 256]]);
});

/** The queues after batches of `count` rows, against a ring of rows on the host. */
async function checkRing(length: number, count: number, batches: number): Promise<void> {
  const advance = compile((queues: KeyQueues, rows: [Tensor, Tensor], ids: Tensor) => {
    return advanceQueues(queues, ...rows, ids);
  }, { donate: [0] });
  const start = startQueues(length, 4, 1, true);
  const images = [...start.images.node.host!], texts = [...start.texts.node.host!], ids = [...start.ids!.node.host!];
  let queues: KeyQueues = start;
  for (let n = 0; n < batches; n++) {
    const rows = [10, 50].map((seed) => randoms([count, 4], seed + n)) as [Tensor, Tensor];
    const own = Array.from({ length: count }, (_, i) => n * count + i);
    queues = await advance(queues, rows, tensor(Uint32Array.from(own)));
    own.forEach((id, i) => {
      const row = id % length, values = rows.map(({ node }) => node.host!.subarray(i * 4, i * 4 + 4));
      images.splice(row * 4, 4, ...values[0]!);
      texts.splice(row * 4, 4, ...values[1]!);
      ids[row] = id;
    });
    const found = await toHost([queues.images, queues.texts, queues.pointer, queues.ids!]);
    assertEquals(found.map((values) => [...values]), [images, texts, [(n + 1) * count % length], ids]);
  }
  advance.destroy();
}

Deno.test("advanceQueues() replaces the oldest rows in place and goes round", async () => {
  await checkRing(6, 2, 4);
});

Deno.test("advanceQueues() goes round in the middle of a batch", async () => {
  await checkRing(7, 3, 6);
});

Deno.test("advanceQueues() takes a batch as large as the queue, and refuses a larger one", async () => {
  await checkRing(4, 4, 2);
  const rows = randoms([11, 8], 1);
  assertThrows(
    () => advanceQueues(startQueues(10, 8, 1), rows, rows),
    RangeError,
    "the mini-batch of 11 (--key-queue): they hold 10",
  );
});

Deno.test("momentumEncoders() are the parts that have a copy, as they are", () => {
  const params = initialize(albefSpec(config), 2), copies = momentumEncoders(params);
  assertEquals(Object.keys(copies).sort(), [...MOMENTUM_PARTS].sort());
  for (const part of MOMENTUM_PARTS) assert(copies[part] === params[part]);
});
