import { assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import {
  ceil,
  erfInv,
  exp2,
  expm1,
  floor,
  log1p,
  log2,
  pow,
  reciprocal,
  round,
  rsqrt,
  trunc,
} from "../../src/ops/math.ts";
import { sum } from "../../src/ops/reduce.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Edges, elementwise } from "../testing/check_op.ts";
import { erfInvReference } from "../testing/normal.ts";
import { randomSource, randomTensor } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";
import { assertRelative, flat, ratios, steps, testUnary, type UnaryCase } from "../testing/unary.ts";

const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));
const bounded: Edges = { domain: (x) => Math.min(x, 30) }; // beyond, differences tell nothing
const positive: Edges = { domain: (x) => Math.max(Math.abs(x), 0.5) };
const notZero: Edges = { domain: (x) => x === 0 ? 0.25 : x };
const halfToEven = (x: number): number => {
  const below = Math.floor(x);
  return x - below === 0.5 ? below + (below % 2 && 1) : Math.round(x);
};
const wholes = [-Infinity, -3e9, -2, 7, 1e30, Infinity].map((x) => [x, x] as const);

const unary: Record<string, UnaryCase> = {
  rsqrt: {
    op: rsqrt,
    reference: (x) => 1 / Math.sqrt(x),
    range: [2, 1.5],
    derivative: (x) => -0.5 * x ** -1.5,
    edges: positive,
    values: [[0, Infinity], [Infinity, 0], [-1, NaN], [-Infinity, NaN], [4, 0.5]],
    exact: ratios(1e-37, 3e38).map(Math.abs),
  },
  reciprocal: {
    op: reciprocal,
    reference: (x) => 1 / x,
    range: [2, 1.5],
    derivative: (x) => -1 / (x * x),
    edges: notZero,
    values: [[0, Infinity], [-0, -Infinity], [Infinity, 0], [-Infinity, -0], [-4, -0.25]],
    exact: ratios(1e-37, 1e37),
  },
  exp2: {
    op: exp2,
    reference: (x) => 2 ** x,
    derivative: (x) => Math.LN2 * 2 ** x,
    edges: bounded,
    values: [
      [-Infinity, 0],
      [Infinity, Infinity],
      [128, Infinity],
      [1e30, Infinity],
      [-160, 0],
      [127, 2 ** 127],
      ...[-126, -31, -1, 0, 1, 2, 3, 10, 24, 100].map((n) => [n, 2 ** n] as const),
    ],
    exact: steps(-125.9, 127.99),
  },
  expm1: {
    op: expm1,
    reference: Math.expm1,
    derivative: Math.exp,
    edges: bounded,
    values: [
      [-Infinity, -1],
      [-1e30, -1],
      [0, 0],
      [-0, -0],
      [Infinity, Infinity],
      [88.75, Infinity],
      [1e30, Infinity],
    ],
    exact: ratios(1e-30, 88.7),
  },
  log2: {
    op: log2,
    reference: Math.log2,
    range: [2, 1.5],
    derivative: (x) => Math.LOG2E / x,
    edges: positive,
    values: [
      [0, -Infinity],
      [-0, -Infinity],
      [-1, NaN],
      [-Infinity, NaN],
      [Infinity, Infinity],
      ...[-126, -31, -1, 0, 1, 2, 3, 29, 127].map((n) => [2 ** n, n] as const),
    ],
    exact: Float32Array.of(...steps(0.5, 2), ...ratios(1e-37, 3e38).map(Math.abs)),
  },
  log1p: {
    op: log1p,
    reference: Math.log1p,
    range: [2, 2.5],
    derivative: (x) => 1 / (1 + x),
    edges: { domain: (x) => Math.max(x, -0.5) },
    values: [
      [-1, -Infinity],
      [-1.0000001, NaN],
      [-Infinity, NaN],
      [0, 0],
      [-0, -0],
      [Infinity, Infinity],
    ],
    exact: Float32Array.of(...ratios(1e-30, 0.9999999), ...ratios(1e-5, 3e38).map(Math.abs)),
  },
  erfInv: {
    op: erfInv,
    reference: erfInvReference,
    range: [0, 0.9],
    derivative: (x) => Math.sqrt(Math.PI) / 2 * Math.exp(erfInvReference(x) ** 2),
    edges: { domain: (x) => Math.sin(x) / 2 },
    values: [[0, 0], [1, Infinity], [-1, -Infinity], [1.0000001, NaN], [-Infinity, NaN]],
  },
  floor: { op: floor, reference: Math.floor, edges: flat, values: [...wholes, [-0.5, -1], [2.75, 2]] },
  ceil: { op: ceil, reference: Math.ceil, edges: flat, values: [...wholes, [1e-30, 1], [-2.75, -2]] },
  trunc: { op: trunc, reference: Math.trunc, edges: flat, values: [...wholes, [-2.75, -2], [2.75, 2]] },
  round: {
    op: round,
    reference: halfToEven,
    edges: flat,
    values: [...wholes, [0.5, 0], [1.5, 2], [2.5, 2], [-1.5, -2], [-2.5, -2], [3.4999998, 3], [8388609, 8388609]],
  },
};

for (const [name, one] of Object.entries(unary)) testUnary(name, one);

Deno.test("erfInv() is exact to a relative error of 2e-6", async () => {
  const x = Float32Array.of(...ratios(1e-30, 0.9, 301), ...steps(0.9, 0.999999, 200));
  assertRelative(x, await toHost(erfInv(tensor(x))), erfInvReference, 2e-6);
});

Deno.test("exp2() of -149 to -127, powers below the smallest normal number, is right or 0", async () => {
  const x = Array.from({ length: 23 }, (_, i) => -149 + i), y = await host(exp2(tensor(x)));
  assertEquals(y.map((v, i) => v === 0 || v === 2 ** x[i]!), Array(23).fill(true));
});

const moderate: Edges = {
  domain: (v, input) => input === 0 ? Math.min(10, Math.max(Math.abs(v), 0.5)) : Math.min(3, Math.max(v, -3)),
};

Deno.test("pow() broadcasts, and the gradients of both operands are summed back", async () => {
  const pairs = [[[4, 8], [8]], [[5, 7], [5, 1]], [[], [3]], [[6], [6]], [[1, 3], [2, 1]]] as const;
  for (const [i, [a, b]] of pairs.entries()) {
    const inputs = [randomTensor(a, i, 1.5, 2), randomTensor(b, 50 + i, 3)];
    await checkOp(pow, inputs, elementwise((x, y) => x ** y), { edges: moderate });
  }
  await checkOp((y) => pow(2.5, y), [randomTensor([7], 3, 3)], elementwise((y) => 2.5 ** y), {
    edges: { domain: (y) => Math.min(Math.max(y, -5), 5) },
  });
});

Deno.test("pow() of any number to a whole power, and its first two derivatives, equal the reference", async () => {
  for (const y of [-3, -2, -1, 0, 1, 2, 3, 4]) {
    const edges: Edges = { domain: (x) => (y < 0 && x === 0 ? 0.25 : Math.min(Math.max(x, -50), 50)) };
    const x = randomTensor([3, 4], 9 + y, 1, y < 0 ? -2 : 0);
    await checkOp((v) => pow(v, y), [x], elementwise((v) => v ** y), { edges });
    const first = grad((v: Tensor) => sum(pow(v, y)));
    await checkOp(first, [x], elementwise((v) => y === 0 ? 0 : y * v ** (y - 1)), { edges });
  }
});

Deno.test("mixed second derivatives of pow() equal the reference", async () => {
  const inputs = [randomTensor([3, 5], 1, 1.5, 2), randomTensor([3, 5], 2, 3)];
  const ofX = (a: Tensor, b: Tensor): Tensor => grad((v: Tensor) => sum(pow(v, b)))(a);
  const ofY = (a: Tensor, b: Tensor): Tensor => grad((v: Tensor) => sum(pow(a, v)))(b);
  await checkOp(ofX, inputs, elementwise((x, y) => y * x ** (y - 1)), { edges: moderate });
  await checkOp(ofY, inputs, elementwise((x, y) => Math.log(x) * x ** y), { edges: moderate });
});

Deno.test("the gradients of pow() at 0 are finite where the function is smooth", async () => {
  const x = tensor([0, -0, 0, 0, 0, 2, 0]), y = tensor([0, 0, 1, 2, 3, 0, 1.5]);
  const [ofX, ofY] = grad(([a, b]: [Tensor, Tensor]) => sum(pow(a, b)))([x, y]);
  assertEquals(await host(ofX), [0, 0, 1, 0, 0, 0, 0]);
  assertEquals((await host(ofY)).with(5, 0), [0, 0, 0, 0, 0, 0, 0]);
  const bend = grad((a: Tensor) => sum(grad((b: Tensor) => sum(pow(b, y)))(a)))(x);
  assertEquals((await host(bend)).slice(0, 6), [0, 0, 0, 2, 0, 0]);
  assertEquals(await host(grad((a: Tensor) => sum(pow(a, 0.5)))(tensor([0, 4]))), [Infinity, 0.25]);
  assertEquals(await host(grad((b: Tensor) => sum(pow(tensor([-2]), b)))(tensor([2]))), [NaN]);
});

Deno.test("pow() is exact to a relative error of 2e-6 from 1e-37 to 1e37, and for powers beyond 1e6", async () => {
  const random = randomSource(5), count = 5000;
  const x = Float32Array.from({ length: count }, (_, i) => Math.exp((random() * 2 - 1) * [1e-4, 0.5, 3, 80][i % 4]!));
  const y = x.map((v) => (random() * 2 - 1) * Math.min(1e7, 124 / Math.abs(Math.log2(v))));
  assertRelative(x, await toHost(pow(tensor(x), tensor(y))), (v, i) => v ** y[i]!, 2e-6);
});

Deno.test("pow() has NumPy's values at zeros, negative numbers, infinities and NaN", async () => {
  const special = [0, -0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, Infinity, -Infinity, NaN, 1e30, -1e30, 16777215];
  const pairs = special.flatMap((x) => special.map((y) => [x, y] as const));
  /** JavaScript differs in 1 ** NaN and (+-1) ** (+-infinity) alone. */
  const numpy = (x: number, y: number): number => x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;
  for (const extra of [0, 1]) {
    const all = [...pairs, ...pairs.slice(0, extra)]; // in kernels of vectors, then of scalars
    const y = await toHost(pow(tensor(all.map(([x]) => x)), tensor(all.map(([, y]) => y))));
    all.forEach(([a, b], i) => {
      const expected = Math.fround(numpy(a, b));
      const error = Math.abs(y[i]! / expected - 1);
      assertEquals(error <= 2e-6 || Object.is(y[i], expected), true, `${a} ** ${b} is ${y[i]}, expected ${expected}`);
    });
  }
});

Deno.test("integers are refused", () => {
  assertThrows(
    () => pow(placeholder([2], "i32"), 2),
    TypeError,
    "Cannot apply pow: the operand must be f32 or f16: it is i32",
  );
  assertThrows(() => pow(2, placeholder([2], "u32")), TypeError, "must be f32 or f16: it is u32");
  assertThrows(() => floor(placeholder([2], "i32")), TypeError, "Cannot apply floor");
});

Deno.test("no gradient flows through rounding", async () => {
  const f = grad((x: Tensor) => sum(multiply(x, round(x))));
  assertEquals(await host(f(tensor([2.25, -3.75]))), [2, -4]);
});
