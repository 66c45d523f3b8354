import { assertAlmostEquals, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { logSoftmax, logSumExp, softmax, softmaxOps } from "../../src/ops/softmax.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { placeholder, runOp } from "../testing/run_op.ts";
import * as reference from "../testing/reference.ts";
import { assertClose, assertGradient, eachRow, randomTensor, testOnEachKind } from "../testing/reference.ts";

const shapes = [[1, 1], [3, 7], [40, 64], [17, 100], [2, 1033], [2, 4100], [2, 30_521]] as const;

const logSoftmaxOfRow = (row: ArrayLike<number>) => {
  const lse = reference.logSumExp(row);
  return Array.from(row, (v) => v - lse);
};

testOnEachKind("softmax, logSoftmax and logSumExp equal the float64 reference", async (device) => {
  for (const [rows, length] of shapes) {
    for (const scale of [1, 1e4]) {
      const x = randomTensor([rows, length], length, scale);
      const [p] = await runOp(softmaxOps.softmax, [x], undefined, device);
      assertClose(p!, eachRow(x.data, length, reference.softmax), 1e-5);
      const [l] = await runOp(softmaxOps.logSoftmax, [x], undefined, device);
      assertClose(l!, eachRow(x.data, length, logSoftmaxOfRow), 1e-6);
      const [lse] = await runOp(softmaxOps.logSumExp, [x], undefined, device);
      assertClose(lse!, eachRow(x.data, length, (row) => [reference.logSumExp(row)]), 1e-6);
    }
  }
});

testOnEachKind("softmax of masked and of equal scores stays finite", async (device) => {
  const rows = [[-1e30, 0, -1e30, 1], [-1e30, -1e30, -1e30, -1e30], [1e4, 1e4, 1e4, 1e4], [1e4, -1e4, 0, -1e4]];
  const [p] = await runOp(
    softmaxOps.softmax,
    [{ data: Float32Array.from(rows.flat()), shape: [4, 4] }],
    undefined,
    device,
  );
  const e = Math.exp(1);
  const expected = [0, 1 / (1 + e), 0, e / (1 + e), ...Array(8).fill(0.25), 1, 0, 0, 0];
  expected.forEach((v, i) => assertAlmostEquals(p![i]!, v, 1e-6));
});

testOnEachKind("the gradients of softmax and logSoftmax equal finite differences", async (device) => {
  for (const [rows, length] of shapes) {
    const x = randomTensor([rows, length], 7, 3), dy = randomTensor([rows, length], 8);
    for (const [name, f] of [["softmax", reference.softmax], ["logSoftmax", logSoftmaxOfRow]] as const) {
      const [y] = await runOp(softmaxOps[name], [x], undefined, device);
      const [dx] = await runOp(softmaxOps[`${name}Grad`], [{ ...x, data: y! }, dy], undefined, device);
      assertGradient((v) => eachRow(v, length, f), x.data, dy.data, dx!);
    }
  }
});

Deno.test("softmax(), logSoftmax() and logSumExp() have the right gradients", async () => {
  const x = randomTensor([3, 2, 7], 1, 3);
  await checkOp((a) => softmax(a), [x], (a) => eachRow(a!.data, 7, reference.softmax));
  await checkOp((a) => logSoftmax(a), [x], (a) => eachRow(a!.data, 7, logSoftmaxOfRow));
  await checkOp((a) => logSumExp(a), [x], (a) => eachRow(a!.data, 7, (row) => [reference.logSumExp(row)]));
});

Deno.test("the gradients of softmax() and logSoftmax() have the right gradients", async () => {
  const inputs = [randomTensor([3, 8], 1, 2), randomTensor([3, 8], 2)];
  const gradientOf = (f: (x: Tensor) => Tensor) => (x: Tensor, w: Tensor) =>
    grad((a: Tensor) => sum(multiply(f(a), w)))(x);
  await checkOp(gradientOf(softmax), inputs, (x, w) =>
    eachRow(x!.data, 8, (row, r) => {
      const p = reference.softmax(row), dy = w!.data.slice(8 * r, 8 * r + 8);
      const mean = dy.reduce((a, v, i) => a + v * p[i]!, 0);
      return p.map((v, i) => v * (dy[i]! - mean));
    }));
  await checkOp(gradientOf(logSoftmax), inputs, (x, w) =>
    eachRow(x!.data, 8, (row, r) => {
      const dy = w!.data.slice(8 * r, 8 * r + 8), all = dy.reduce((a, v) => a + v, 0);
      return reference.softmax(row).map((v, i) => dy[i]! - v * all);
    }));
});

Deno.test("softmax() refuses integers and scalars", () => {
  assertThrows(() => softmax(placeholder([3], "i32")), TypeError, "must be (f32 or f16)[...,length]: it is i32[3]");
  assertThrows(() => softmax(placeholder([])), RangeError, "the input must be (f32 or f16)[...,length]: it is f32[]");
});
