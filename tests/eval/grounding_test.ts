import { assertAlmostEquals, assertEquals } from "@std/assert";
import {
  boxScore,
  chooseBox,
  type GroundedText,
  groundingAccuracy,
  type HeatMap,
  iou,
  judgeMap,
  pointsInto,
} from "../../src/eval/grounding.ts";
import { assertRefused } from "../testing/refusals.ts";

/** Row r, column c of 4 x 6 is 10 r + c. */
const ramp: HeatMap = { values: Array.from({ length: 24 }, (_, i) => 10 * Math.floor(i / 6) + i % 6), size: [4, 6] };

Deno.test("iou() is the overlap's share, and an overlap of a pixel is none", () => {
  assertEquals(iou([0, 0, 10, 10], [0, 0, 10, 10]), 1);
  assertAlmostEquals(iou([0, 0, 4, 4], [2, 1, 4, 4]), 6 / 26, 1e-12);
  assertEquals(iou([0, 0, 4, 4], [5, 5, 2, 2]), 0);
  assertEquals(iou([0, 0, 4, 4], [3, 0, 4, 4]), 0);
  assertAlmostEquals(iou([0, 0, 4, 4], [2.9, 0, 4, 4]), 4.4 / 27.6, 1e-12);
});

Deno.test("boxScore() sums whole pixels within the map, over the root of the whole area", () => {
  assertEquals(boxScore(ramp, [1, 2, 2, 2]), (21 + 22 + 31 + 32) / 2);
  // Columns 4 to 6 and rows 0 to 1: the column 6 does not exist, and the corners are cut.
  assertAlmostEquals(boxScore(ramp, [4.7, 0.2, 2.5, 1.9]), (4 + 5 + 14 + 15) / Math.sqrt(2.5 * 1.9), 1e-12);
  assertAlmostEquals(boxScore(ramp, [-2, -1, 3, 2]), 0, 1e-12);
  assertAlmostEquals(boxScore(ramp, [-2, 3, 4, 9]), (30 + 31) / 6, 1e-12);
  assertEquals(boxScore(ramp, [8, 8, 2, 2]), 0);
  assertEquals(boxScore(ramp, [1, 1, 0, 3]), 0);
});

Deno.test("chooseBox() takes the largest score, the first of equal ones, also where none is positive", async () => {
  assertEquals(chooseBox(ramp, [[0, 0, 2, 2], [4, 2, 2, 2], [4, 2, 2, 2], [0, 0, 6, 4]]), 3);
  assertEquals(chooseBox(ramp, [[0, 0, 2, 2], [4, 2, 2, 2], [4, 2, 2, 2]]), 1);
  const negative = { values: [-3, -1], size: [1, 2] as const };
  assertEquals(chooseBox(negative, [[0, 0, 1, 1], [1, 0, 1, 1]]), 1);
  await assertRefused(
    [() => chooseBox(ramp, []), "there must be at least one"],
    [() => chooseBox({ ...negative, values: [-3, NaN] }, [[0, 0, 1, 1], [1, 0, 1, 1]]), "that of [1,0,1,1] is NaN"],
  );
});

Deno.test("pointsInto() asks for the centre of the largest pixel, the first of equal ones", () => {
  const map = { values: [0, 3, 1, 3, 0, 0], size: [2, 3] as const }; // the largest is at row 0, column 1
  assertEquals(pointsInto(map, [1, 0, 1, 1]), true);
  assertEquals(pointsInto(map, [1.6, 0, 1, 1]), false);
  assertEquals(pointsInto(map, [0, 1, 1, 1]), false);
});

/** A map of 2 x 2 with its weight in one corner of an image of 8 x 8. */
function corner(row: number, column: number): HeatMap {
  return { values: [0, 1, 2, 3].map((i) => i === 2 * row + column ? 1 : 0), size: [2, 2] };
}

Deno.test("groundingAccuracy() has the shares of each split, with what chance and the best choice would give", () => {
  const text = (split: string, detections: GroundedText["detections"]): GroundedText => ({
    size: [8, 8],
    box: [4, 0, 4, 4],
    detections,
    split,
  });
  const right = [4, 0, 4, 3] as const, wrong = [0, 4, 4, 4] as const;
  const texts = [text("val", [wrong, right]), text("val", [wrong, right]), text("val", [wrong]), text("test", [])];
  const maps = [corner(0, 1), corner(1, 0), corner(0, 1), corner(0, 1)];
  const results = texts.map((text, i) => judgeMap(maps[i]!, text));
  assertEquals(results.map(({ chosen }) => chosen), [1, 0, 0, undefined]);
  assertEquals(results.map(({ points }) => points), [true, false, true, true]);
  const accuracy = groundingAccuracy(texts, results);
  assertEquals(accuracy, {
    val: { texts: 3, accuracy: 1 / 3, chance: 1 / 3, ceiling: 2 / 3, pointing: 2 / 3, covered: 0.25 },
    test: { texts: 1, pointing: 1, covered: 0.25 },
  });
});

Deno.test("groundingAccuracy() refuses results that are not of the texts", async () => {
  await assertRefused([
    () => groundingAccuracy([], [{ points: true }]),
    "0 texts must have a result: 1 have",
  ]);
});
