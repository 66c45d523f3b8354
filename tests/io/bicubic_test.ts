import { assert, assertEquals } from "@std/assert";
import { resizeBicubic } from "../../src/io/bicubic.ts";
import { randomTensor } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";

/** The kernel of the cubic convolution with a = -0.75, as a function of the distance (Keys 1981, equation 15). */
function kernel(x: number): number {
  const t = Math.abs(x), a = -0.75;
  if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1;
  return t < 2 ? a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a : 0;
}

/** Every point from all points of the grid, which repeats its border. */
function plain(
  grid: ArrayLike<number>,
  [rows, columns]: [number, number],
  [height, width]: [number, number],
): number[] {
  const within = (at: number, end: number): number => Math.min(Math.max(at, 0), end - 1);
  return Array.from({ length: height * width }, (_, i) => {
    const y = (Math.floor(i / width) + 0.5) * rows / height - 0.5, x = (i % width + 0.5) * columns / width - 0.5;
    let sum = 0;
    for (let r = -3; r < rows + 3; r++) {
      for (let c = -3; c < columns + 3; c++) {
        sum += kernel(y - r) * kernel(x - c) * grid[within(r, rows) * columns + within(c, columns)]!;
      }
    }
    return sum;
  });
}

Deno.test("resizeBicubic() is a cubic convolution, of grids that grow or shrink, each side by itself", () => {
  for (const [from, to] of [[[3, 5], [7, 4]], [[1, 4], [3, 9]], [[6, 2], [5, 1]], [[4, 4], [4, 4]]] as const) {
    const { data } = randomTensor([from[0] * from[1]], 7), expected = plain(data, [...from], [...to]);
    const worst = Math.max(...resizeBicubic(data, from, to).map((x, i) => Math.abs(x - expected[i]!)));
    assert(worst < 1e-6, `${from} to ${to}: differs by ${worst}`);
  }
});

Deno.test("resizeBicubic() keeps channels apart", () => {
  const one = randomTensor([12], 1).data, two = randomTensor([12], 2).data;
  const both = Float32Array.from({ length: 24 }, (_, i) => (i % 2 ? two : one)[i >> 1]!);
  const resized = resizeBicubic(both, [3, 4], [5, 2], 2);
  assertEquals(resized.filter((_, i) => i % 2 === 0), resizeBicubic(one, [3, 4], [5, 2]));
  assertEquals(resized.filter((_, i) => i % 2 === 1), resizeBicubic(two, [3, 4], [5, 2]));
});

Deno.test("resizeBicubic() refuses sizes that do not fit", async () => {
  await assertRefused(
    [() => resizeBicubic([1, 2, 3], [2, 2], [4, 4]), "2 x 2 x 1 numbers must be given: there are 3"],
    [() => resizeBicubic([1], [1, 1], [0, 2]), "the new size must be positive integers: it is 0 x 2"],
  );
});
