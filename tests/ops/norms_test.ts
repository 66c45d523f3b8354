import { assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { batchNormSpec, batchNormStateSpec, groupNormSpec, layerNormSpec, rmsNormSpec } from "../../src/nn/layers.ts";
import { initialize } from "../../src/nn/spec.ts";
import { layerNorm } from "../../src/ops/layer_norm.ts";
import { batchNorm, type BatchNormState, groupNorm, instanceNorm, rmsNorm } from "../../src/ops/norms.ts";
import { sum } from "../../src/ops/reduce.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Reference, type Values } from "../testing/check_op.ts";
import { placeholder } from "../testing/run_op.ts";
import { assertClose, eachRow, randomTensor } from "../testing/reference.ts";

const eps = 1e-2;
const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));
const channelOf = ({ shape }: Values, i: number): number => {
  const positions = shape.slice(2).reduce((a, b) => a * b, 1);
  return Math.floor(i / positions) % shape[1]!;
};
const average = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0) / v.length;
const spread = (v: readonly number[]): number => average(v.map((e) => (e - average(v)) ** 2));

/** Normalises the elements with the same key by their own mean and variance; weight and bias are those of the channel. */
const normalized = (key: (x: Values, i: number) => number): Reference => (x, weight, bias) => {
  const sets = new Map<number, number[]>();
  x!.data.forEach((v, i) => sets.set(key(x!, i), [...sets.get(key(x!, i)) ?? [], v]));
  const moments = new Map([...sets].map(([k, v]) => [k, { mean: average(v), scale: Math.sqrt(spread(v) + eps) }]));
  return x!.data.map((v, i) => {
    const { mean, scale } = moments.get(key(x!, i))!, c = channelOf(x!, i);
    return (v - mean) / scale * weight!.data[c]! + bias!.data[c]!;
  });
};
const byGroup = (groups: number) => (x: Values, i: number): number => {
  const example = Math.floor(i / (x.data.length / x.shape[0]!));
  return example * groups + Math.floor(channelOf(x, i) * groups / x.shape[1]!);
};

const shapes = [[2, 6], [3, 4, 5], [2, 6, 2, 3]] as const;
const options = { gradientTolerance: 1e-3, edges: { domain: (v: number) => Math.abs(v) > 100 ? v / 1e3 : v } };
const inputs = (shape: readonly number[]) => [
  randomTensor(shape, 1),
  randomTensor([shape[1]!], 2, 0.5, 1),
  randomTensor([shape[1]!], 3),
];

Deno.test("groupNorm() and instanceNorm() have the right values and gradients", async () => {
  for (const shape of shapes) {
    for (const groups of [1, 2, shape[1]]) {
      if (shape.length === 2 && groups === shape[1]) continue; // a single value each: see the next test
      await checkOp((x, w, b) => groupNorm(x, groups, w, b, eps), inputs(shape), normalized(byGroup(groups)), options);
    }
    if (shape.length === 2) continue;
    await checkOp((x, w, b) => instanceNorm(x, w, b, eps), inputs(shape), normalized(byGroup(shape[1])), options);
  }
});

Deno.test("normalised equal elements are exactly the bias, whatever their size", async () => {
  const x = tensor(new Float32Array(24).fill(-12345.678), [2, 4, 3]), weight = tensor([1, 2, 3, 4]);
  const bias = tensor([5, 6, 7, 8]), expected = [5, 6, 7, 8, 5, 6, 7, 8].flatMap((v) => [v, v, v]);
  assertEquals(await host(groupNorm(x, 2, weight, bias, 1e-12)), expected);
  const state = initialize(batchNormStateSpec(4), 1);
  assertEquals(await host(batchNorm(x, weight, bias, state, { training: true, eps: 1e-12 })[0]), expected);
  assertEquals(await host(groupNorm(tensor([3, 4], [1, 2]), 2, tensor([1, 1]), tensor([0, 9]), 1e-5)), [0, 9]);
});

Deno.test("rmsNorm() has the right values and gradients", async () => {
  for (const shape of [[5], [3, 8], [2, 3, 7]]) {
    const length = shape.at(-1)!;
    await checkOp(
      (x, w) => rmsNorm(x, w, eps),
      [randomTensor(shape, 1), randomTensor([length], 2)],
      (x, w) =>
        eachRow(x!.data, length, (row) => {
          const rms = Math.sqrt(average(Array.from(row, (v) => v * v)) + eps);
          return row.map((v, i) => v / rms * w!.data[i]!);
        }),
      options,
    );
  }
});

Deno.test("batchNorm() in training normalises by the mini-batch, with the right gradients", async () => {
  for (const shape of [[7, 3], [3, 4, 5], [2, 3, 2, 3]]) {
    const state = initialize(batchNormStateSpec(shape[1]!), 1);
    const fn = (x: Tensor, w: Tensor, b: Tensor): Tensor => batchNorm(x, w, b, state, { training: true, eps })[0];
    await checkOp(fn, inputs(shape), normalized(channelOf), options);
  }
});

Deno.test("batchNorm() returns running statistics, and normalises by them where it does not train", async () => {
  const x = randomTensor([4, 2, 3], 5, 2, 1), values: Values = { data: Float64Array.from(x.data), shape: x.shape };
  const before = { running_mean: tensor([1, -2]), running_var: tensor([0.5, 3]) };
  const [weight, bias] = [tensor([2, 3]), tensor([0.5, -1])], input = tensor(x.data, x.shape);
  const [, after] = batchNorm(input, weight, bias, before, { training: true, momentum: 0.25 });
  const channels = [0, 1].map((c) => [...values.data].filter((_, i) => channelOf(values, i) === c));
  const mean = channels.map((v, c) => 0.75 * [1, -2][c]! + 0.25 * average(v));
  const variance = channels.map((v, c) => 0.75 * [0.5, 3][c]! + 0.25 * spread(v) * 12 / 11);
  assertClose(await host(after.running_mean), mean, 1e-6);
  assertClose(await host(after.running_var), variance, 1e-6);
  const [y, same] = batchNorm(input, weight, bias, after, { training: false });
  assertEquals(same, after);
  assertClose(
    await host(y),
    values.data.map((v, i) => {
      const c = channelOf(values, i);
      return (v - mean[c]!) / Math.sqrt(variance[c]! + 1e-5) * [2, 3][c]! + [0.5, -1][c]!;
    }),
    1e-5,
  );
  const inference = (a: Tensor, w: Tensor, b: Tensor): Tensor =>
    batchNorm(a, w, b, before as BatchNormState, { training: false, eps })[0];
  await checkOp(inference, [x, ...inputs([4, 2]).slice(1)], (a, w, b) =>
    a!.data.map((v, i) => {
      const c = channelOf(a!, i);
      return (v - [1, -2][c]!) / Math.sqrt([0.5, 3][c]! + eps) * w!.data[c]! + b!.data[c]!;
    }));
  const through = (a: Tensor): Tensor => sum(batchNorm(a, weight, bias, before, { training: true })[1].running_mean);
  assertEquals(await host(grad(through)(input)), Array(24).fill(0));
});

Deno.test("norms of what has NaN are NaN where it counts, and nowhere else", async () => {
  const data = Float32Array.from(randomTensor([2, 4, 3], 1).data), one = tensor([1, 1, 1, 1]);
  data[4] = NaN; // example 0, channel 1
  const x = tensor(data, [2, 4, 3]), state = initialize(batchNormStateSpec(4), 1);
  const where = async (y: Tensor): Promise<number[]> => (await host(y)).flatMap((v, i) => Number.isNaN(v) ? [i] : []);
  assertEquals(await where(groupNorm(x, 2, one, one, eps)), [0, 1, 2, 3, 4, 5]);
  assertEquals(await where(batchNorm(x, one, one, state, { training: true })[0]), [3, 4, 5, 15, 16, 17]);
  assertEquals(await where(rmsNorm(x, tensor([1, 1, 1]), eps)), [3, 4, 5]);
});

Deno.test("specs of norms are what the functions take", async () => {
  const x = randomTensor([2, 4, 4], 1), input = tensor(x.data, x.shape);
  const layer = initialize(layerNormSpec(4), 1), group = initialize(groupNormSpec(4), 1);
  const batch = initialize(batchNormSpec(4), 1), root = initialize(rmsNormSpec(4), 1);
  const results = [
    layerNorm(input, layer.weight, layer.bias, eps),
    groupNorm(input, 2, group.weight, group.bias, eps),
    batchNorm(input, batch.weight, batch.bias, initialize(batchNormStateSpec(4), 1), { training: true, eps })[0],
  ];
  for (const y of results) assertClose([average(await host(y))], [0], 0, 1e-6);
  const power = await host(rmsNorm(input, root.weight, 1e-12));
  assertClose([average(power.map((v) => v * v))], [1], 1e-5);
});

Deno.test("norms say what does not fit", () => {
  const x = placeholder([2, 6, 3]), w = placeholder([6]), state = { running_mean: w, running_var: placeholder([5]) };
  assertThrows(() => groupNorm(x, 4, w, w, 1e-5), RangeError, "groups must divide the 6 channels: there are 4");
  assertThrows(() => groupNorm(placeholder([6]), 2, w, w, 1e-5), RangeError, "[batch,channels,...]: it is f32[6]");
  assertThrows(() => rmsNorm(x, w, 1e-5), RangeError, "weight must be f32[3]: it is f32[6]");
  assertThrows(() => instanceNorm(x, w, w, 0), RangeError, "eps must be above 0: it is 0");
  assertThrows(
    () => batchNorm(x, w, w, state, { training: true }),
    RangeError,
    "running_var must be f32[6]: it is f32[5]",
  );
  const fits = { running_mean: w, running_var: w };
  assertThrows(
    () => batchNorm(placeholder([1, 6]), w, w, fits, { training: true }),
    RangeError,
    "at least 2 values: it has 1",
  );
});
