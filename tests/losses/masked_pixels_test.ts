import { assertAlmostEquals, assertEquals } from "@std/assert";
import { maskedPixelLoss } from "../../src/losses/masked_pixels.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { randomTensor } from "../testing/reference.ts";
import { valuesOf } from "../recipes/squares.ts";

const lossOf = async (painted: number[], patches: number[], hidden: number[], shape: number[]): Promise<number> => {
  const values = await valuesOf((a: Tensor, b: Tensor, m: Tensor) => ({ loss: maskedPixelLoss(a, b, m) }), [
    tensor(painted, shape),
    tensor(patches, shape),
    tensor(hidden, shape.slice(0, 2)),
  ]);
  return values.get("loss")![0]!;
};

Deno.test("maskedPixelLoss() by hand: hidden patches count, normalised by their mean and unbiased variance", async () => {
  // 1, 3: mean 2, variance 2, so -1 / sqrt 2 and 1 / sqrt 2; painted 0 and sqrt 2: errors 1/2 and 1/2.
  const painted = [0, Math.SQRT2, 9, 9, 0, 0], patches = [1, 3, 5, 5, 0, 4];
  assertAlmostEquals(await lossOf(painted, patches, [1, 0, 0], [1, 3, 2]), 0.5, 1e-5);
  // 0, 4: -1 / sqrt 2 and 1 / sqrt 2 too; painted 0 and 0: 1/2 and 1/2.
  assertAlmostEquals(await lossOf(painted, patches, [1, 0, 1], [1, 3, 2]), 0.5, 1e-5);
  // An even patch is 0 everywhere: (81 + 81) / 2.
  assertAlmostEquals(await lossOf(painted, patches, [0, 1, 0], [1, 3, 2]), 81, 1e-3);
  assertEquals(await lossOf(painted, patches, [0, 0, 0], [1, 3, 2]), 0);
});

Deno.test("maskedPixelLoss() is float64's", async () => {
  const [b, p, f] = [2, 3, 5], patches = randomTensor([b, p, f], 1).data as Float32Array, hidden = [1, 0, 1, 1, 0, 0];
  await checkOp(
    (x) => maskedPixelLoss(x, tensor(patches, [b, p, f]), tensor(hidden, [b, p])),
    [randomTensor([b, p, f], 2)],
    (x) => {
      const losses = hidden.map((own, row) => {
        const values = [...patches.slice(row * f, (row + 1) * f)], mean = values.reduce((a, v) => a + v) / f;
        const variance = values.reduce((a, v) => a + (v - mean) ** 2, 0) / (f - 1);
        const errors = values.map((v, i) => (x.data[row * f + i]! - (v - mean) / Math.sqrt(variance + 1e-6)) ** 2);
        return own * errors.reduce((a, v) => a + v) / f;
      });
      return [losses.reduce((a, v) => a + v) / 3];
    },
  );
});
