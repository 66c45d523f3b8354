import { assertAlmostEquals } from "@std/assert";
import { rotaryEmbedding, type RotaryEmbeddingOptions } from "../../src/ops/rotary_embedding.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { assertClose, randomIds, randomTensor, testOnEachKind } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";

/** The definition by complex numbers: each pair of a head times e^(i angle). */
function reference(
  { data, shape }: Values,
  positions: (row: number) => number,
  { heads = 1, base = 10_000, interleaved = false }: RotaryEmbeddingOptions,
): Float64Array {
  const depth = shape.at(-1)!, width = depth / heads, y = new Float64Array(data.length);
  for (let i = 0; i < data.length; i += width) {
    for (let pair = 0; pair < width / 2; pair++) {
      const angle = positions(Math.floor(i / depth)) / Math.pow(base, 2 * pair / width);
      const [a, b] = interleaved ? [i + 2 * pair, i + 2 * pair + 1] : [i + pair, i + pair + width / 2];
      y[a] = data[a]! * Math.cos(angle) - data[b]! * Math.sin(angle);
      y[b] = data[a]! * Math.sin(angle) + data[b]! * Math.cos(angle);
    }
  }
  return y;
}

testOnEachKind(
  "rotaryEmbedding() turns pairs of columns by their positions, and so does its gradient",
  async (device) => {
    const x = randomTensor([2, 5, 24], 1), T = 5;
    for (const interleaved of [false, true]) {
      const cases: [options: RotaryEmbeddingOptions, first: number][] = [
        [{ interleaved, heads: 3 }, 0],
        [{ interleaved, positions: 4000, base: 500 }, 4000],
      ];
      for (const [options, first] of cases) {
        const rows = (row: number): number => first + row % T;
        await checkOp((x) => rotaryEmbedding(x, options), [x], (x) => reference(x!, rows, options), { device });
      }
      for (const shape of [[5], [2, 5]]) {
        const ids = randomIds(shape, 3, 0, 90, "u32"), options = { interleaved, heads: 2, length: 90 };
        await checkOp(
          (x, positions) => rotaryEmbedding(x!, { ...options, positions: positions! }),
          [x, ids],
          (x, p) => reference(x!, (row) => p!.data[row % p!.data.length]!, options),
          { device },
        );
      }
    }
    const one = randomTensor([1, 2], 4);
    await checkOp((x) => rotaryEmbedding(x, { positions: -3 }), [one], (x) => reference(x!, () => -3, {}), { device });
  },
);

Deno.test("rotaryEmbedding() makes products depend on the distance of positions only", async () => {
  const [q, k] = [randomTensor([1, 16], 1), randomTensor([1, 16], 2)].map((x) => tensor(x.data, x.shape));
  const score = async (i: number, j: number): Promise<number> => {
    const [a, b] = await toHost([rotaryEmbedding(q!, { positions: i }), rotaryEmbedding(k!, { positions: j })]);
    return Array.from(a!).reduce((all, x, n) => all + x * b![n]!, 0);
  };
  const at = await score(3, 10);
  for (const shift of [1, 500, 100_000]) assertAlmostEquals(await score(3 + shift, 10 + shift), at, 1e-5);
});

Deno.test("rotaryEmbedding() at position 0 changes nothing", async () => {
  const x = randomTensor([3, 1, 8], 1);
  assertClose(await toHost(rotaryEmbedding(tensor(x.data, x.shape), { heads: 2 })), x.data, 0, 0);
});

Deno.test("rotaryEmbedding() names what does not fit", async () => {
  const x = placeholder([2, 5, 12]), of = (options: RotaryEmbeddingOptions) => () => rotaryEmbedding(x, options);
  await assertRefused(
    [of({ heads: 4 }), "the 12 columns must be heads of an even number of columns: there are 4 heads"],
    [of({ heads: 5 }), "there are 5 heads"],
    [of({ base: 0 }), "the base must be a positive number: it is 0"],
    [of({ positions: 0.5 }), "the first position must be an integer: it is 0.5"],
    [
      of({ positions: placeholder([5], "u32") }),
      'needs their number as "length", an integer from 1 on: it is undefined',
    ],
    [of({ positions: placeholder([4], "u32"), length: 9 }), "positions must be (i32 or u32)[2,5]: it is u32[4]"],
    [of({ positions: placeholder([5]), length: 9 }), "positions must be", TypeError],
    [
      () => rotaryEmbedding(placeholder([12])),
      "Cannot apply rotaryEmbedding: x must be (f32 or f16)[...,T,D]: it is f32[12]",
    ],
  );
});
