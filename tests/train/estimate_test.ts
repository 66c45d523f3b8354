import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { defaultDevice, openDevice, setDefaultDevice } from "../../src/gpu/device.ts";
import { configs } from "../../src/models/config.ts";
import { Spec } from "../../src/nn/spec.ts";
import { ParameterLayout } from "../../src/optim/layout.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { mean } from "../../src/ops/reduce.ts";
import { tanh } from "../../src/ops/elementwise.ts";
import { data, tensor, toDevice } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholder } from "../../src/program/program.ts";
import { mapTree } from "../../src/program/tree.ts";
import { estimatePretraining } from "../../src/tasks/pretraining_memory.ts";
import { describeMemory, estimateMemory, largestBatch, type MemoryTask } from "../../src/train/estimate.ts";
import { buildStep } from "../../src/train/step.ts";
import type { Task } from "../../src/train/task.ts";

type MlpSpec = { first: Spec; second: Spec };
type Input = { x: Tensor };
const task: MemoryTask<MlpSpec, Record<string, never>, Input> = {
  spec: { first: new Spec([96, 512], { normal: 0.1 }), second: new Spec([512, 64], { normal: 0.1 }) },
  extra: {},
  loss: (p, extra, { x }) => ({ loss: mean(matmul(tanh(matmul(x, p.first)), p.second)), metrics: {}, extra }),
};
const rows = (batch: number): Input => ({ x: placeholder({ shape: [batch, 96], dtype: "f32" }) });

Deno.test("estimateMemory() gives the bytes that a step then holds, and takes none itself", async () => {
  const device = await openDevice();
  setDefaultDevice(device);
  const estimate = await estimateMemory(task, rows(128), [], { logEvery: 1 });
  assertEquals(device.memory.bytes, 0);

  const layout = new ParameterLayout(task.spec);
  const zeros = () => layout.flats.map(({ size }) => tensor(new Float32Array(size)));
  const state = await toDevice({
    optimizer: { values: zeros(), first: zeros(), second: zeros() },
    extra: {},
    healthy: tensor(1),
    ring: tensor(new Float32Array(2), [1, 2]),
    sums: [],
  });
  const step = buildStep(task as Task<MlpSpec, Record<string, never>, Input>, layout, []);
  const input = {
    adamw: { rate: tensor(0.1), correction1: tensor(1), correction2: tensor(1) },
    key: tensor(Uint32Array.of(1, 2)),
    row: tensor(Uint32Array.of(0)),
  };
  const batch = mapTree(rows(128), ({ size, shape }) => tensor(new Float32Array(size), shape));
  const next = await step.forward(state, batch, input);
  await data(next.ring);
  assertAlmostEquals(estimate.total, device.memory.bytes, 0.001 * device.memory.bytes);
  step.forward.destroy();
});

Deno.test("estimateMemory() counts the sums of accumulation and the moments", async () => {
  const plain = await estimateMemory(task, rows(8), []);
  const accumulated = await estimateMemory(task, rows(8), [], { accumulate: 4 });
  assertEquals(plain.parameters, 4 * (96 * 512 + 512 * 64));
  assertEquals(plain.optimizer, 2 * plain.parameters);
  assertEquals([plain.sums, accumulated.sums], [0, plain.parameters]);
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

Deno.test("the memory of pre-training is linear in the batch and shows queue and grouping", async () => {
  const estimate = (batch: number, queue = 0) =>
    estimatePretraining(configs.tiny, { batch, textLength: 12, queue, ...(queue ? { subQueue: 64 } : {}) });
  const [small, large, queued] = [await estimate(8), await estimate(16), await estimate(8, 256)];
  assertAlmostEquals(large.intermediates / small.intermediates, 2, 0.4);
  assertEquals(small.extra, 0);
  assertEquals(queued.extra, 2 * 256 * configs.tiny.embedding * 4);
  assert(queued.grouping >= 2 * 256 * 64 * 4, "both similarity matrices of every sub-queue");
  assert(describeMemory(queued).includes("grouping"));
  assertEquals((await defaultDevice()).memory.bytes > 0, true);
});
