import { assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { max, maxOp } from "../../src/ops/max.ts";
import { mean, sum, sumOp } from "../../src/ops/reduce.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { placeholder, runOp } from "../testing/run_op.ts";
import { assertClose, randomTensor, reduceMiddle, testOnEachKind } from "../testing/reference.ts";

// [outer, length, inner], reduced along length.
const extents: [number, number, number][] = [
  [1, 1, 1],
  [1, 7, 1],
  [5, 13, 1],
  [37, 64, 1],
  [1, 70001, 1],
  [3, 10004, 1],
  [1, 13, 3],
  [1, 520, 12],
  [2, 301, 5],
  [1, 2080, 128],
  [7, 3, 33],
  [3, 70000, 1],
  [33, 70001, 1],
  [1, 70001, 36],
];

testOnEachKind("sum and max reduce any axis like the float64 reference", async (device) => {
  for (const extent of extents) {
    const x = randomTensor(extent, 1 + extent[1]);
    const attrs = { axis: 1, count: 1, scale: 1 };
    const [total] = await runOp(sumOp, [x], { ...attrs, scale: 0.5 }, device);
    const expected = reduceMiddle(x.data, extent, (a, b) => a + b, 0);
    assertClose(total!, expected.map((v) => v / 2), 1e-5, 1e-5);
    const [top] = await runOp(maxOp, [x], attrs, device);
    assertEquals(Array.from(top!), Array.from(reduceMiddle(x.data, extent, Math.max, -Infinity)));
  }
});

testOnEachKind("sum of a million equal numbers loses no digits", async (device) => {
  const x = { data: new Float32Array(1 << 20).fill(0.1), shape: [1 << 20] };
  const [total] = await runOp(sumOp, [x], { axis: 0, count: 1, scale: 1 }, device);
  assertClose(total!, [Math.fround(0.1) * 2 ** 20], 1e-6);
});

Deno.test("sum(), mean() and max() over scattered axes have the right gradients", async () => {
  const x = randomTensor([3, 4, 5], 1);
  const outer = (data: ArrayLike<number>) => reduceMiddle(data, [3, 4, 5], (a, b) => a + b, 0);
  const both = (data: ArrayLike<number>) => {
    const rows = outer(data);
    return Array.from({ length: 5 }, (_, i) => rows[i]! + rows[5 + i]! + rows[10 + i]!);
  };
  await checkOp((a) => sum(a, { axes: [0, 1] }), [x], (a) => both(a!.data));
  await checkOp((a) => mean(a, { axes: [1], keepDims: true }), [x], (a) => outer(a!.data).map((v) => v / 4));
  await checkOp((a) => sum(a, { axes: [0, 2] }), [x], ({ data }) => {
    return [0, 1, 2, 3].map((j) => data.filter((_, i) => Math.floor(i / 5) % 4 === j).reduce((s, v) => s + v, 0));
  });
  await checkOp((a) => max(a, { axes: [-2] }), [x], (a) => reduceMiddle(a!.data, [3, 4, 5], Math.max, -Infinity), {
    edges: { kinks: "any number of elements may be equal: see the next test" },
  });
});

Deno.test("max() divides its gradient evenly among equal largest elements", async () => {
  const x = tensor([3, 1, 3, 3, 0, -0, -1, -2, 5, 5, 4, 4], [3, 4]);
  const gradient = await toHost(grad((a: Tensor) => sum(multiply(max(a, { axes: [1] }), tensor([3, 4, 6]))))(x));
  assertClose(gradient, [1, 0, 1, 1, 2, 2, 0, 0, 3, 3, 0, 0]);
});

Deno.test("sum(), mean() and max() have the shape that axes and keepDims ask for", () => {
  const x = placeholder([2, 3, 1, 5]);
  assertEquals(sum(x).shape, []);
  assertEquals(sum(x, { keepDims: true }).shape, [1, 1, 1, 1]);
  assertEquals(mean(x, { axes: [0, 3] }).shape, [3, 1]);
  assertEquals(max(x, { axes: [-1], keepDims: true }).shape, [2, 3, 1, 1]);
  assertEquals(sum(x, { axes: [2] }).shape, [2, 3, 5]);
});

Deno.test("sum() refuses an axis that does not exist, mean() integers", () => {
  assertThrows(
    () => sum(placeholder([2, 3]), { axes: [2] }),
    RangeError,
    "axis must be an integer from -2 to 1: axis is 2",
  );
  assertThrows(() => mean(placeholder([2, 3], "i32")), TypeError, "must be f32 or f16: it is i32");
});
