import { assert, assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { vmap } from "../../src/autograd/vmap.ts";
import { whileLoop } from "../../src/autograd/while_loop.ts";
import { add, divide, less, log, multiply, sqrt, subtract, tanh } from "../../src/ops/elementwise.ts";
import { remainder } from "../../src/ops/division.ts";
import { greater } from "../../src/ops/comparisons.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, item, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertClose } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";

/** x <- tanh(x w) + b while the sum of x is below 2: in float64, the last x, the turns and whether it ended by itself. */
function reference(
  x: readonly number[],
  w: readonly number[],
  b: readonly number[],
  most: number,
): [number[], number, boolean] {
  const n = x.length, total = (v: readonly number[]): number => v.reduce((a, c) => a + c, 0);
  let own = [...x], steps = 0;
  for (; steps < most && total(own) < 2; steps++) {
    const before = own;
    own = b.map((c, j) => before[j]! * 0.5 + c + 0.3 * Math.tanh(before.reduce((a, v, i) => a + v * w[i * n + j]!, 0)));
  }
  return [own, steps, total(own) >= 2];
}

const body = (w: Tensor, b: Tensor) => (x: Tensor): Tensor =>
  add(add(multiply(x, 0.5), b), multiply(tanh(matmul(x, w)), 0.3));
const loop = (x: Tensor, w: Tensor, b: Tensor, maxSteps: number) =>
  whileLoop((x: Tensor) => less(sum(x), 2), body(w, b), x, { maxSteps });

const W = [0.4, -0.2, 0.1, 0.3, 0.5, -0.1, 0.2, 0.1, 0.6], B = [0.5, 0.3, 0.4];
const cases: Readonly<Record<string, readonly [x: number[], most: number]>> = {
  "ends by its condition": [[0.1, -0.4, 0.2], 9],
  "has ended before it began": [[1, 1, 1], 4],
  "is ended by its bound": [[-3, -2, -4], 2],
  "ends in the last turn that it may take": [[0.1, -0.4, 0.2], reference([0.1, -0.4, 0.2], W, B, 99)[1]],
};

for (const [what, [x, most]] of Object.entries(cases)) {
  Deno.test(`whileLoop() that ${what} equals the float64 reference, and its gradients finite differences`, async () => {
    const run = compile((x: Tensor, w: Tensor, b: Tensor) => loop(x, w, b, most));
    const given = [tensor(x), tensor(W, [3, 3]), tensor(B)] as const, [y, { steps, finished }] = await run(...given);
    const [wanted, turns, ended] = reference(x, W, B, most);
    assertClose([...await toHost(y)], wanted, 1e-6, 1e-6);
    assertEquals([await item(steps), await item(finished)], [turns, Number(ended)]);

    const value = (x: number[], w: number[], b: number[]): number =>
      reference(x, w, b, most)[0].reduce((a, v, i) => a + v * (i + 1), 0);
    const weights = tensor([1, 2, 3]);
    const gradients = await compile(grad(
      (x: Tensor, w: Tensor, b: Tensor) => sum(multiply(loop(x, w, b, most)[0], weights)),
      { argnums: [0, 1, 2] },
    ))(...given);
    const found = (await toHost(gradients)).map((g) => [...g]), arrays = [x, W, B], h = 1e-5;
    const differences = arrays.map((array, k) =>
      array.map((_, i) => {
        const at = (d: number): number => {
          const [x, w, b] = arrays.map((a, j) => j === k ? a.with(i, a[i]! + d) : a) as [number[], number[], number[]];
          return value(x, w, b);
        };
        return (at(h) - at(-h)) / (2 * h);
      })
    );
    found.forEach((g, k) => assertClose(g, differences[k]!, 1e-4, 1e-4));
    assert(turns === 0 || found[1]!.some((g) => g !== 0), "the gradient reaches what the body closes over");
  });
}

Deno.test("whileLoop() carries trees of any type: Newton's root and Euclid's divisor", async () => {
  const root = compile((a: Tensor) =>
    whileLoop(
      ({ x, before }: { x: Tensor; before: Tensor }) => greater(subtract(before, x), 1e-4),
      ({ x }) => ({ x: multiply(add(x, divide(a, x)), 0.5), before: x }),
      { x: a, before: add(a, 1) },
      { maxSteps: 20 },
    )
  );
  const [{ x }, { steps, finished }] = await root(tensor(9));
  assertClose([await item(x)], [3], 1e-6, 1e-6);
  assertEquals([await item(steps), await item(finished)], [5, 1]); // 9, 5, 3.4, 3.0235, 3.00009, 3
  const [divisor] = whileLoop(
    ([, b]: Tensor[]) => b!,
    ([a, b]) => [b!, remainder(a!, b!)],
    [tensor(Int32Array.of(84), []), tensor(Int32Array.of(36), [])],
    { maxSteps: 8 },
  );
  assertEquals(await item(divisor[0]!), 12);
});

Deno.test("a body that is finite only where the condition holds gives no NaN, nor do its gradients", async () => {
  // x <- sqrt(x - 1) * w + log(x) is NaN below 1, where the condition does not hold.
  const f = (x: Tensor, w: Tensor): Tensor =>
    whileLoop((x: Tensor) => greater(x, 1.5), (x) => add(multiply(sqrt(subtract(x, 1)), w), multiply(log(x), 0.1)), x, {
      maxSteps: 6,
    })[0];
  const plain = (x: number, w: number): number => {
    for (let i = 0; i < 6 && x > 1.5; i++) x = Math.sqrt(x - 1) * w + 0.1 * Math.log(x);
    return x;
  };
  const [x, w, h] = [5, 0.4, 1e-6], at = [tensor(x), tensor(w)] as const;
  assert(plain(x, w) < 1, "the last carry is where the body is NaN");
  assertClose([await item(f(...at))], [plain(x, w)], 1e-6, 1e-6);
  const found = await Promise.all(grad(f, { argnums: [0, 1] })(...at).map(item));
  const wanted = [
    (plain(x + h, w) - plain(x - h, w)) / (2 * h),
    (plain(x, w + h) - plain(x, w - h)) / (2 * h),
  ];
  assertClose(found, wanted, 1e-4, 1e-4);
});

Deno.test("vmap() of whileLoop() ends each element at its own turn", async () => {
  const f = (x: Tensor): Tensor[] => {
    const [y, { steps, finished }] = whileLoop((x: Tensor) => less(x, 10), (x) => multiply(x, 2), x, { maxSteps: 4 });
    return [
      y,
      steps,
      finished,
      grad((x: Tensor) => whileLoop((x: Tensor) => less(x, 10), (x) => multiply(x, 2), x, { maxSteps: 4 })[0])(x),
    ];
  };
  const results = await compile(vmap(f))(tensor([0.1, 1, 3, 20]));
  const [y, steps, finished, gradients] = (await toHost(results)).map((values) => [...values]);
  assertClose(y!, [1.6, 16, 12, 20], 1e-6, 1e-6);
  assertEquals([steps, finished, gradients], [[4, 4, 2, 0], [0, 1, 1, 1], [16, 16, 4, 1]]);
});

Deno.test("whileLoop() says what does not fit", async () => {
  const x = placeholder([2]), always = (x: Tensor): Tensor => less(sum(x), 1), same = (x: Tensor): Tensor => x;
  await assertRefused(
    [() => whileLoop(always, same, x, { maxSteps: 0 }), "maxSteps must be an integer from 1 on: it is 0"],
    [() => whileLoop((x) => x, same, x, { maxSteps: 3 }), "the condition must be a scalar: it is f32[2]"],
    [
      () => whileLoop(always, (x) => sum(x), x, { maxSteps: 3 }),
      "Cannot apply whileLoop: the next carry must be like the first, f32[2]: it is f32[]",
    ],
    [() => whileLoop(always, same, x, 5 as never), "as in { maxSteps: 5 }: they are 5", TypeError],
  );
});
