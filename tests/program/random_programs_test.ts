import { AssertionError } from "@std/assert";
import { grad, valueAndGrad } from "../../src/autograd/grad.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import { apply, type Op, type Tensor } from "../../src/program/graph.ts";
import { onPoison } from "../testing/check_op.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { build, describe, randomProgram, reference } from "../testing/random_programs.ts";
import { randomTensor } from "../testing/reference.ts";

/**
 * The same value, across which nothing is fused, nor are gradients: programs then consist of kernels that others have, too, and 300 of
 * them are compiled in the time of a few.
 */
const fenceOp: Op<null> = {
  name: "barrier",
  infer: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  vjp: (_, [ct]) => [fence(ct!)],
  view: () => ({ input: 0, offset: 0 }),
};
const fence = (x: Tensor): Tensor => apply(fenceOp, [x], null);

/** Compares value, gradient and Hessian's product of the programs of some seeds, all in one compiled function. */
async function check(seeds: readonly number[], fused: boolean): Promise<void> {
  const programs = seeds.map(randomProgram);
  const vectors = programs.map(({ inputs, seed }) =>
    inputs.map((shape, i) => randomTensor(shape, 31 * seed + i).data as Float32Array)
  );
  const f = compile((inputs: Tensor[][], directions: Tensor[][]) =>
    programs.map((p, i) => {
      const slope = (own: Tensor[]): [Tensor, [Tensor, Tensor[]]] => {
        const both = valueAndGrad((all: Tensor[]) => build(p, all, fused ? undefined : fence))(own);
        const products = both[1].map((g, k) => sum(multiply(g, directions[i]![k]!)));
        return [products.reduce((a, b) => add(a, b)), both];
      };
      const [product, [value, gradient]] = grad(slope, { hasAux: true })(inputs[i]!);
      return [value, gradient, product] as const;
    })
  );
  const on = (lists: readonly Float32Array[][]): Tensor[][] =>
    lists.map((list, i) => list.map((data, k) => tensor(data, programs[i]!.inputs[k]!)));
  const results = await onPoison(await defaultDevice(), () => f(on(programs.map((p) => [...p.values])), on(vectors)));
  for (const [i, p] of programs.entries()) {
    const [value, gradient, product] = results[i]!, expected = reference(p, vectors[i]!);
    const found = (await toHost([value!, ...gradient!, ...product!])).map((list) => [...list]);
    const parts = { value: found[0]!, gradient: found.slice(1, 4).flat(), product: found.slice(4).flat() };
    const wanted = { ...expected, value: [expected.value] };
    for (const name of ["value", "gradient", "product"] as const) {
      const bound = 2e-4 * Math.max(1, ...wanted[name].map(Math.abs));
      const wrong = wanted[name].findIndex((v, k) => !(Math.abs(v - parts[name][k]!) <= bound));
      if (wrong < 0) continue;
      throw new AssertionError(
        `${name} ${wrong} is ${parts[name][wrong]}, expected ${wanted[name][wrong]}: ${describe(p)}`,
      );
    }
  }
  f.destroy();
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

for (const from of [0, 58, 116, 174, 232]) {
  const name = `random programs equal float64, with gradients and Hessians: seeds ${from} to ${from + 57}`;
  Deno.test(name, () => check(range(from, from + 58), false));
}

Deno.test("random programs equal float64 where chains are fused, too: seeds 290 to 299", () =>
  check(range(290, 300), true));
