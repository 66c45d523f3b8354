import { assertEquals, assertThrows } from "@std/assert";
import { rank, recallFromScores, recallOf, UNSCORED } from "../../src/eval/recall.ts";

const own = (...positions: number[]) => (p: number): boolean => positions.includes(p);

Deno.test("rank() counts the better candidates of other queries, for the best own one", () => {
  assertEquals(rank([0.1, 0.9, 0.5, 0.7], own(2)), 2);
  assertEquals(rank([0.1, 0.9, 0.5, 0.7], own(0, 3)), 1);
  assertEquals(rank([0.1, 0.9, 0.5, 0.7], own(1, 3)), 0);
  assertEquals(rank([0.1, 0.9, 0.8, 0.7], own(1, 2)), 0, "an own candidate does not stand in the way of another");
});

Deno.test("rank() counts a half for each foreign candidate with the same score", () => {
  assertEquals(rank([0.5, 0.5, 0.1], own(0)), 0.5);
  assertEquals(rank([0.5, 0.9, 0.5, 0.5], own(0, 2)), 1.5);
  assertEquals(rank(new Float32Array(41), own(7)), 20, "a collapsed model finds nothing");
});

Deno.test("rank() gives nothing for own candidates that are not scored, and refuses what is not a number", () => {
  assertEquals(rank([UNSCORED, 3, UNSCORED], own(0)), Infinity);
  assertThrows(() => rank([0, NaN], own(0)), RangeError, "candidate 1 has NaN");
});

Deno.test("recallOf() gives percentages and their mean", () => {
  assertEquals(recallOf([0, 1, 5, Infinity]), { r1: 25, r5: 50, r10: 75, mean: 50 });
});

Deno.test("recallFromScores() takes the best of several texts of an image, and each text by itself", () => {
  const imageOf = [0, 1, 0];
  const i2t = Float32Array.of(1, 2, 3, 3, 2, 1), t2i = Float32Array.of(2, 1, 2, 1, 5, 4);
  const recalls = recallFromScores(i2t, t2i, imageOf);
  assertEquals(recalls.i2t, { r1: 50, r5: 100, r10: 100, mean: 250 / 3 });
  assertEquals(recalls.t2i, { r1: 200 / 3, r5: 100, r10: 100, mean: (200 / 3 + 200) / 3 });
  assertEquals(recalls.mean, (recalls.i2t.mean + recalls.t2i.mean) / 2);
});
