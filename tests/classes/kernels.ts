/** What of kernels differs between classes of adapters, on small shapes; run by classes_test.ts in a process of each class. */
import { assert, assertEquals } from "@std/assert";
import { defaultDevice, openDevice, sharingLanes } from "../../src/gpu/device.ts";
import { attention } from "../../src/ops/attention.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { matmulVariants, overrideMatmulChoice } from "../../src/ops/matmul_variants.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { randomTensor } from "../testing/reference.ts";

const random = (shape: number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape);

Deno.test("the class is the one that was asked for", async () => {
  const { profile } = await defaultDevice(), wide = Deno.env.get("LP_NATIVE_VECTOR_WIDTH") === "512";
  assertEquals(sharingLanes(profile), wide ? 16 : profile.subgroups ? 8 : 0);
});

Deno.test("matmul() in all variants of the class equals a float64 product", async () => {
  const { profile } = await defaultDevice(), [m, n, k] = [70, 132, 37];
  const a = randomTensor([m, k], 1), b = randomTensor([k, n], 2);
  for (const variant of matmulVariants(profile)) {
    overrideMatmulChoice(() => ({ variant, splits: 1 }));
    const got = await toHost(
      await compile((a: Tensor, b: Tensor) => matmul(a, b))(tensor(a.data, a.shape), tensor(b.data, b.shape)),
    );
    overrideMatmulChoice(undefined);
    for (let i = 0; i < m * n; i++) {
      let expected = 0;
      for (let j = 0; j < k; j++) expected += a.data[Math.floor(i / n) * k + j]! * b.data[j * n + i % n]!;
      assert(Math.abs(got[i]! - expected) < 1e-5, `${variant.name}, ${i}: ${got[i]} for ${expected}`);
    }
  }
});

Deno.test("attention() and its gradients, with mask and dropout, equal those of the kernels for GPUs", async () => {
  const inputs = { q: random([2, 37, 20], 1), k: random([2, 41, 20], 2), v: random([2, 41, 20], 3) };
  const mask = random([2, 41], 4), key = tensor(Uint32Array.of(5, 6));
  const step = (x: typeof inputs, mask: Tensor, key: Tensor) =>
    valueAndGrad(({ q, k, v }: typeof inputs) => {
      const out = attention(q, k, v, { heads: 1, mask, dropout: { probability: 0.3, key, stream: 1 } });
      return sum(multiply(out, q));
    })(x);
  const results: Float32Array[][] = [];
  for (const device of [await defaultDevice(), await openDevice({ kind: "gpu" })]) {
    const [value, { q, k, v }] = await compile(step, { device })(inputs, mask, key);
    results.push(await toHost([value, q, k, v]) as Float32Array[]);
  }
  const [own, other] = results;
  own!.forEach((values, i) =>
    values.forEach((x, j) => {
      const expected = other![i]![j]!;
      assert(Math.abs(x - expected) < 1e-5 * Math.max(10, Math.abs(expected)), `${i}, ${j}: ${x} for ${expected}`);
    })
  );
});
