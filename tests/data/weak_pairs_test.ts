import { assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import type { RegionSource } from "../../src/data/regions/regions.ts";
import { TagIndex, weakPairs } from "../../src/data/regions/weak_pairs.ts";
import { Random } from "../../src/random/random.ts";

const names = ["ring", "star", "cross"];
const texts = ["a red ring", "Two rings and a star.", "crosses are above a star", "nothing at all"];

Deno.test("TagIndex: cosines of counts times 1 + ln((1 + N) / (1 + n)), by hand", () => {
  // N = 4; "ring" is in 2 texts, "star" in 2, "cross" in 1.
  const two = 1 + Math.log(5 / 3), one = 1 + Math.log(5 / 2), index = new TagIndex(texts, names);
  const rings = index.nearest([0], 10);
  assertEquals(rings.map(({ text }) => text), [0, 1]);
  assertAlmostEquals(rings[0]!.similarity, 1, 1e-12);
  assertAlmostEquals(rings[1]!.similarity, Math.SQRT1_2, 1e-12); // one ring and one star, of equal weight
  const both = index.nearest([2, 1, 1], 10); // a cross and two stars
  const length = Math.hypot(one, 2 * two);
  assertEquals(both.map(({ text }) => text), [2, 1]);
  assertAlmostEquals(both[0]!.similarity, (one * one + 2 * two * two) / (length * Math.hypot(one, two)), 1e-12);
  assertAlmostEquals(both[1]!.similarity, 2 * two * two / (length * two * Math.SQRT2), 1e-12);
  assertEquals(index.nearest([1], 1).map(({ text }) => text), [1], "of equal texts the earlier");
});

const source = (classes: Record<string, number[]>, count = 3): RegionSource => ({
  name: "made up",
  width: 1,
  classes: count,
  regions: (image) =>
    Promise.resolve({
      count: classes[image]!.length,
      boxes: new Float32Array(4 * classes[image]!.length),
      features: new Float32Array(classes[image]!.length),
      classes: Uint32Array.from(classes[image]!),
    }),
  close() {},
});

Deno.test("weakPairs(): an image gets its nearest texts, never more than asked for; one that no text names is left out", async () => {
  const images = ["a", "b", "c"].map((path, id) => ({ path, id })), detected = source({ a: [0], b: [2], c: [1, 0] });
  const pairs = await weakPairs(images, detected, texts.slice(0, 2), { names, top: 1 });
  assertEquals([pairs.length, pairs.skipped.map(({ index, file }) => [index, file])], [2, [[1, "b"]]]);
  const drawn = await Promise.all([0, 1].map((i) => pairs.example(i, new Random(1))));
  assertEquals(drawn.map(({ caption, imageId }) => [caption, imageId]), [[texts[0], 0], [texts[1], 2]]);
  const more = await weakPairs(images, detected, texts, { names, top: 2 });
  const captions = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => (await more.example(0, new Random(i))).caption),
  );
  assertEquals(new Set(captions), new Set(texts.slice(0, 2)));
});

Deno.test("weakPairs() refuses regions without names, and texts without tags", async () => {
  const images = [{ path: "a", id: 0 }];
  await assertRejects(
    () => weakPairs(images, source({ a: [0] }, 0), texts, { names }),
    RangeError,
    "there are 0 classes and 3 names",
  );
  await assertRejects(
    () => weakPairs(images, source({ a: [0] }), ["no"], { names }),
    RangeError,
    "at least one text must name a class: none does",
  );
});
