import { assert, assertEquals } from "@std/assert";
import { defaultDevice } from "../../src/gpu/device.ts";
import { grad } from "../../src/autograd/grad.ts";
import { floorDivide, fmod, remainder } from "../../src/ops/division.ts";
import { maximum, multiply, tanh } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type CheckOptions, elementwise } from "../testing/check_op.ts";
import { assertClose, randomSource, randomTensor } from "../testing/reference.ts";
import { testWhere } from "../testing/where.ts";

const { f16 } = (await defaultDevice()).profile;
const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));

/** `%` of float64 is exact, and of two f32 it is an f32. */
function pythonRemainder(a: number, b: number): number {
  const r = a % b;
  if (r === 0) return b < 0 || Object.is(b, -0) ? -0 : 0;
  return (r < 0) !== (b < 0) ? r + b : r;
}
/** As NumPy: the quotient without the remainder is whole. */
const pythonQuotient = (a: number, b: number): number => b === 0 ? a / b : Math.round((a - pythonRemainder(a, b)) / b);

/** Numbers of either sign whose exponents are up to `range` apart. */
function wide(count: number, range: number, seed: number): Float32Array {
  const random = randomSource(seed);
  return Float32Array.from({ length: count }, () => (2 * random() - 1) * 2 ** ((2 * random() - 1) * range));
}

Deno.test("fmod() and remainder() are exact, however far apart the operands are", async () => {
  for (const [range, count] of [[3, 401], [20, 400], [60, 403], [120, 404]] as const) {
    const a = wide(count, range, 1), b = wide(count, range, 2);
    const both = (f: (x: number, y: number) => number) => Array.from(a, (x, i) => Math.fround(f(x, b[i]!)));
    assertEquals(await host(fmod(tensor(a), tensor(b))), both((x, y) => x % y));
    assertEquals(await host(remainder(tensor(a), tensor(b))), both(pythonRemainder));
  }
});

Deno.test("fmod() and remainder() of multiples are zeros with their signs, and the ends of f32 are no exception", async () => {
  const largest = 3.4028234663852886e38, least = 2 ** -126;
  const odd = Math.fround(1.3 * least); // 253 places below the largest number
  const a = [6, -6, 6, -6, 0, -0, largest, -largest, largest, largest, least, 5.5, -5.5];
  const b = [3, 3, -3, -3, 7, 7, least, 3, 16777215, odd, largest, 0.5, 2];
  const pairs = (f: (x: number, y: number) => number) => a.map((x, i) => Math.fround(f(x, b[i]!)));
  assertEquals(await host(fmod(tensor(a), tensor(b))), pairs((x, y) => x % y));
  assertEquals(await host(remainder(tensor(a), tensor(b))), pairs(pythonRemainder));
});

Deno.test("remainders below the normal numbers are exact, or 0 where the adapter has no such numbers", async () => {
  const least = 2 ** -126,
    a = [1.75, -1.75, 5.25, 2 ** 60 + 2 ** 40].map((v) => v * least),
    b = [1, 1, 1.5, 1.7].map((v) => v * least);
  const expected = a.map((x, i) => Math.fround(Math.fround(x) % Math.fround(b[i]!)));
  (await host(fmod(tensor(a), tensor(b)))).forEach((y, i) =>
    assert(y === expected[i] || y === 0, `${y}, ${expected[i]}`)
  );
});

Deno.test("fmod(), remainder() and floorDivide() of zeros, infinities and NaN follow NumPy", async () => {
  const a = [NaN, 1, Infinity, -Infinity, 5, -5, 5, -5, 0, 3, -3, 0];
  const b = [1, NaN, 2, Infinity, Infinity, Infinity, -Infinity, -Infinity, 5, 0, 0, 0];
  for (const length of [11, 12]) {
    const [x, y] = [a.slice(0, length), b.slice(0, length)], nan = (n: number): number[] => Array(n).fill(NaN);
    const expected = (values: number[]) => values.slice(0, length);
    assertEquals(await host(fmod(tensor(x), tensor(y))), expected([...nan(4), 5, -5, 5, -5, 0, ...nan(3)]));
    const remainders = [...nan(4), 5, Infinity, -Infinity, -5, 0, ...nan(3)];
    assertEquals(await host(remainder(tensor(x), tensor(y))), expected(remainders));
    const quotients = [...nan(4), 0, -1, -1, 0, 0, Infinity, -Infinity, NaN];
    assertEquals((await host(floorDivide(tensor(x), tensor(y)))).map((v) => v + 0), expected(quotients));
  }
});

Deno.test("floorDivide() is whole and exact up to 2^21, also where a rounded quotient would be whole too early", async () => {
  const random = randomSource(3), a: number[] = [], b: number[] = [];
  for (let i = 0; i < 600; i++) {
    b.push(Math.fround((2 * random() - 1) * 10));
    a.push(Math.fround(b[i]! * Math.floor((2 * random() - 1) * 2 ** (i % 21)))); // a hair above or below a multiple
  }
  const expected = a.map((x, i) => pythonQuotient(x, b[i]!));
  assertEquals((await host(floorDivide(tensor(a), tensor(b)))).map((v) => v + 0), expected.map((v) => v + 0));
  assertEquals(await host(floorDivide(tensor([1, 6, -1]), tensor([0.1, 0.1, 0.1]))), [9, 59, -10]);
  const large = await host(floorDivide(tensor([1e30, -1e30]), 3));
  assertClose(large.map((v) => v / 1e30), [1 / 3, -1 / 3], 1e-6);
});

const jumps = "the value jumps at whole quotients";
const cases: [string, (a: Tensor, b: Tensor) => Tensor, (a: number, b: number) => number, CheckOptions["edges"]][] = [
  ["fmod", fmod, (a, b) => a % b, { domain: divisor, kinks: jumps }],
  ["remainder", remainder, pythonRemainder, { domain: divisor, kinks: jumps }],
  ["floorDivide", floorDivide, pythonQuotient, { domain: divisor, kinks: () => 0 }],
];
function divisor(x: number, input: number): number {
  return input === 1 && x === 0 ? 0.25 : x;
}

for (const [name, op, reference, edges] of cases) {
  Deno.test(`${name}() broadcasts, and its gradients are those within a step`, async () => {
    for (const [a, b] of [[[6, 8], [6, 8]], [[5, 7], [7]], [[3, 1, 4], [1, 5, 1]], [[], [3, 4]], [[9], []]] as const) {
      const inputs = [randomTensor(a, 5, 9), randomTensor(b, 6, 1, b.length % 2 ? 2.5 : -2.5)];
      await checkOp(op, inputs, elementwise(reference), { edges: edges! });
    }
  });
}

Deno.test("quotients and functions of them are one kernel", async () => {
  const run = compile((x: Tensor) => tanh(maximum(remainder(x, 3), fmod(x, -0.75)))), x = tensor([-7, -1, 0.5, 4, 5]);
  assertEquals((await run.program(x)).plan.steps.length, 1);
  assertClose(await toHost(await run(x)), [2, 2, 0.5, 1, 2].map(Math.tanh));
  run.destroy();
});

Deno.test("second derivatives of fmod() and remainder() are those of a line", async () => {
  for (const op of [fmod, remainder]) {
    const slope = (b: Tensor): Tensor => grad((d: Tensor) => sum(multiply(op(tensor([7, -7]), d), d)))(b);
    assertEquals(await host(grad((b: Tensor) => sum(slope(b)))(tensor([2, 2]))), op === fmod ? [-6, 6] : [-6, 8]);
  }
});

testWhere(f16, "the adapter has none", "16-bit floats are divided as f32", async () => {
  const x = tensor([7, -7, 0.5], [3], "f16");
  assertEquals(await host(remainder(x, 4)), [3, 1, 0.5]);
  assertEquals(await host(floorDivide(x, 4)), [1, -2, 0]);
});
