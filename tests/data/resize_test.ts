import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { resizeImage } from "../../src/data/resize.ts";
import type { RgbImage } from "../../src/data/transform.ts";

/** An image whose red values are those of a function; green is 255 less red, blue is 9. */
function image(width: number, height: number, red: (x: number, y: number) => number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set([red(x, y), 255 - red(x, y), 9], (y * width + x) * 3);
  }
  return { data, width, height };
}

function red({ data, width }: RgbImage, y: number): number[] {
  return Array.from({ length: width }, (_, x) => data[(y * width + x) * 3]!);
}

Deno.test("resizeImage() keeps ramps in place along rows and columns, whichever of them shrinks", () => {
  for (
    const [width, height, side] of [[32, 8, 16], [8, 32, 16], [32, 40, 16], [7, 5, 16], [31, 17, 17], [
      16,
      9,
      16,
    ]] as const
  ) {
    const rowRamp = resizeImage(image(width, height, (x) => 7 * x), side);
    const columnRamp = resizeImage(image(width, height, (_, y) => 6 * y), side);
    const edge = Math.ceil(2 * Math.max(1, side / Math.min(width, height)));
    for (let i = edge; i < side - edge; i++) {
      assertAlmostEquals(red(rowRamp, 3)[i]!, 7 * ((i + 0.5) * width / side - 0.5), 1);
      assertAlmostEquals(red(columnRamp, i)[3]!, 6 * ((i + 0.5) * height / side - 0.5), 1);
    }
    for (let i = 0; i < side * side; i++) {
      const pixel = rowRamp.data.subarray(i * 3, i * 3 + 3);
      assert(Math.abs(pixel[0]! + pixel[1]! - 255) <= 1 && pixel[2] === 9, "every channel is resized for itself");
    }
  }
});

Deno.test("resizeImage() has the weights of cubic convolution with a = -0.5", () => {
  // A bright column on a ground of 100, enlarged twice: weights at distances of 0.25, 0.75, 1.25 and 1.75 pixels.
  const [near, half, beside, far] = [0.8671875, 0.2265625, -0.0703125, -0.0234375] as const;
  const bright = image(8, 8, (x) => x === 4 ? 200 : 100), grey = new Array<number>(4).fill(100);
  const lit = [far, beside, half, near, near, half, beside, far].map((weight) => Math.round(100 + 100 * weight));
  assertEquals(red(resizeImage(bright, 16), 5), [...grey, 100, ...lit, 100, 100, 100]);
});

Deno.test("resizeImage() averages over all pixels when it shrinks, and clamps", () => {
  // Halved: the kernel is stretched to distances of 0.25, 0.75, 1.25, 1.75 times two pixels, its weights halved.
  const [near, half, beside, far] = [0.43359375, 0.11328125, -0.03515625, -0.01171875] as const;
  const bright = image(16, 16, (x) => x === 8 ? 250 : 50),
    at = (weight: number): number => Math.round(50 + 200 * weight);
  assertEquals(red(resizeImage(bright, 8), 4), [50, 50, at(far), at(half), at(near), at(beside), 50, 50]);
  assertEquals(Math.max(...red(resizeImage(image(8, 8, (x) => x < 4 ? 0 : 255), 16), 3)), 255);
  assertEquals(Math.min(...red(resizeImage(image(8, 8, (x) => x < 4 ? 0 : 255), 16), 3)), 0);
});

Deno.test("resizeImage() resizes the part that is asked for, and nothing beside it", () => {
  const lit = image(20, 10, (x, y) => x >= 5 && x < 13 && y >= 3 && y < 7 ? 200 : 10);
  const every = (result: RgbImage, value: number): boolean => result.data.every((v, i) => i % 3 !== 0 || v === value);
  for (const side of [3, 4, 5, 20]) {
    assert(every(resizeImage(lit, side, { left: 5, top: 3, width: 8, height: 4 }), 200));
    assert(every(resizeImage(lit, side, { left: 14, top: 3, width: 4, height: 4 }), 10));
  }
});

Deno.test("resizeImage() leaves an image that has the size already, and copies a part of it exactly", () => {
  const original = image(6, 6, (x, y) => 40 * x + y);
  assert(resizeImage(original, 6) === original);
  const part = resizeImage(original, 3, { left: 2, top: 1, width: 3, height: 3 });
  for (let y = 0; y < 3; y++) assertEquals(red(part, y), [81 + y, 121 + y, 161 + y]);
  assertEquals(
    resizeImage(image(1, 1, () => 77), 2).data,
    Uint8Array.of(77, 178, 9, 77, 178, 9, 77, 178, 9, 77, 178, 9),
  );
});
