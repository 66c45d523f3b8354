import { assertEquals, assertNotEquals } from "@std/assert";
import { foldStream, stepKey } from "../../src/random/keys.ts";

Deno.test("stepKey() is a function of seed, step and micro-batch, the same as in earlier versions", () => {
  assertEquals([...stepKey(7, 5, 2)], [2852573114, 365642196]);
  assertEquals(stepKey(7 + 2 ** 32, 5, 2), stepKey(7, 5, 2));
  for (const [seed, step, micro] of [[8, 5, 2], [7, 6, 2], [7, 5, 3]] as const) {
    assertNotEquals(stepKey(seed, step, micro), stepKey(7, 5, 2));
  }
});

Deno.test("foldStream() gives the streams of earlier versions", () => {
  const path = [0, 3, 7].reduce((streams, data) => [...streams, foldStream(streams.at(-1)!, data)], [0]);
  assertEquals(path, [0, 1364076727, 2270391909, 419008946]);
});
