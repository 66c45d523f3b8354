import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { defaultDevice, openDevice, setDefaultDevice } from "../../src/gpu/device.ts";
import { groupingBytes } from "../../src/grit/group.ts";
import { type AlbefConfig, configs } from "../../src/models/config.ts";
import { Spec } from "../../src/nn/spec.ts";
import { ParameterLayout } from "../../src/optim/layout.ts";
import { add, tanh } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { mean } from "../../src/ops/reduce.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { collecting, pairRecipes } from "../../src/recipes/mod.ts";
import {
  describeMemory,
  estimateMemory,
  estimateStep,
  largestBatch,
  type MemoryEstimate,
} from "../../src/train/estimate.ts";
import { startingExtra, startingState, startingValues } from "../../src/train/start.ts";
import { buildStep } from "../../src/train/step.ts";
import type { Objective } from "../../src/train/task.ts";

type MlpSpec = { first: Spec; second: Spec };
type Input = { x: Tensor };
type Extra = { mean: Tensor };
const objective = (batch: number): Objective<MlpSpec, Extra, Input> => ({
  spec: { first: new Spec([96, 512], { normal: 0.1 }), second: new Spec([512, 64], { normal: 0.1 }) },
  input: { x: { shape: [batch, 96], dtype: "f32" } },
  extra: ({ second }) => ({ mean: second }),
  loss: (p, extra, { x }) => ({
    loss: mean(matmul(tanh(matmul(x, p.first)), p.second)),
    metrics: { mean: mean(extra.mean) },
    extra: { mean: add(extra.mean, p.second) },
  }),
});

Deno.test("estimateStep() counts the products of both directions, and little besides", async () => {
  const first = 2 * 128 * 96 * 512, second = 2 * 128 * 512 * 64; // nothing flows back to the input
  const products = 2 * first + 3 * second, { flop: found } = await estimateStep(objective(128));
  assert(found >= products && found < 1.2 * products, `${found}, products ${products}`);
});

for (const trainable of [undefined, (name: string) => name === "second"]) {
  const frozen = trainable ? ", with frozen parameters" : "";
  Deno.test(`estimateMemory() gives the bytes that a step then holds, and takes none itself${frozen}`, async () => {
    const device = await openDevice(), own = { ...objective(128), ...(trainable ? { trainable } : {}) };
    setDefaultDevice(device);
    const estimate = await estimateMemory(own, { logEvery: 1, clip: 1 });
    assertEquals(device.memory.bytes, 0);

    const layout = new ParameterLayout(own.spec, own), start = startingValues(own.spec, 1);
    const sizes = { rows: 1, columns: 2, steps: 1 };
    const state = await startingState(layout, start, startingExtra(own, start), sizes, undefined);
    const { gradients, update } = buildStep(own, layout, { clip: 1 }), row = tensor(Uint32Array.of(0));
    const batch = { x: tensor(new Float32Array(128 * 96), [128, 96]) };
    const key = tensor(Uint32Array.of(1, 2));
    const next = await gradients(state, batch, { key, step: tensor(0), epoch: tensor(0), keep: tensor(0), row });
    const adamw = { rate: tensor(0.1), correction1: tensor(1), correction2: tensor(1) };
    await toHost((await update(next, { adamw, row })).norms);
    assertAlmostEquals(estimate.total, device.memory.bytes, 0.001 * device.memory.bytes);
    gradients.destroy(), update.destroy();
  });
}

Deno.test("estimateMemory() counts parameters, moments and gradients, of frozen ones only the parameters", async () => {
  const bytes = (
    { parameters, optimizer, gradients, extra, batch }: MemoryEstimate,
  ): number[] => [parameters, optimizer, gradients, extra, batch];
  const first = 4 * 96 * 512, second = 4 * 512 * 64, x = 4 * 8 * 96, all = first + second;
  assertEquals(bytes(await estimateMemory(objective(8))), [all, 2 * all, all, second, x]);
  assertEquals(bytes(await estimateMemory(objective(8), { accumulate: 4 })), [all, 2 * all, all, second, x]);
  const frozen = { ...objective(8), trainable: (name: string) => name === "second" };
  assertEquals(bytes(await estimateMemory(frozen)), [all, 2 * second, second, second, x]);
});

Deno.test("gradients of frozen parameters are not computed", async () => {
  const flop = async (trainable: (name: string) => boolean): Promise<number> => {
    const own = { ...objective(32), trainable }, layout = new ParameterLayout(own.spec, own);
    const start = startingValues(own.spec, 1), sizes = { rows: 1, columns: 2, steps: 1 };
    const state = await startingState(layout, start, startingExtra(own, start), sizes, undefined);
    const { gradients } = buildStep(own, layout), row = tensor(Uint32Array.of(0)), key = tensor(Uint32Array.of(1, 2));
    const input = { key, step: tensor(0), epoch: tensor(0), keep: tensor(0), row };
    const { plan } = await gradients.program(state, { x: tensor(new Float32Array(32 * 96), [32, 96]) }, input);
    gradients.destroy();
    return plan.steps.filter(({ name }) => name.startsWith("matmul")).reduce((n, step) => n + step.flop!, 0);
  };
  const first = 2 * 32 * 96 * 512, second = 2 * 32 * 512 * 64; // products: forward, gradient of the weight, of the input
  // Where a product's inner axis is split, as on GPUs, its parts are added too: far less than a thousandth.
  const expect = async (trainable: (name: string) => boolean, expected: number): Promise<void> =>
    assertAlmostEquals(await flop(trainable), expected, 1e-3 * expected);
  await expect(() => true, 2 * first + 3 * second);
  await expect((name) => name === "first", 2 * first + 2 * second);
  await expect((name) => name === "second", first + 2 * second);
});

Deno.test("largestBatch() finds the last batch that fits in a handful of estimates", async () => {
  let calls = 0;
  const bytes = (batch: number): Promise<number> => {
    calls++;
    return Promise.resolve(5000 + 37 * batch + Math.floor(batch / 100) * 11);
  };
  const best = await largestBatch(100_000, bytes);
  assert(await bytes(best) <= 100_000 && await bytes(best + 1) > 100_000);
  assert(calls <= 10, `${calls} estimates`);
  assertEquals(await largestBatch(5000, bytes), 0);
  assertEquals(await largestBatch(5037, bytes), 1);
  assertEquals(await largestBatch(1e9, bytes, { most: 64 }), 64);
  assertEquals(await largestBatch(5050, bytes, { least: 2 }), 0);
});

Deno.test("a batch that an op refuses does not fit", async () => {
  const asked: number[] = [];
  const upTo = (most: number, error: () => Error) => (batch: number): Promise<number> => {
    asked.push(batch);
    return batch > most ? Promise.reject(error()) : Promise.resolve(1000 + 10 * batch);
  };
  const refusal = (): Error => new RangeError("Cannot do that");
  for (const most of [1, 2, 3, 100, 4097, 60_000]) {
    asked.length = 0;
    assertEquals(await largestBatch(1e9, upTo(most, refusal)), most);
    assert(asked.length <= 2 * Math.log2(65536), `${asked.length} estimates: ${asked}`);
  }
  assertEquals(await largestBatch(2000, upTo(60_000, refusal)), 100);
  assertEquals(await largestBatch(2000, upTo(99, refusal)), 99);
  assertEquals(await largestBatch(1e9, upTo(1, refusal), { least: 2 }), 0);
  const fault = (): Error => new TypeError("a fault of the program");
  await assertRejects(() => largestBatch(1e9, upTo(99, fault)), TypeError, "a fault of the program");
});

/** A recipe of a small model on captions of 12 tokens. */
function recipe(name: keyof typeof pairRecipes, batch: number, config: AlbefConfig = configs.tiny) {
  const view = { resolution: config.vision.resolution, transform: "train" } as const;
  const { fields, objective } = pairRecipes[name];
  const values = Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.default]));
  return objective({ config, batch, textLength: 12, view }, values as never) as never;
}

/** Its memory. */
function estimated(name: keyof typeof pairRecipes, batch: number, queue = 0): Promise<MemoryEstimate> {
  return estimateMemory(collecting(recipe(name, batch), queue, configs.tiny.embedding));
}

Deno.test("the memory of pre-training is linear in the batch and shows queues and grouping", async () => {
  const [small, large, queued] = [
    await estimated("grit", 8),
    await estimated("grit", 16),
    await estimated("grit", 8, 256),
  ];
  assertAlmostEquals(large.intermediates / small.intermediates, 2, 0.4);
  assertEquals(small.extra, 0);
  assertEquals(queued.extra, 2 * 256 * configs.tiny.embedding * 4);
  const grouping = await groupingBytes(configs.tiny.embedding, 256, 64);
  assert(grouping >= 256 * 64 * 4, "the similarities of every sub-queue");
  assert(describeMemory({ ...queued, grouping } as MemoryEstimate).includes("grouping"));
  assert((await defaultDevice()).memory.bytes > 0);
});

Deno.test("the memory of recipes with momentum encoders shows these and their queues", async () => {
  const [grit, albef, retrieval] = [
    await estimated("grit", 8),
    await estimated("albef", 8),
    await estimated("retrieval", 8),
  ];
  const queues = 2 * 1024 * configs.tiny.embedding * 4, copies = grit.parameters;
  assert(albef.extra > queues + 0.9 * copies && albef.extra < queues + 1.1 * copies, `${albef.extra}, ${copies}`);
  assert(retrieval.extra > queues && retrieval.extra < albef.extra, `${retrieval.extra}`); // no head of MLM
  assert(albef.intermediates > grit.intermediates);
});

Deno.test("estimateStep(): further layers run the kernels of those before", async () => {
  const { tiny } = configs, deeper = { ...tiny, vision: { ...tiny.vision, depth: 2 * tiny.vision.depth } };
  const { kernels: few } = await estimateStep(recipe("grit", 8)),
    { kernels: many } = await estimateStep(recipe("grit", 8, deeper));
  assert(many.runs > few.runs + 20 * tiny.vision.depth, `${few.runs} and ${many.runs} runs`);
  assertEquals(many.distinct, few.distinct);
  assert(8 * few.distinct < many.runs, `${few.distinct} of ${many.runs}`);
});
