import { assert, assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { sum } from "../../src/ops/reduce.ts";
import { acos, acosh, asin, asinh, atan, atan2, atanh, cos, cosh, sin, sinh, tan } from "../../src/ops/trigonometry.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Edges, elementwise } from "../testing/check_op.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";
import { ratios, steps, testUnary, type UnaryCase } from "../testing/unary.ts";

const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));
const within = (end: number): Edges => ({ domain: (x) => Math.min(end, Math.max(-end, x)) });
const beyond = [[1.0000001, NaN], [-1.0000001, NaN], [-Infinity, NaN], [Infinity, NaN]] as const;
const circular = [[Infinity, NaN], [-Infinity, NaN]] as const;
const zeros = [[0, 0], [-0, -0]] as const;
/** Every exponent, multiples of pi/2 rounded to f32, and 16367173 2^72, the f32 that is closest to a multiple of pi/2. */
const angles = Float32Array.of(
  ...ratios(1e-30, 3.4e38, 4001),
  ...steps(-10, 10),
  ...Array.from({ length: 200 }, (_, i) => i * Math.PI / 2),
  16367173 * 2 ** 72,
);

const unary: Record<string, UnaryCase> = {
  sin: {
    op: sin,
    reference: Math.sin,
    derivative: Math.cos,
    values: [...circular, ...zeros],
    exact: angles,
  },
  cos: {
    op: cos,
    reference: Math.cos,
    derivative: (x) => -Math.sin(x),
    values: [...circular, [0, 1], [-0, 1]],
    exact: angles,
  },
  tan: {
    op: tan,
    reference: Math.tan,
    range: [0, 1.2],
    derivative: (x) => 1 + Math.tan(x) ** 2,
    values: [...circular, ...zeros],
    exact: angles,
  },
  asin: {
    op: asin,
    reference: Math.asin,
    range: [0, 0.9],
    derivative: (x) => 1 / Math.sqrt(1 - x * x),
    edges: within(0.9),
    values: [...beyond, ...zeros, [1, Math.PI / 2], [-1, -Math.PI / 2]],
    exact: Float32Array.of(...ratios(1e-30, 1), ...ratios(1e-7, 1).map((x) => 1 - Math.abs(x))),
  },
  acos: {
    op: acos,
    reference: Math.acos,
    range: [0, 0.9],
    derivative: (x) => -1 / Math.sqrt(1 - x * x),
    edges: within(0.9),
    values: [...beyond, [0, Math.PI / 2], [-0, Math.PI / 2], [1, 0], [-1, Math.PI]],
    exact: Float32Array.of(...ratios(1e-30, 1), ...ratios(1e-7, 1).map((x) => 1 - Math.abs(x))),
  },
  atan: {
    op: atan,
    reference: Math.atan,
    derivative: (x) => 1 / (1 + x * x),
    values: [...zeros, [1, Math.PI / 4], [-Infinity, -Math.PI / 2], [Infinity, Math.PI / 2]],
    exact: ratios(1e-30, 3e38),
  },
  sinh: {
    op: sinh,
    reference: Math.sinh,
    derivative: Math.cosh,
    edges: within(10),
    values: [...zeros, [-Infinity, -Infinity], [Infinity, Infinity], [90, Infinity], [-1e30, -Infinity]],
    exact: ratios(1e-30, 89.4),
  },
  cosh: {
    op: cosh,
    reference: Math.cosh,
    derivative: Math.sinh,
    edges: within(10),
    values: [[0, 1], [-Infinity, Infinity], [Infinity, Infinity], [90, Infinity], [-1e30, Infinity]],
    exact: ratios(1e-30, 89.4),
  },
  asinh: {
    op: asinh,
    reference: Math.asinh,
    derivative: (x) => 1 / Math.sqrt(1 + x * x),
    values: [...zeros, [-Infinity, -Infinity], [Infinity, Infinity]],
    exact: ratios(1e-30, 3e38),
  },
  acosh: {
    op: acosh,
    reference: Math.acosh,
    range: [3, 1.4],
    derivative: (x) => 1 / Math.sqrt(x * x - 1),
    edges: { domain: (x) => Math.max(Math.abs(x), 1.5) },
    values: [[1, 0], [0.99999994, NaN], [0, NaN], [-2, NaN], [-Infinity, NaN], [Infinity, Infinity]],
    exact: Float32Array.of(...ratios(1e-7, 1e6).map((x) => 1 + Math.abs(x)), ...ratios(1, 3e38).map(Math.abs)),
  },
  atanh: {
    op: atanh,
    reference: Math.atanh,
    range: [0, 0.9],
    derivative: (x) => 1 / (1 - x * x),
    edges: within(0.9),
    values: [...beyond, ...zeros, [1, Infinity], [-1, -Infinity]],
    exact: Float32Array.of(...ratios(1e-30, 0.99999994), ...ratios(1e-7, 1).map((x) => 1 - Math.abs(x) * 0.9999)),
  },
};

for (const [name, one] of Object.entries(unary)) testUnary(name, one);

const pairs = [[[4, 8], [8]], [[5, 7], [5, 1]], [[], [3]], [[6], [6]], [[1, 3], [2, 1]]] as const;

Deno.test("atan2() broadcasts, and the gradients of both operands are summed back", async () => {
  const cut: Edges = { kinks: "the angle jumps from -pi to pi, and at the origin: see the next tests" };
  for (const [i, [a, b]] of pairs.entries()) {
    const inputs = [randomTensor(a, i, 3), randomTensor(b, 50 + i, 3)];
    await checkOp(atan2, inputs, elementwise(Math.atan2), { edges: cut });
  }
});

Deno.test("the second derivatives of atan2() equal the reference", async () => {
  const inputs = [randomTensor([3, 5], 1, 2, 3), randomTensor([3, 5], 2, 2, -3)];
  const first = (a: Tensor, b: Tensor): Tensor => grad((v: Tensor) => sum(atan2(v, b)))(a);
  await checkOp(first, inputs, elementwise((y, x) => x / (x * x + y * y)), {
    edges: { domain: (v) => v === 0 ? 0.5 : v },
  });
});

Deno.test("atan2() has NumPy's values in every quadrant, at signed zeros, infinities and numbers of any size", async () => {
  const special = [0, -0, 1, -1, 2.5, -0.5, Infinity, -Infinity, 1e-37, 1e37, -3.4e38, 3e-20, -1e-30, 1e20, NaN];
  const all = special.flatMap((y) => special.map((x) => [y, x] as const));
  for (const points of [all, [...all, ...all.slice(0, 3)]]) { // 225: scalars, 228: vectors
    const angle = await host(atan2(tensor(points.map(([y]) => y)), tensor(points.map(([, x]) => x))));
    points.forEach(([y, x], i) => {
      const expected = Math.fround(Math.atan2(Math.fround(y), Math.fround(x)));
      const close = expected !== 0 && Math.abs(angle[i]! - expected) <= 1e-6 * Math.abs(expected) + 1.2e-38;
      assert(close || Object.is(angle[i], expected), `atan2(${y}, ${x}) is ${angle[i]}, expected ${expected}`);
    });
  }
});

Deno.test("the gradient of atan2() is 0 at the origin, and right for numbers whose squares are beyond f32", async () => {
  const slopes = grad(([y, x]: [Tensor, Tensor]) => sum(atan2(y, x)));
  const [ofY, ofX] = slopes([tensor([0, -0, 3e25, 3e-25, 0]), tensor([0, 0, -4e25, 4e-25, -2])]);
  assertEquals((await host(ofY)).map((v) => v + 0).slice(0, 2), [0, 0]);
  assertEquals((await host(ofX)).map((v) => v + 0).slice(0, 2), [0, 0]);
  const scales = [0, 0, 1e25, 1e-25, 1];
  assertClose((await host(ofY)).map((v, i) => v * scales[i]!), [0, 0, -4 / 25, 4 / 25, -0.5]);
  assertClose((await host(ofX)).map((v, i) => v * scales[i]!), [0, 0, -3 / 25, -3 / 25, 0]);
});

Deno.test("asin(), acos() and atanh() have infinite gradients at -1 and 1", async () => {
  const x = tensor([-1, 1]);
  for (
    const [op, y] of [[asin, [Infinity, Infinity]], [acos, [-Infinity, -Infinity]], [atanh, [
      Infinity,
      Infinity,
    ]]] as const
  ) {
    assertEquals(await host(grad((v: Tensor) => sum(op(v)))(x)), [...y]);
  }
});

Deno.test("integers are refused", () => {
  assertThrows(
    () => atan2(1, placeholder([2], "i32")),
    TypeError,
    "Cannot apply atan2: the operand must be f32 or f16: it is i32",
  );
  assertThrows(() => sin(placeholder([2], "u32")), TypeError, "Cannot apply sin");
});
