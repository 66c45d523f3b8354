import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { gelu } from "../../src/ops/activations.ts";
import {
  abs,
  add,
  cast,
  clamp,
  erf,
  exp,
  log,
  maximum,
  minimum,
  multiply,
  negate,
  relu,
  sigmoid,
  sqrt,
  square,
  tanh,
} from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { testWhere } from "../testing/where.ts";

const { f16 } = (await defaultDevice()).profile;

/** In kernels of scalars and of vectors. */
async function eachWidth(op: (x: Tensor) => Tensor, x: readonly number[], y: readonly number[]): Promise<void> {
  for (const length of [x.length | 1, (x.length + 4) & ~3]) {
    const at = (values: readonly number[]) => Array.from({ length }, (_, i) => values[i % values.length]!);
    assertEquals([...await toHost(op(tensor(at(x))))], at(y));
  }
}

const unary = { relu, tanh, exp, erf, sigmoid, gelu, log, sqrt, square, abs, negate, clamp: clampToOne };
function clampToOne(x: Tensor): Tensor {
  return clamp(x, -1, 1);
}
const negativeNaN = new Float32Array(Uint32Array.of(0xffc00000).buffer), odd = Uint32Array.of(0x7f800001, 0xffffffff);

for (const [name, op] of Object.entries(unary)) {
  Deno.test(`${name}() of NaN is NaN, whatever its sign and bits`, async () => {
    await eachWidth((x) => op(x), [NaN], [NaN]);
    const x = Float32Array.of(NaN, ...negativeNaN, 0, 0);
    x.set(new Float32Array(odd.buffer), 2);
    assertEquals([...await toHost(op(tensor(x)))], [NaN, NaN, NaN, NaN]);
    assertEquals([...await toHost(op(matmul(tensor([NaN], [1, 1]), tensor([1], [1, 1]))))], [NaN]); // in an epilogue
  });
}

Deno.test("maximum() and minimum() are NaN where either operand is, and right at the infinities", async () => {
  const a = [NaN, 1, NaN, Infinity, -Infinity, -Infinity, Infinity, -2, 3];
  const b = [1, NaN, NaN, 1, 1, Infinity, NaN, -3, 3];
  for (const length of [9, 8]) {
    const x = a.slice(0, length), y = b.slice(0, length);
    const larger = x.map((v, i) => Math.max(v, y[i]!)), smaller = x.map((v, i) => Math.min(v, y[i]!));
    assertEquals([...await toHost(maximum(tensor(x), tensor(y)))], larger);
    assertEquals([...await toHost(minimum(tensor(x), tensor(y)))], smaller);
  }
  assertEquals([...await toHost(maximum(tensor([-1, 2, 5]), NaN))], [NaN, NaN, NaN]);
});

Deno.test("maximum(), minimum() and clamp() of integers take no bits for NaN", async () => {
  const a = tensor(Int32Array.of(0x7fc00000, -1, -5)), b = tensor(Int32Array.of(3, 4, -6));
  assertEquals([...await toHost(maximum(a, b))], [0x7fc00000, 4, -5]);
  assertEquals([...await toHost(minimum(a, b))], [3, -1, -6]);
  assertEquals([...await toHost(clamp(a, -2, 9))], [9, -1, -2]);
});

Deno.test("element-wise functions of the infinities are their limits", async () => {
  const ends = [-Infinity, Infinity];
  await eachWidth(relu, ends, [0, Infinity]);
  await eachWidth(clampToOne, ends, [-1, 1]);
  await eachWidth(tanh, ends, [-1, 1]);
  await eachWidth(erf, ends, [-1, 1]);
  await eachWidth(sigmoid, ends, [0, 1]);
  await eachWidth(exp, ends, [0, Infinity]);
  await eachWidth(log, [0, Infinity, -1, -Infinity], [-Infinity, Infinity, NaN, NaN]);
  await eachWidth(sqrt, [Infinity, -1], [Infinity, NaN]);
  await eachWidth(gelu, [Infinity], [Infinity]);
});

Deno.test("exp() is infinite where it is larger than any f32, and so is its gradient", async () => {
  await eachWidth(exp, [88.75, 100, 1e30, -200, -1e30], [Infinity, Infinity, Infinity, 0, 0]);
  const [near] = await toHost(exp(tensor([88.5])));
  assertEquals(Math.abs(near! / Math.exp(88.5) - 1) < 1e-5, true);
  assertEquals([...await toHost(grad((x: Tensor) => sum(exp(x)))(tensor([100, 0])))], [Infinity, 1]);
});

testWhere(f16, "the adapter has none", "a conversion to f16 keeps NaN, and limits the infinities", async () => {
  for (const rest of [[], [1, 1]]) {
    const x = tensor([NaN, -1.5, Infinity, -Infinity, 1, 1, ...rest]);
    const y = [NaN, -1.5, 65504, -65504, 1, 1, ...rest];
    assertEquals([...await toHost(cast(cast(x, "f16"), "f32"))], y);
    const bits = await toHost(cast(x, "f16"));
    assertEquals([(bits[0]! & 0x7fff) > 0x7c00, bits[1], bits[2]], [true, 0xbe00, 0x7bff]);
    assertEquals([...await toHost(add(tensor(Uint16Array.from(bits), [y.length]), 0))], y); // read back
  }
});

testWhere(f16, "the adapter has none", "16-bit floats are broadcast in kernels of vectors", async () => {
  const half = (...bits: number[]) => Uint16Array.from(bits);
  assertEquals([...await toHost(multiply(tensor(half(0x4000), [1]), tensor([1, 2, 3, 4])))], [2, 4, 6, 8]);
  const column = tensor(half(0x3c00, 0x4000, 0x4200, 0x4400), [4, 1]);
  assertEquals([...await toHost(multiply(column, tensor(new Float32Array(16).fill(5), [4, 4])))], [
    ...[5, 5, 5, 5],
    ...[10, 10, 10, 10],
    ...[15, 15, 15, 15],
    ...[20, 20, 20, 20],
  ]);
  const row = tensor(half(0x3c00, 0x4000, 0x4200, 0x4400), [4]);
  assertEquals([...await toHost(add(row, tensor(new Float32Array(8), [2, 4])))], [1, 2, 3, 4, 1, 2, 3, 4]);
});
