import { assertEquals, assertThrows } from "@std/assert";
import { walk } from "../../src/grit/walk.ts";
import { randomPairs } from "./features.ts";

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

Deno.test("walk() takes image-to-text and text-to-image links in turn", () => {
  // From image 0 the best text is 2; from text 2 the best unvisited image is 3; from image 3 only pair 1 is left.
  const image = { data: Float32Array.of(1, 0, 0, 1, 0, 1, 0.6, 0.8), width: 2 };
  const text = { data: Float32Array.of(0, 1, 0, 1, 1, 0, 0, -1), width: 2 };
  assertEquals([...walk(image, text, range(4), 0)], [0, 2, 3, 1]);
});

Deno.test("walk() visits every pair once, from any start", () => {
  for (const size of [1, 2, 3, 8, 17]) {
    const { image, text } = randomPairs(size, 8, 3, size);
    for (const start of range(size)) {
      const chain = walk(image, text, range(size), start);
      assertEquals(chain[0], start);
      assertEquals([...chain].sort((a, b) => a - b), range(size));
    }
  }
});

Deno.test("walk() takes the lowest position of equal similarities", () => {
  const same = { data: new Float32Array(6 * 2).fill(0.5), width: 2 };
  assertEquals([...walk(same, same, range(6), 3)], [3, 0, 1, 2, 4, 5]);
});

Deno.test("walk() sees the listed rows only and returns their places in the list", () => {
  const { image, text } = randomPairs(12, 8, 20, 1);
  const rows = [9, 2, 11, 4];
  const pick = ({ data, width }: typeof image) => ({
    data: Float32Array.from(rows.flatMap((r) => [...data.subarray(r * width, (r + 1) * width)])),
    width,
  });
  assertEquals(walk(image, text, rows, 2), walk(pick(image), pick(text), range(4), 2));
});

Deno.test("walk() refuses a start outside the sub-queue", () => {
  const { image, text } = randomPairs(4, 8, 2, 1);
  assertThrows(() => walk(image, text, range(4), 4), RangeError, "must be one of 0..3: it is 4");
});
