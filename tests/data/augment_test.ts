import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import {
  autoContrast,
  brightness,
  equalize,
  OPERATIONS,
  randAugment,
  rotate,
  sharpness,
  warp,
} from "../../src/data/augment.ts";
import { Random } from "../../src/random/random.ts";
import type { RgbImage } from "../../src/data/transform.ts";

/** An image whose red values are given; green is 255 less red, blue is 7. */
function image(rows: number[][]): RgbImage {
  const data = Uint8Array.from(rows.flat().flatMap((value) => [value, 255 - value, 7]));
  return { data, width: rows[0]!.length, height: rows.length };
}

function channel({ data, width }: RgbImage, c: number): number[][] {
  const values = [...data].filter((_, i) => i % 3 === c);
  return Array.from({ length: values.length / width }, (_, y) => values.slice(y * width, (y + 1) * width));
}

const red = (result: RgbImage): number[][] => channel(result, 0);

/** Red values that an operation gives, over the signs that it may draw. */
function outcomes(name: string, rows: number[][]): string[] {
  const results = Array.from({ length: 20 }, (_, seed) => red(OPERATIONS[name]!(image(rows), new Random(seed))));
  return [...new Set(results.map((r) => JSON.stringify(r)))].sort();
}

function expected(...results: number[][][]): string[] {
  return results.map((r) => JSON.stringify(r)).sort();
}

Deno.test("RandAugment has the ten operations of the originals", () => {
  assertEquals(Object.keys(OPERATIONS).sort(), [
    ...["autoContrast", "brightness", "equalize", "identity", "rotate", "sharpness"],
    ...["shearX", "shearY", "translateX", "translateY"],
  ]);
  assertEquals(outcomes("identity", [[1, 2]]), expected([[1, 2]]));
});

Deno.test("autoContrast() stretches every channel for itself", () => {
  const result = autoContrast(image([[10, 20], [30, 60]]));
  assertEquals(red(result), [[0, 51], [102, 255]]);
  assertEquals(channel(result, 1), [[255, 204], [153, 0]]);
  assertEquals(channel(result, 2), [[7, 7], [7, 7]], "a constant channel stays");
});

Deno.test("equalize() spreads the values by how frequent they are", () => {
  // 512 times 10, 256 times 20, 256 times 30: step = floor(768 / 255) = 3, from floor(3 / 2) = 1.
  const rows = Array.from({ length: 32 }, (_, y) => new Array<number>(32).fill(y < 16 ? 10 : y < 24 ? 20 : 30));
  const result = red(equalize(image(rows)));
  assertEquals([result[0]![0], result[16]![0], result[24]![31]], [0, Math.floor((1 + 512) / 3), 255]);
  assertEquals(red(equalize(image([[3, 9]]))), [[3, 9]], "a step of zero changes nothing");
});

Deno.test("brightness is multiplied by 1.36, rounded down and cut at 255", () => {
  assertEquals(outcomes("brightness", [[0, 1, 25, 100, 187, 188]]), expected([[0, 1, 34, 136, 254, 255]]));
  assertEquals(red(brightness(image([[0, 11, 200]]), 0.5)), [[0, 5, 100]]);
});

Deno.test("sharpness goes 1.36 times away from the smoothed image and leaves the edge", () => {
  const rows = [[10, 10, 10, 10], [10, 100, 10, 10], [10, 10, 10, 10]];
  // (5 * 100 + 8 * 10) / 13 = 44.6 -> 45, 45 + 1.36 * 55 = 119.8; (5 * 10 + 7 * 10 + 100) / 13 = 16.9 -> 17, 17 - 1.36 * 7 = 7.48.
  assertEquals(outcomes("sharpness", rows), expected([[10, 10, 10, 10], [10, 119, 7, 10], [10, 10, 10, 10]]));
  assertEquals(red(sharpness(image([[0, 0, 0], [0, 255, 0], [0, 0, 0]]), 2))[1]![1], 255, "cut at 255");
});

Deno.test("shears move a row or column by 0.21 of its number, grey outside", () => {
  const rows = [[0, 100, 200], [0, 100, 200]];
  const forth = [0.21 * 100, 100 + 0.21 * 100, 0.79 * 200 + 0.21 * 128].map(Math.round);
  const back = [0.21 * 128, 0.79 * 100, 0.79 * 200 + 0.21 * 100].map(Math.round);
  assertEquals(outcomes("shearX", rows), expected([rows[0]!, forth], [rows[0]!, back]));
  const columns = (second: number[]): number[][] => [0, 1, 2].map((y) => [rows[0]![y]!, second[y]!]);
  assertEquals(outcomes("shearY", columns(rows[1]!)), expected(columns(forth), columns(back)));
});

Deno.test("translations move by 7 pixels, grey outside", () => {
  const row = [0, 10, 20, 30, 40, 50, 60, 70, 80], grey = new Array<number>(7).fill(128);
  const moved: [number[], number[]] = [[70, 80, ...grey], [...grey, 0, 10]];
  assertEquals(outcomes("translateX", [row]), expected([moved[0]], [moved[1]]));
  const column = (values: readonly number[]): number[][] => values.map((v) => [v]);
  assertEquals(outcomes("translateY", column(row)), expected(column(moved[0]), column(moved[1])));
});

Deno.test("rotate() turns counter-clockwise around (width / 2, height / 2)", () => {
  const rows = [[1, 2, 3], [4, 5, 6], [7, 8, 9]];
  assertEquals(red(rotate(image(rows), Math.PI / 2)), [[128, 128, 128], [3, 6, 9], [2, 5, 8]]);
  assertEquals(red(rotate(image(rows), 0)), rows);
});

Deno.test("rotation is by 21 degrees either way", () => {
  const rows = Array.from({ length: 9 }, (_, y) => Array.from({ length: 9 }, (_, x) => 10 * x + 7 * y));
  const turned = [1, -1].map((s) => red(rotate(image(rows), s * 21 * Math.PI / 180)));
  assertEquals(outcomes("rotate", rows), expected(turned[0]!, turned[1]!));
  // In a ramp, the value at (x, y) is that of the place it comes from: (4.5 + cos dx - sin dy, 4.5 + sin dx + cos dy).
  const cos = Math.cos(21 * Math.PI / 180), sin = Math.sin(21 * Math.PI / 180), dx = 0.5, dy = -1.5;
  const from = 10 * (4.5 + cos * dx - sin * dy) + 7 * (4.5 + sin * dx + cos * dy);
  assertAlmostEquals(turned[0]![3]![5]!, from, 0.5);
});

Deno.test("warp() is bilinear and mixes with grey at the border", () => {
  assertEquals(red(warp(image([[0, 100], [40, 200]]), 1, 0, 0.5, 0, 1, 0.25)), [
    [Math.round(0.75 * 50 + 0.25 * 120), Math.round(0.75 * 114 + 0.25 * 164)],
    [Math.round(0.75 * 120 + 0.25 * 128), Math.round(0.75 * 164 + 0.25 * 128)],
  ]);
});

Deno.test("randAugment() leaves (1 - 0.5 * 0.9)^2 of the images as they are, and never its argument changed", () => {
  const rows = Array.from({ length: 20 }, (_, y) => Array.from({ length: 20 }, (_, x) => 40 + (x * x + 3 * y) % 90));
  const before = image(rows), original = before.data.slice();
  let same = 0;
  const runs = 2000;
  for (let seed = 0; seed < runs; seed++) {
    const { data } = randAugment(before, new Random(seed));
    if (data.every((value, i) => value === original[i])) same++;
  }
  assertEquals(before.data, original);
  assertAlmostEquals(same / runs, 0.55 ** 2, 0.04);
});

Deno.test("randAugment() depends on the random numbers alone", () => {
  const rows = Array.from({ length: 12 }, (_, y) => Array.from({ length: 12 }, (_, x) => 50 + 9 * x + 2 * y));
  const run = (seed: number) => red(randAugment(image(rows), new Random(seed)));
  for (let seed = 0; seed < 20; seed++) assertEquals(run(seed), run(seed));
  assert(new Set(Array.from({ length: 60 }, (_, seed) => JSON.stringify(run(seed)))).size > 15);
});
