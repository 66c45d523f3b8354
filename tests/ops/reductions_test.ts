import { assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { softmaxLoss } from "../../src/losses/softmax_loss.ts";
import { all, any } from "../../src/ops/any.ts";
import { argmax, argmin } from "../../src/ops/argmax.ts";
import { crossEntropy } from "../../src/ops/cross_entropy.ts";
import { cast, multiply } from "../../src/ops/elementwise.ts";
import { gather } from "../../src/ops/gather.ts";
import { layerNorm } from "../../src/ops/layer_norm.ts";
import { max, maxOp, min, minOp } from "../../src/ops/max.ts";
import { l2Normalize, norm } from "../../src/ops/norm.ts";
import { groupNorm, rmsNorm } from "../../src/ops/norms.ts";
import { prod, prodOp } from "../../src/ops/prod.ts";
import { mean, type ReduceOptions, sum, sumOp } from "../../src/ops/reduce.ts";
import { cumprod, cumsum, logCumsumExp } from "../../src/ops/scan.ts";
import { logSoftmax, logSumExp, softmax } from "../../src/ops/softmax.ts";
import { argsort, sort } from "../../src/ops/sort.ts";
import { topK } from "../../src/ops/top_k.ts";
import { transpose } from "../../src/ops/transpose.ts";
import { std, variance } from "../../src/ops/variance.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { placeholder, runOp } from "../testing/run_op.ts";
import { assertClose, randomIds, randomTensor, reduceMiddle, testOnEachKind } from "../testing/reference.ts";
import * as reference from "../testing/reference.ts";
import { testWhere } from "../testing/where.ts";

const { f16 } = (await defaultDevice()).profile;
const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));
const attrs = { axis: 1, count: 1, scale: 1 };
const extents: [number, number, number][] = [[1, 1, 1], [5, 13, 1], [3, 8, 1], [2, 10_004, 1], [1, 520, 12], [
  2,
  301,
  5,
]];

/** The groups of elements that a reduction of a [3, 4, 5] tensor over `axes` takes together, in row-major order. */
function groups({ data, shape }: Values, axes: readonly number[]): number[][] {
  const found = new Map<number, number[]>(),
    strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  data.forEach((v, i) => {
    const key = strides.reduce((k, s, axis) => axes.includes(axis) ? k : k * 10 + Math.floor(i / s) % shape[axis]!, 0);
    found.set(key, [...found.get(key) ?? [], v]);
  });
  return [...found.entries()].sort(([a], [b]) => a - b).map(([, v]) => v);
}

const over = (axes: readonly number[], f: (v: number[]) => number) => (x?: Values) => groups(x!, axes).map(f);
const someAxes = [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]];
const negative = (axes: readonly number[]): number[] => axes.map((a) => a - 3);

testOnEachKind("min and prod reduce any axis like the float64 reference", async (device) => {
  for (const extent of extents) {
    const x = randomTensor(extent, 1 + extent[1]);
    const [least] = await runOp(minOp, [x], attrs, device);
    assertEquals(Array.from(least!), Array.from(reduceMiddle(x.data, extent, Math.min, Infinity)));
    const data = (x.data as Float32Array).map((v) => (v < 0 ? -1 : 1) * (1 + v / 50));
    const [product] = await runOp(prodOp, [{ data, shape: extent }], attrs, device);
    assertClose(product!, reduceMiddle(data, extent, (a, b) => a * b, 1), 2e-4);
  }
});

testOnEachKind("sum, prod, max and min of integers are exact", async (device) => {
  for (const extent of extents) {
    for (const dtype of ["i32", "u32"] as const) {
      const x = randomIds(
        extent,
        extent[1],
        dtype === "i32" ? -(2 ** 31) : 0,
        dtype === "i32" ? 2 ** 31 : 2 ** 32,
        dtype,
      );
      const wrap = (n: number): number => dtype === "i32" ? n | 0 : n >>> 0;
      const cases = [
        [sumOp, (a: number, b: number) => wrap(a + b), 0],
        [prodOp, (a: number, b: number) => wrap(Math.imul(a, b)), 1],
        [maxOp, Math.max, -Infinity],
        [minOp, Math.min, Infinity],
      ] as const;
      for (const [op, combine, start] of cases) {
        const [y] = await runOp(op, [x], attrs, device);
        assertEquals(
          Array.from(y!),
          Array.from(reduceMiddle(x.data, extent, combine, start)),
          `${op.name} of ${dtype}`,
        );
      }
    }
  }
});

testOnEachKind("min and prod with NaN are NaN; min of Infinity alone is Infinity", async (device) => {
  for (const [length, inner] of [[3, 1], [8, 1], [1033, 1], [10_004, 1], [13, 3], [520, 4]] as const) {
    for (const at of [0, length - 1]) {
      const data = Float32Array.from(randomTensor([length, inner], 2).data);
      data[at * inner] = NaN;
      for (const op of [minOp, prodOp]) {
        const [y] = await runOp(op, [{ data, shape: [1, length, inner] }], attrs, device);
        assertEquals(Array.from(y!, Number.isNaN), Array.from({ length: inner }, (_, i) => i === 0), op.name);
      }
    }
    const [y] = await runOp(
      minOp,
      [{ data: new Float32Array(length * inner).fill(Infinity), shape: [1, length, inner] }],
      attrs,
      device,
    );
    assertEquals([...y!], Array(inner).fill(Infinity));
  }
});

Deno.test("min(), prod(), variance(), std() and norm() have the right gradients over any axes", async () => {
  const x = randomTensor([3, 4, 5], 1), kinks = { edges: { kinks: "equal elements: see the tests of ties and zeros" } };
  const squares = (v: number[]): number => {
    const m = v.reduce((a, b) => a + b) / v.length;
    return v.reduce((a, b) => a + (b - m) ** 2, 0);
  };
  const middle = (below: number, above: number): number => (below + above) / 2; // of a length at 0
  const moderate = { edges: { domain: (v: number) => Math.abs(v) > 100 ? v / 1e3 : v } };
  for (const axes of someAxes) {
    const options = { axes: negative(axes) };
    await checkOp((a) => min(a, options), [x], over(axes, (v) => Math.min(...v)), kinks);
    await checkOp((a) => variance(a, options), [x], over(axes, (v) => squares(v) / v.length), {
      ...moderate,
      tolerance: 1e-5,
    });
    await checkOp(
      (a) => norm(a, { ...options, ord: 1 }),
      [x],
      over(axes, (v) => v.reduce((s, e) => s + Math.abs(e), 0)),
      kinks,
    );
    await checkOp(
      (a) => norm(a, { ...options, ord: Infinity }),
      [x],
      over(axes, (v) => Math.max(...v.map(Math.abs))),
      kinks,
    );
    await checkOp((a) => norm(a, options), [x], over(axes, (v) => Math.hypot(...v)), { edges: { kinks: middle } });
    await checkOp(
      (a) => variance(a, { ...options, correction: 1, keepDims: true }),
      [x],
      over(axes, (v) => squares(v) / (v.length - 1)),
      moderate,
    );
    await checkOp(
      (a) => std(a, { ...options, correction: 1 }),
      [x],
      over(axes, (v) => Math.sqrt(squares(v) / (v.length - 1))),
      { edges: { ...moderate.edges, kinks: middle } },
    );
    await checkOp((a) => logSumExp(a, options), [x], over(axes, (v) => reference.logSumExp(v)));
    if (axes.length > 1) continue; // a product of 20 elements has no scale for a test
    await checkOp((a) => prod(a, options), [x], over(axes, (v) => v.reduce((p, e) => p * e)), {
      edges: { domain: (v) => Math.sign(v) * Math.min(Math.abs(v), 30) },
    });
  }
});

Deno.test("prod() has exact gradients with one zero and with two in a row, first and second ones", async () => {
  const x = { data: Float32Array.of(2, 0, 3, 4, 5, 0, 0, 3, 1, -2, 3, 0.5), shape: [3, 4] };
  await checkOp((a) => prod(a, { axes: [1] }), [x], over([1], (v) => v.reduce((p, e) => p * e)), {
    edges: { domain: (v) => Math.sign(v) * Math.min(Math.abs(v), 30) },
  });
  const gradient = await host(grad((a: Tensor) => sum(prod(a, { axes: [1] })))(tensor(x.data, x.shape)));
  assertEquals(gradient, [0, 24, 0, 0, 0, 0, 0, 0, -3, 1.5, -1, -6]);
  const first = (a: Tensor): Tensor => grad((v: Tensor) => sum(prod(v, { axes: [1] })))(a);
  await checkOp(
    first,
    [x],
    (v) => groups(v!, [1]).flatMap((row) => row.map((_, i) => row.reduce((p, e, j) => j === i ? p : p * e, 1))),
    {
      edges: { domain: (v) => Math.sign(v) * Math.min(Math.abs(v), 30) },
    },
  );
});

Deno.test("min() divides its gradient evenly among equal smallest elements", async () => {
  const x = tensor([3, 1, 1, 3, 0, -0, 5, 2], [2, 4]);
  const gradient = await host(grad((a: Tensor) => sum(multiply(min(a, { axes: [1] }), tensor([3, 4]))))(x));
  assertClose(gradient, [0, 1.5, 1.5, 0, 2, 2, 0, 0]);
});

Deno.test("std() and norm() of equal numbers are exact, with gradient 0; a large mean costs no digits", async () => {
  const same = tensor(new Float32Array(12).fill(-12345.678), [2, 6]), zeros = tensor(new Float32Array(4));
  assertEquals(await host(std(same, { axes: [1] })), [0, 0]);
  assertEquals(await host(grad((a: Tensor) => sum(std(a, { axes: [1] })))(same)), Array(12).fill(0));
  assertEquals(await host(grad((a: Tensor) => norm(a))(zeros)), [0, 0, 0, 0]);
  assertEquals(await host(norm(zeros)), [0]);
  const shifted = Float32Array.from([1, 2, 3, 4, 5], (v) => 1e6 + v);
  assertClose(await host(variance(tensor(shifted))), [2], 1e-6);
});

Deno.test("norm() neither overflows nor vanishes, and keeps infinities and NaN", async () => {
  const x = tensor([3e30, -4e30, 3e-30, 4e-30, Infinity, 1, NaN, 1], [4, 2]);
  const [large, small, infinite, nan] = await host(norm(x, { axes: [1] }));
  assertClose([large! / 1e30, small! / 1e-30], [5, 5], 1e-6);
  assertEquals([infinite, nan], [Infinity, NaN]);
  for (const f of [std, variance]) assertEquals(await host(f(tensor([1, NaN, 2]))), [NaN]);
});

Deno.test("l2Normalize() gives vectors of length 1, and 0 for 0, with the right gradients", async () => {
  const reference = over([1], (v) => Math.hypot(...v));
  await checkOp((a) => l2Normalize(a), [randomTensor([3, 5], 1)], (x) => {
    const lengths = reference(x);
    return x!.data.map((v, i) => v / lengths[Math.floor(i / 5)]!);
  });
  assertEquals(await host(l2Normalize(tensor([0, 0, 3, 4], [2, 2]))), [0, 0, 0.6000000238418579, 0.800000011920929]);
  assertEquals(await host(grad((a: Tensor) => sum(l2Normalize(a, { eps: 0.5 })))(tensor([0, 0]))), [2, 2]);
});

Deno.test("any() and all() tell zeros from other numbers; NaN is not 0", async () => {
  const rows = [[0, -0, 0], [0, NaN, 0], [1, -1, 1e-40], [0, 2, 3]], x = tensor(rows.flat(), [4, 3]);
  assertEquals(await host(any(x, { axes: [1] })), [0, 1, 1, 1]);
  assertEquals(await host(all(x, { axes: [1] })), [0, 0, 1, 0]);
  assertEquals(await host(any(x, { axes: [-2], keepDims: true })), [1, 1, 1]);
  for (const data of [Int32Array.of(0, -1, 0, 0), Uint32Array.of(0, 2 ** 31, 0, 0)]) {
    assertEquals(await host(any(tensor(data, [2, 2]), { axes: [1] })), [1, 0]);
    assertEquals(await host(all(tensor(data))), [0]);
  }
});

Deno.test("logSumExp() of a row with Infinity is Infinity, with NaN NaN", async () => {
  for (const length of [4, 5, 1033]) {
    const data = new Float32Array(3 * length).fill(1);
    data[1] = data[length + 2] = data[2 * length + 3] = Infinity;
    data[length] = NaN;
    data[2 * length] = Infinity;
    assertEquals(await host(logSumExp(tensor(data, [3, length]))), [Infinity, NaN, Infinity]);
  }
  assertEquals(logSumExp(placeholder([2, 3, 4]), { axes: [0, -1], keepDims: true }).shape, [1, 3, 1]);
  assertEquals(logSumExp(placeholder([2, 3, 4])).shape, [2, 3]);
});

Deno.test("softmax() and logSoftmax() work along any axis, with the right gradients", async () => {
  for (const axis of [0, 1, 2]) {
    const x = randomTensor([3, 4, 5], axis, 2), stride = [20, 5, 1][axis]!, n = x.shape[axis]!;
    const lseOf = (v: Values, i: number): number => {
      const start = i - Math.floor(i / stride) % n * stride;
      return reference.logSumExp(Array.from({ length: n }, (_, k) => v.data[start + k * stride]!));
    };
    await checkOp((a) => softmax(a, { axis }), [x], (v) => v!.data.map((e, i) => Math.exp(e - lseOf(v!, i))));
    await checkOp((a) => logSoftmax(a, { axis: axis - 3 }), [x], (v) => v!.data.map((e, i) => e - lseOf(v!, i)));
  }
});

testWhere(
  f16,
  "the adapter has none",
  "reductions, scans, sorts and norms of f16 are those of the same numbers in f32",
  async () => {
    const wide = tensor(randomTensor([4, 6], 1).data as Float32Array, [4, 6]), half = cast(wide, "f16");
    const same = cast(half, "f32"), options: ReduceOptions = { axes: [1] };
    const ops: ((x: Tensor) => Tensor)[] = [
      ...[sum, mean, max, min, prod, variance, std, norm, logSumExp, any, all].map((f) => (x: Tensor) => f(x, options)),
      ...[cumsum, cumprod, logCumsumExp, sort].map((f) => (x: Tensor) => f(x, { axis: 0 })),
      (x) => topK(x, 2)[0],
      (x) => l2Normalize(x),
      (x) => groupNorm(x, 2, tensor([1, 2, 3, 4, 5, 6]), tensor([1, 0, 0, 0, 0, 0]), 1e-5),
      (x) => rmsNorm(x, tensor([1, 2, 3, 4, 5, 6]), 1e-5),
      (x) => layerNorm(x, tensor([1, 2, 3, 4, 5, 6]), tensor([1, 0, 0, 0, 0, 0]), 1e-5),
      (x) => softmax(x, { axis: 0 }),
      (x) => logSoftmax(x),
      (x) => transpose(x),
    ];
    for (const index of [argmax, argmin, argsort]) assertEquals(await host(index(half)), await host(index(same)));
    for (const op of ops) {
      assertEquals(op(half).dtype, "f32");
      assertEquals(await host(op(half)), await host(op(same)));
    }
    assertEquals(
      await host(grad((x: Tensor) => sum(max(cast(x, "f16"), options)))(same)),
      await host(grad((x: Tensor) => sum(max(x, options)))(same)),
    );
  },
);

Deno.test("labels and ids may be u32 as well as i32, as argmax() gives them", async () => {
  const x = tensor(randomTensor([3, 5], 1).data as Float32Array, [3, 5]);
  const keys = tensor(randomTensor([4, 5], 2).data as Float32Array, [4, 5]);
  const losses: ((x: Tensor, labels: Tensor) => Tensor)[] = [
    (a, labels) => crossEntropy(a, labels)[0],
    (a, labels) => softmaxLoss({ queries: a, keys }, { targets: { labels } }),
    (a, labels) =>
      softmaxLoss({ queries: a, keys }, { targets: { labels }, soft: { logits: { queries: a, keys }, weight: 0.5 } }),
    (a, labels) => gather(a, labels),
  ];
  for (const loss of losses) {
    const both = async (labels: Tensor): Promise<number[]> => [
      ...await host(loss(x, labels)),
      ...await host(grad((a: Tensor) => sum(loss(a, labels)))(x)),
    ];
    const labels = argmax(tensor([0, 1, 2, 3, 1, 0, 1, 0, 2], [3, 3]));
    assertEquals(await host(labels), [2, 0, 2]);
    assertEquals(await both(labels), await both(tensor(Int32Array.of(2, 0, 2))));
  }
});

Deno.test("variance() refuses a correction that leaves nothing, norm() an order it does not know, mean() integers", () => {
  const x = placeholder([1, 3]);
  assertThrows(() => variance(x, { axes: [0], correction: 1 }), RangeError, "there are 1, and it is 1");
  assertThrows(() => norm(x, { ord: 3 as 1 }), RangeError, "ord must be 1, 2 or Infinity: it is 3");
  assertThrows(() => std(placeholder([3], "u32")), TypeError, "must be f32 or f16: it is u32");
  assertThrows(() => prod(x, { axes: [-3] }), RangeError, "Cannot apply prod: axis must be an integer from -2 to 1");
});
