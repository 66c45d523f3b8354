import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { Random } from "../../src/random/random.ts";
import { drawCrop, flipImage, imagePlan } from "../../src/data/transform.ts";

Deno.test("drawCrop() stays in the image, in the share of the area and in the aspect ratio", () => {
  const shares: number[] = [];
  for (let seed = 0; seed < 2000; seed++) {
    const { left, top, width, height } = drawCrop(640, 640, [0.2, 1], new Random(seed));
    assert(left >= 0 && top >= 0 && left + width <= 640 && top + height <= 640);
    assert(width / height > 0.745 && width / height < 1.342);
    shares.push(width * height / 640 ** 2);
  }
  assert(Math.min(...shares) > 0.195 && Math.min(...shares) < 0.22);
  assert(Math.max(...shares) > 0.9 && Math.max(...shares) <= 1);
  assertAlmostEquals(shares.filter((share) => share < 0.4).length / shares.length, 0.2 / 0.8, 0.06);
});

Deno.test("drawCrop() reaches all sides", () => {
  const crops = Array.from({ length: 500 }, (_, seed) => drawCrop(20, 10, [0.2, 0.5], new Random(seed)));
  assert(crops.some((c) => c.left === 0) && crops.some((c) => c.left + c.width === 20));
  assert(crops.some((c) => c.top === 0) && crops.some((c) => c.top + c.height === 10));
});

Deno.test("drawCrop() takes the middle where nothing fits", () => {
  assertEquals(drawCrop(1000, 12, [1, 1], new Random(0)), { left: 492, top: 0, width: 16, height: 12 });
  assertEquals(drawCrop(12, 1000, [1, 1], new Random(0)), { left: 0, top: 492, width: 12, height: 16 });
  assertEquals(drawCrop(1, 1, [0.2, 0.3], new Random(0)), { left: 0, top: 0, width: 1, height: 1 });
});

Deno.test("flipImage() exchanges left and right and keeps the order of the colours", () => {
  const data = Uint8Array.from({ length: 18 }, (_, i) => i);
  assertEquals([...flipImage({ data, width: 3, height: 2 }).data], [
    ...[6, 7, 8, 3, 4, 5, 0, 1, 2],
    ...[15, 16, 17, 12, 13, 14, 9, 10, 11],
  ]);
});

Deno.test("imagePlan() has the paper's defaults for training and nothing random for evaluation", () => {
  const maxPixels = 2 ** 26;
  assertEquals(imagePlan({ resolution: 256, transform: "train" }), {
    ...{ resolution: 256, maxPixels, cropArea: [0.2, 1], flip: true, randAugment: true },
  });
  assertEquals(imagePlan({ resolution: 8, transform: "eval", cropArea: [0.5, 1], flip: true }), {
    ...{ resolution: 8, maxPixels, cropArea: null, flip: false, randAugment: false },
  });
});

Deno.test("imagePlan() refuses unusable numbers", () => {
  assertThrows(
    () => imagePlan({ resolution: 0, transform: "eval" }),
    RangeError,
    '"resolution" must be a whole number of at least 1: it is 0',
  );
  for (const cropArea of [[0, 1], [0.5, 0.2], [0.5, 1.1]] as const) {
    assertThrows(
      () => imagePlan({ resolution: 8, transform: "train", cropArea }),
      RangeError,
      '"cropArea" must be two shares',
    );
  }
});
