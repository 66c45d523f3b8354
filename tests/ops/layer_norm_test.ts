import { grad } from "../../src/autograd/grad.ts";
import { full } from "../../src/ops/full.ts";
import { sum } from "../../src/ops/reduce.ts";
import { slice } from "../../src/ops/shape.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { layerNorm, layerNormGradOp, layerNormOp } from "../../src/ops/layer_norm.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { roomyDevice } from "../testing/roomy.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { checkSecondDerivatives } from "../testing/second_derivative.ts";
import { type HostTensor, placeholder, runOp } from "../testing/run_op.ts";
import * as reference from "../testing/reference.ts";
import { assertClose, assertGradient, randomTensor, testOnEachKind } from "../testing/reference.ts";

const shapes = [[1, 1], [3, 7], [5, 128], [130, 36], [2, 1037], [3, 2052], [600, 8]] as const;

function parameters(length: number): [HostTensor, HostTensor] {
  return [randomTensor([length], 2, 1, 1), randomTensor([length], 3)];
}

testOnEachKind("layerNorm equals the float64 reference", async (device) => {
  for (const [rows, length] of shapes) {
    const x = randomTensor([rows, length], 1, 2, 0.5);
    const [gamma, beta] = parameters(length);
    const [y, , rstd] = await runOp(layerNormOp, [x, gamma, beta], { eps: 1e-6 }, device);
    assertClose(y!, reference.layerNorm(x.data, gamma.data, beta.data, 1e-6), 2e-6, 1e-6);
    assertClose(rstd!, reference.eachRow(x.data, length, (row) => [reference.moments(row, 1e-6).rstd]), 1e-6);
  }
});

testOnEachKind("layerNorm of constant rows is beta, even with eps 1e-12", async (device) => {
  for (const length of [3, 64, 100]) {
    const values = [0.1, -12345.678, 1e-20, 3e18];
    const x = { data: Float32Array.from(values.flatMap((v) => Array(length).fill(v))), shape: [values.length, length] };
    const [gamma, beta] = parameters(length);
    const [y] = await runOp(layerNormOp, [x, gamma, beta], { eps: 1e-12 }, device);
    assertEquals(Array.from(y!), values.flatMap(() => Array.from(beta.data)));
  }
});

testOnEachKind("layerNorm keeps the digits of shrunken inputs and of a large mean", async (device) => {
  const [gamma, beta] = parameters(96);
  for (const [scale, shift] of [[1e-6, 0], [1e-5, 1e-5], [1, 4096], [1e4, -1e4]] as const) {
    const x = randomTensor([4, 96], 5, scale, shift);
    for (const eps of [1e-6, 1e-12]) {
      const [y] = await runOp(layerNormOp, [x, gamma, beta], { eps }, device);
      assertClose(y!, reference.layerNorm(x.data, gamma.data, beta.data, eps), 1e-5);
    }
  }
});

testOnEachKind("layerNormGrad equals finite differences of the reference", async (device) => {
  for (const [rows, length] of shapes) {
    if (length === 1) continue;
    const x = randomTensor([rows, length], 1);
    const dy = randomTensor([rows, length], 4);
    const [gamma, beta] = parameters(length);
    const [, offset, rstd] = await runOp(layerNormOp, [x, gamma, beta], { eps: 1e-6 }, device);
    const statistics = [offset, rstd].map((data) => ({ data: data!, shape: [rows] }));
    const inputs = [x, gamma, ...statistics, dy];
    const [dx, dgamma, dbeta] = await runOp(layerNormGradOp, inputs, { eps: 1e-6 }, device);
    const f = (a: ArrayLike<number>, b: ArrayLike<number>, c: ArrayLike<number>) => reference.layerNorm(a, b, c, 1e-6);
    assertGradient((v) => f(v, gamma.data, beta.data), x.data, dy.data, dx!);
    assertGradient((v) => f(x.data, v, beta.data), gamma.data, dy.data, dgamma!);
    assertGradient((v) => f(x.data, gamma.data, v), beta.data, dy.data, dbeta!);
  }
});

testOnEachKind("layerNormGrad adds up thousands of rows in stages", async (device) => {
  const [rows, length] = [2081, 24];
  const x = randomTensor([rows, length], 1), dy = randomTensor([rows, length], 4);
  const [gamma, beta] = parameters(length);
  const [, offset, rstd] = await runOp(layerNormOp, [x, gamma, beta], { eps: 1e-6 }, device);
  const statistics = [offset, rstd].map((data) => ({ data: data!, shape: [rows] }));
  const [, dgamma, dbeta] = await runOp(layerNormGradOp, [x, gamma, ...statistics, dy], { eps: 1e-6 }, device);
  const normal = reference.layerNorm(x.data, new Float32Array(length).fill(1), new Float32Array(length), 1e-6);
  const columnSums = (v: ArrayLike<number>) => reference.reduceMiddle(v, [1, rows, length], (a, b) => a + b, 0);
  assertClose(dgamma!, columnSums(normal.map((v, i) => v * dy.data[i]!)), 1e-6, 1e-5);
  assertClose(dbeta!, columnSums(dy.data), 1e-6, 1e-5);
});

Deno.test("layerNorm() has the right gradients for x, gamma and beta", async () => {
  for (const [rows, length] of [[4, 12], [3, 5]] as const) {
    await checkOp((x, gamma, beta) => layerNorm(x, gamma, beta, 1e-6), [
      randomTensor([2, rows, length], 1),
      ...parameters(length),
    ], (x, gamma, beta) => reference.layerNorm(x!.data, gamma!.data, beta!.data, 1e-6));
  }
});

Deno.test("layerNorm() has the right second derivatives, and third ones", async () => {
  const f = (x: Tensor, gamma: Tensor, beta: Tensor): Tensor => layerNorm(x, gamma, beta, 1e-3);
  const expected = (x: Values, gamma: Values, beta: Values) => reference.layerNorm(x.data, gamma.data, beta.data, 1e-3);
  const inputs = [randomTensor([2, 3, 5], 1), ...parameters(5)];
  await checkSecondDerivatives(f, inputs, (x, gamma, beta) => expected(x!, gamma!, beta!));
  const third = compile((x: Tensor) => {
    let g = (v: Tensor): Tensor => sum(multiply(f(v, full([4], 1), full([4], 0)), tensor([1, -2, 0.5, 3])));
    for (let i = 0; i < 3; i++) {
      const before = g;
      g = (v) => slice(grad((u: Tensor) => sum(before(u)))(v), 0, i, i + 1);
    }
    return g(x);
  });
  const at = [0.3, -1, 0.7, 0.2], weights = [1, -2, 0.5, 3];
  const value = (x: number[]): number =>
    reference.layerNorm(x, [1, 1, 1, 1], [0, 0, 0, 0], 1e-3).reduce((s, y, i) => s + y * weights[i]!, 0);
  const difference = (g: (x: number[]) => number, i: number) => (x: number[]): number => {
    const moved = (h: number): number => g(x.with(i, x[i]! + h));
    return (moved(0.004) - moved(-0.004)) / 0.008;
  };
  const [result] = await toHost(await third(tensor(at)));
  const wanted = difference(difference(difference(value, 0), 1), 2)(at);
  assert(Math.abs(result! - wanted) < 1e-3 * Math.abs(wanted), `${result} is not ${wanted}`);
});

Deno.test("an element-wise op after layerNorm() is written by its kernel", async () => {
  const inputs = [randomTensor([3, 8], 1), ...parameters(8), randomTensor([3, 8], 5)];
  const residual = (x: Tensor, gamma: Tensor, beta: Tensor, r: Tensor) => add(layerNorm(x, gamma, beta, 1e-6), r);
  await checkOp(residual, inputs, (x, gamma, beta, r) => {
    return reference.layerNorm(x!.data, gamma!.data, beta!.data, 1e-6).map((v, i) => v + r!.data[i]!);
  });
  const [x, gamma, beta, r] = inputs.map((input) => placeholder(input.shape));
  const program = await compile(residual, { device: await roomyDevice() }).program(x!, gamma!, beta!, r!);
  assertEquals(program.plan.steps.length, 1);
});

Deno.test("layerNorm() names the parameter that does not fit", () => {
  const x = placeholder([2, 8]), fits = placeholder([8]);
  assertThrows(
    () => layerNorm(x, placeholder([7]), fits, 1e-6),
    RangeError,
    "weight must be f32[8]: it is f32[7]",
  );
  assertThrows(() => layerNorm(x, fits, placeholder([8], "u32"), 1e-6), TypeError, "bias must be f32[8]: it is u32[8]");
  assertThrows(() => layerNorm(x, fits, fits, 0), RangeError, "eps must be above 0: it is 0");
  assertThrows(
    () => layerNorm(placeholder([]), fits, fits, 1e-6),
    RangeError,
    "the input must be f32[...,length]: it is f32[]",
  );
});
