import { assert, assertEquals } from "@std/assert";
import { randomKey } from "../../src/ops/random.ts";
import { ascend, startPerturbation } from "../../src/optim/perturbation.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";

/** Squared length of each example. */
const lengths = (x: ArrayLike<number>, batch: number): number[] => {
  const each = x.length / batch;
  return Array.from(
    { length: batch },
    (_, b) => Math.hypot(...Array.from({ length: each }, (_, i) => x[b * each + i]!)),
  );
};

/** Algorithm 1's step in float64. */
function reference(delta: ArrayLike<number>, slope: ArrayLike<number>, batch: number, stepSize: number, ball: number) {
  const each = delta.length / batch, norms = lengths(slope, batch);
  const moved = Array.from(delta, (d, i) => d + stepSize * slope[i]! / Math.max(norms[Math.floor(i / each)]!, 1e-8));
  const after = lengths(moved, batch);
  return moved.map((d, i) => ball ? d * Math.min(1, ball / after[Math.floor(i / each)]!) : d);
}

Deno.test("ascend() is float64's step and stays in the ball, example by example", async () => {
  for (const [shape, scale] of [[[3, 5, 7], 1], [[1, 2], 1e-4], [[4, 1, 1], 30], [[2, 33, 65], 1e15]] as const) {
    for (const [stepSize, ball] of [[0.3, 0], [0.3, 0.5], [2, 0.01], [1e-3, 100]] as const) {
      const [delta, slope] = [randomTensor(shape, 1, 0.3), randomTensor(shape, 2, scale)], [batch] = shape;
      const run = compile((d: Tensor, g: Tensor) => ascend(d, g, { stepSize, ball }));
      const [found] = await toHost([await run(tensor(delta.data, shape), tensor(slope.data, shape))]);
      run.destroy();
      assertClose(found!, reference(delta.data, slope.data, batch, stepSize, ball), 1e-5, 1e-7);
      if (ball) assert(lengths(found!, batch).every((n) => n <= ball * (1 + 1e-6)), `${lengths(found!, batch)}`);
    }
  }
});

Deno.test("ascend(): an example without a gradient stays where it is, and a perturbation of 0 in any ball", async () => {
  const run = compile((d: Tensor, g: Tensor) => ascend(d, g, { stepSize: 1, ball: 9 }));
  const [found] = await toHost([await run(tensor([[1, 2], [0, 0], [3, 4]]), tensor([[0, 0], [0, 0], [3, 4]]))]);
  run.destroy();
  assertClose(found!, [1, 2, 0, 0, 3.6, 4.8], 1e-6);
});

Deno.test("startPerturbation() is uniform in the ball, of both signs, another one for each key; 0 without a ball", async () => {
  const shape = [4, 6, 10], run = compile((words: Tensor) => startPerturbation(shape, 0.5, randomKey(words)));
  const of = async (seed: number): Promise<Float32Array> =>
    (await toHost([await run(tensor(Uint32Array.of(seed, 0)))]))[0] as Float32Array;
  const [a, b] = [await of(1), await of(2)], most = 0.5 / Math.sqrt(60);
  run.destroy();
  assert(a.every((x) => Math.abs(x) <= most) && Math.max(...a) > 0.9 * most && Math.min(...a) < -0.9 * most);
  assert(lengths(a, 4).every((n) => n > 0.2 && n <= 0.5));
  assert(a.some((x, i) => x !== b[i]));
  const zeros = compile((words: Tensor) => startPerturbation(shape, 0, randomKey(words)));
  const [none] = await toHost([await zeros(tensor(Uint32Array.of(1, 0)))]);
  zeros.destroy();
  assertEquals(new Set(none as Float32Array), new Set([0]));
});
