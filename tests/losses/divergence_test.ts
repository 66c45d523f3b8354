import { assertAlmostEquals, assertEquals } from "@std/assert";
import { divergence, symmetricKl } from "../../src/losses/divergence.ts";
import { compile, item, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { randomTensor } from "../testing/reference.ts";

/** KL(p || q) + KL(q || p) of two lists of logits in float64, by its definition. */
function klOf(a: readonly number[], b: readonly number[]): number {
  const logShares = (x: readonly number[]): number[] => {
    const top = Math.max(...x), lse = top + Math.log(x.reduce((n, v) => n + Math.exp(v - top), 0));
    return x.map((v) => v - lse);
  };
  const [p, q] = [logShares(a), logShares(b)];
  return p.reduce((n, x, i) => n + (Math.exp(x) - Math.exp(q[i]!)) * (x - q[i]!), 0);
}

const rowsOf = ({ data, shape }: Values): number[][] => {
  const width = shape.at(-1)!;
  return Array.from({ length: data.length / width }, (_, r) => [...data.slice(r * width, (r + 1) * width)]);
};

/** Logits queries keys^T * scale + bias. */
function whole(queries: Values, keys: Values, bias: Values, scale: Values): number[][] {
  return rowsOf(queries).map((x) =>
    rowsOf(keys).map((k, i) => x.reduce((n, v, d) => n + v * k[d]!, 0) * scale.data[0]! + bias.data[i]!)
  );
}

Deno.test("symmetricKl() of whole logits and its gradients are float64's, in tiles of any size", async () => {
  for (const [shape, tile] of [[[2, 3, 5], 15], [[7, 2], 2 ** 20], [[1, 33], 1], [[5, 1], 4]] as const) {
    await checkOp(
      (a, b) => symmetricKl(a, b, { tile }),
      [randomTensor(shape, 1, 3), randomTensor(shape, 2, 3)],
      (a, b) => rowsOf(a).map((row, i) => klOf(row, rowsOf(b)[i]!)),
      { gradientTolerance: 2e-3, edges: { domain: (x) => Math.max(-20, Math.min(20, x)) } },
    );
  }
});

Deno.test("symmetricKl() of logits in parts and its gradients are float64's", async () => {
  const [rows, keys, width] = [5, 7, 3], scale = { data: Float32Array.of(1.5), shape: [] };
  const parts = (seed: number) =>
    [[rows, width], [keys, width], [keys]].map((shape, i) => randomTensor(shape, seed + i));
  for (const tile of [14, 2 ** 20]) {
    await checkOp(
      (q, k, bias, q2, k2, bias2, scale) =>
        symmetricKl({ queries: q, keys: k, bias, scale }, { queries: q2, keys: k2, bias: bias2, scale }, { tile }),
      [...parts(1), ...parts(11), scale],
      (...[q, k, bias, q2, k2, bias2, scale]) => {
        const [a, b] = [whole(q!, k!, bias!, scale!), whole(q2!, k2!, bias2!, scale!)];
        return a.map((row, i) => klOf(row, b[i]!));
      },
      { gradientTolerance: 2e-3, edges: { domain: (x) => Math.max(-2, Math.min(2, x)) } },
    );
  }
});

Deno.test("symmetricKl() of equal logits is 0, of close ones as small as it is, of far ones finite", async () => {
  const run = compile((a: Tensor, b: Tensor) => symmetricKl(a, b));
  const of = async (a: number[], b: number[]): Promise<number> => await item(await run(tensor([a]), tensor([b])));
  assertEquals(await of([3, -1e4, 7], [3, -1e4, 7]), 0);
  assertAlmostEquals(await of([1, 2, 3], [1, 2, 3.001]) / klOf([1, 2, 3], [1, 2, 3.001]), 1, 1e-3);
  assertAlmostEquals(await of([0, 1e4, 0], [0, 0, 1e4]), 2e4, 1);
  run.destroy();
});

Deno.test("divergence() is the mean over rows that count, by the terms' weights; 0 where none counts", async () => {
  const run = compile((a: Tensor, b: Tensor, counts: Tensor, two: Tensor, other: Tensor) =>
    divergence([{ logits: a, counts, weight: 0.5 }, { logits: two, weight: 3 }], [{ logits: b }, { logits: other }])
  );
  const [a, b] = [[[1, 2], [0, 0], [3, -1]], [[2, 2], [5, 0], [1, 1]]], two = [[[1, 0, 2]], [[0, 0, 1]]];
  const of = async (counts: number[]): Promise<number> =>
    await item(await run(tensor(a), tensor(b), tensor(counts), tensor(two[0]!), tensor(two[1]!)));
  const second = 3 * klOf(two[0]![0]!, two[1]![0]!), [first, , third] = a.map((row, i) => klOf(row, b[i]!));
  assertAlmostEquals(await of([1, 0, 0.5]), 0.5 * (first! + 0.5 * third!) / 1.5 + second, 1e-5);
  assertAlmostEquals(await of([0, 0, 0]), second, 1e-5);
  run.destroy();
});
