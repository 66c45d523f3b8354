import { assertEquals } from "@std/assert";
import { alongChains, nextOrder, shuffleChunks, subQueueSizes } from "../../src/grit/order.ts";
import { assertRefused } from "../testing/refusals.ts";

const ints = (...items: number[]) => Int32Array.from(items);

Deno.test("subQueueSizes() ends with a shorter rest, and never with an empty one", () => {
  assertEquals([...subQueueSizes(10, 4)], [4, 4, 2]);
  assertEquals([...subQueueSizes(8, 4)], [4, 4]);
  assertEquals([...subQueueSizes(3, 4)], [3]);
});

Deno.test("alongChains() orders each sub-queue along its own chain", () => {
  assertEquals([...alongChains(ints(10, 11, 12, 13, 14), [3, 2], [[2, 0, 1], [1, 0]])], [12, 10, 11, 14, 13]);
});

Deno.test("alongChains() refuses a chain that is not a permutation", async () => {
  const run = (chain: number[]) => () => alongChains(ints(10, 11, 12, 13), [2, 2], [[0, 1], chain]);
  await assertRefused(
    [run([1, 1]), "the chain of sub-queue 1: entry 1 is 1 a second time"],
    [run([0, 2]), "entry 1 must be one of 0..1: it is 2"],
    [run([0]), "it must have 2 entries: it has 1"],
  );
});

Deno.test("shuffleChunks() moves mini-batches and leaves their content", () => {
  assertEquals([...shuffleChunks(ints(0, 1, 2, 3, 4, 5), 2, [2, 0, 1])], [4, 5, 0, 1, 2, 3]);
});

Deno.test("nextOrder() trains the tail first and cuts one chunk only", () => {
  assertEquals([...nextOrder(ints(90, 91), ints(0, 1, 2, 3, 4, 5), 3)], [90, 91, 3, 0, 1, 2, 4, 5]);
  assertEquals([...nextOrder(ints(90, 91), ints(0, 1, 2), 3)], [90, 91, 0, 1, 2]);
  assertEquals([...nextOrder(ints(), ints(0, 1, 2, 3), 2)], [0, 1, 2, 3]);
});
