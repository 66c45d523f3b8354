import { assert, assertEquals } from "@std/assert";
import { checkpoint, grad, valueAndGrad } from "../../src/autograd/grad.ts";
import { gelu } from "../../src/ops/activations.ts";
import { add, cast, exp, iota, multiply, relu, sigmoid, square, subtract, tanh } from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { dropout, foldIn, randomKey } from "../../src/ops/random.ts";
import { mean, sum } from "../../src/ops/reduce.ts";
import { cos, sin } from "../../src/ops/trigonometry.ts";
import { reshape } from "../../src/ops/shape.ts";
import { compile, evaluate, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholder } from "../../src/program/program.ts";
import type { Program } from "../../src/program/program.ts";
import { roomyDevice } from "../testing/roomy.ts";
import { checkOp, elementwise, type Values } from "../testing/check_op.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";

const f32 = (...shape: number[]): Tensor => placeholder({ shape, dtype: "f32" });

/** Kernel names without their variants, which depend on the adapter. */
function kernels(program: Program): string[] {
  return program.plan.steps.map((s) => s.name.replace(/^(\w+)[ /][\w ]+/, "$1"));
}

Deno.test("a chain of element-wise ops is one kernel and keeps nothing", async () => {
  const f = compile((x: Tensor, y: Tensor) => tanh(add(multiply(x, y), exp(subtract(x, 1)))));
  const program = await f.program(f32(8, 16), f32(16));
  assertEquals(
    program.toString(),
    `program(f32[8,16], f32[16]), 512 B of intermediates
  multiply+subtract+exp+add+tanh x1(%0:f32[8,16], %1:f32[16], %2:tanh f32[8,16])
  return %2:tanh f32[8,16]
`,
  );
});

Deno.test("element-wise ops join the kernel of the product before them", async () => {
  const device = await roomyDevice();
  const f = compile((x: Tensor, w: Tensor, b: Tensor, r: Tensor) => add(gelu(add(matmul(x, w), b)), r), { device });
  const program = await f.program(f32(6, 8), f32(8, 4), f32(4), f32(6, 4));
  assertEquals(kernels(program), ["matmul+add+gelu+add"]);
  assertEquals(program.arenaBytes, 256);
  const reference = (x: Values, w: Values, b: Values, r: Values) =>
    r.data.map((v, at) => {
      const [i, j] = [Math.floor(at / 4), at % 4];
      let total = b.data[j]!;
      for (let k = 0; k < 8; k++) total += x.data[i * 8 + k]! * w.data[k * 4 + j]!;
      return total / (1 + Math.exp(-total)) + v;
    });
  await checkOp(
    (x, w, b, r) => {
      const z = add(matmul(x, w), b);
      return add(multiply(z, sigmoid(z)), r);
    },
    [randomTensor([6, 8], 1), randomTensor([8, 4], 2), randomTensor([4], 3), randomTensor([6, 4], 4)],
    reference,
    { edges: { domain: (x) => within(x, 20) } }, // the sigmoid's slope shows each rounding of larger products
  );
});

Deno.test("a product is not fused with what its own operand is computed from", async () => {
  const f = (x: Tensor, w: Tensor) => {
    const h = square(x);
    return add(matmul(h, w), h);
  };
  const reference = ({ data: x }: Values, { data: w }: Values) =>
    x.map((v, at) => {
      let total = v * v;
      for (let k = 0; k < 4; k++) total += x[at - at % 4 + k]! ** 2 * w[k * 4 + at % 4]!;
      return total;
    });
  const inputs = [randomTensor([4, 4], 1), randomTensor([4, 4], 2)];
  await checkOp(f, inputs, reference);
  await checkOp((x, w) => add(f(x, w), x), inputs, (x, w) => reference(x, w).map((v, i) => v + x.data[i]!));
  assertEquals(kernels(await compile(f).program(f32(4, 4), f32(4, 4))), ["square", "copy", "matmul+add"]);
});

Deno.test("the same operand twice: a square, a Gram matrix, two arguments with one tensor", async () => {
  const gram = ({ data: x }: Values) =>
    Array.from({ length: 9 }, (_, at) => {
      const [i, j] = [Math.floor(at / 3), at % 3];
      return [0, 1, 2].reduce((all, k) => all + x[i * 3 + k]! * x[k * 3 + j]!, 0);
    });
  await checkOp((x) => matmul(x, x), [randomTensor([3, 3], 1)], gram);
  await checkOp((x) => multiply(add(x, x), x), [randomTensor([5], 2)], elementwise((x) => 2 * x * x));
  const both = compile((a: Tensor, b: Tensor) => add(multiply(a, 2), b));
  const x = tensor([1, 2, 3]);
  assertEquals([...await toHost(await both(x, x))], [3, 6, 9]);
  const y = await both(x, x);
  assertEquals([...await toHost(await both(y, y))], [9, 18, 27]);
});

Deno.test("ops of different shapes with as many elements share a kernel only through views that keep rows", async () => {
  const f = (x: Tensor, y: Tensor) => tanh(add(reshape(multiply(x, 2), [2, 12]), y));
  assertEquals(kernels(await compile(f).program(f32(6, 4), f32(2, 12))), ["multiply+add+tanh"]);
  assertEquals(kernels(await compile(f).program(f32(8, 3), f32(2, 12))).length, 2);
  for (const shape of [[6, 4], [8, 3], [24]]) {
    const reference = elementwise((a, b) => Math.tanh(2 * a + b));
    const flat = (x: Values, y: Values) => reference({ ...x, shape: [24] }, { ...y, shape: [24] });
    await checkOp(f, [randomTensor(shape, 1), randomTensor([2, 12], 2)], flat);
  }
});

Deno.test("a dropout mask is computed again in the backward pass and never stored", async () => {
  const loss = (x: Tensor, words: Tensor) => sum(dropout(square(x), 0.1, foldIn(randomKey(words), 1)));
  const f = compile((x: Tensor, words: Tensor) => valueAndGrad(loss)(x, words));
  const program = await f.program(f32(64, 16), placeholder({ shape: [2], dtype: "u32" }));
  const stored = program.plan.slots.map((s) => s.name);
  assertEquals(stored.filter((name) => /random|greaterEqual/.test(name)), []);
});

Deno.test("checkpoint() computes intermediates again and needs less memory", async () => {
  const layer = (x: Tensor, w: Tensor) => tanh(matmul(tanh(matmul(tanh(matmul(x, w)), w)), w));
  const loss = (wrap: typeof layer) => (ws: Tensor[], x: Tensor) => mean(square(ws.reduce((h, w) => wrap(h, w), x)));
  const ws = Array.from({ length: 6 }, () => f32(16, 16)), x = f32(256, 16);
  const plain = await compile(grad(loss(layer))).program(ws, x);
  const saving = await compile(grad(loss(checkpoint(layer)))).program(ws, x);
  const products = (p: Program) => kernels(p).filter((k) => k.startsWith("matmul")).length;
  assert(products(saving) > products(plain), `${products(saving)} products after ${products(plain)}`);
  assert(saving.arenaBytes < 0.7 * plain.arenaBytes, `${saving.arenaBytes} bytes after ${plain.arenaBytes}`);
});

Deno.test("results nobody asks for are not computed", async () => {
  const f = compile((x: Tensor) => {
    matmul(x, x);
    exp(x);
    return relu(x);
  });
  assertEquals(kernels(await f.program(f32(4, 4))), ["relu"]);
});

Deno.test("constants, positions and what is made of them alone are computed where they are used, evaluated or not", async () => {
  const row = add(cast(iota([1, 4], 1), "f32"), full([], 10)),
    column = multiply(full([3, 1], 2), full([1, 1], 3));
  const f = compile((x: Tensor) => add(multiply(x, column), row));
  const expected = [16, 17, 18, 19, 16, 17, 18, 19, 16, 17, 18, 19];
  const ones = tensor(new Float32Array(12).fill(1), [3, 4]);
  assertEquals([...await toHost(await f(ones))], expected);
  assertEquals(kernels(await f.program(ones)).length, 2); // positions along a broadcast axis are stored once
  await evaluate([row, column]);
  const g = compile((x: Tensor) => add(multiply(x, column), row));
  assertEquals([...await toHost(await g(ones))], expected);
});

Deno.test("a chain of 8,000 ops and a value made of 2 ** 40 paths are planned without recursion over all of them", async () => {
  const chain = (x: Tensor) =>
    Array.from({ length: 4000 }).reduce((y: Tensor, _, i) => add(multiply(y, y), i % 5 ? y : x), x);
  await compile(chain).program(f32(4));
  let doubling = full([4], 1.5);
  for (let i = 0; i < 40; i++) doubling = multiply(doubling, doubling);
  assertEquals(kernels(await compile((x: Tensor) => add(x, doubling)).program(f32(4))).length, 1);
});

Deno.test("a sum of many tensors is split over kernels that bind what the adapter allows", async () => {
  const count = 60, parts = Array.from({ length: count }, (_, i) => tensor([i, 2 * i]));
  const f = compile((xs: Tensor[]) => xs.slice(1).reduce((all, x) => add(all, x), xs[0]!));
  assertEquals([...await toHost(await f(parts))], [count * (count - 1) / 2, count * (count - 1)]);
  for (const s of (await f.program(parts)).plan.steps) assert(s.bindings.length <= 16);
});

Deno.test("random graphs of element-wise ops, products and reductions equal their float64 evaluation", async () => {
  for (let seed = 1; seed <= 4; seed++) await checkRandomGraph(seed);
});

/** A random graph over [4, 4] matrices whose every value also feeds the result. */
async function checkRandomGraph(seed: number): Promise<void> {
  const choices = randomTensor([60], seed, 0.5, 0.5).data;
  const pick = (at: number, n: number) => Math.min(n - 1, Math.floor(choices[at]! * n));
  const build = <T>(inputs: T[], ops: Ops<T>): T => {
    const values = [...inputs];
    for (let i = 0; i < 14; i++) {
      const a = values[pick(3 * i, values.length)]!, b = values[pick(3 * i + 1, values.length)]!;
      values.push([ops.add, ops.multiply, ops.product, ops.tanh, ops.scaleBySum][pick(3 * i + 2, 5)]!(a, b));
    }
    return values.reduce((x, y) => ops.add(x, y));
  };
  const inputs = [randomTensor([4, 4], seed + 50, 0.5), randomTensor([4, 4], seed + 90, 0.5)];
  const f = (...x: Tensor[]) =>
    build<Tensor>(x, {
      add,
      multiply,
      tanh,
      product: (a, b) => tanh(matmul(a, b)),
      scaleBySum: (a, b) => multiply(a, tanh(sum(b))),
    });
  await checkOp(f, inputs, (...x) => build(x.map((v) => v.data), hostOps), {
    gradientTolerance: 3e-4,
    edges: { domain: (x) => within(x, 1) }, // 14 ops on one another: larger numbers bend too much for differences
  });
}

function within(x: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, x));
}

interface Ops<T> {
  add(a: T, b: T): T;
  multiply(a: T, b: T): T;
  product(a: T, b: T): T;
  tanh(a: T, b: T): T;
  scaleBySum(a: T, b: T): T;
}

const hostOps: Ops<Float64Array> = {
  add: (a, b) => a.map((v, i) => v + b[i]!),
  multiply: (a, b) => a.map((v, i) => v * b[i]!),
  product: (a, b) =>
    a.map((_, at) => Math.tanh([0, 1, 2, 3].reduce((t, k) => t + a[at - at % 4 + k]! * b[k * 4 + at % 4]!, 0))),
  tanh: (a) => a.map(Math.tanh),
  scaleBySum: (a, b) => a.map((v) => v * Math.tanh(b.reduce((x, y) => x + y))),
};

Deno.test("kernels that wait for one another through a third are not joined", async () => {
  const f = (x: Tensor, y: Tensor): Tensor[] => {
    const first = sin(x), total = sum(first, { axes: [0] }), other = cos(y);
    return [add(first, other), add(total, other)]; // the former joins `first`, so the latter must not join `other`
  };
  const x = randomTensor([3, 3], 1), y = randomTensor([3], 2);
  const [wide, narrow] = await toHost(await compile(f)(tensor(x.data, x.shape), tensor(y.data)));
  const expected = [...x.data].map((v, i) => Math.sin(v) + Math.cos(y.data[i % 3]!));
  assertClose(wide!, expected);
  assertClose(
    narrow!,
    [0, 1, 2].map((i) => [0, 3, 6].reduce((s, r) => s + Math.sin(x.data[r + i]!), Math.cos(y.data[i]!))),
  );
});
