import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { openDevice, setDefaultDevice } from "../../src/gpu/device.ts";
import { openSafetensors } from "../../src/io/safetensors.ts";
import { initialize } from "../../src/nn/spec.ts";
import { ParameterLayout } from "../../src/optim/layout.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import { leaves } from "../../src/program/tree.ts";
import { startingExtra, startingState, startingValues } from "../../src/train/start.ts";
import { buildStep } from "../../src/train/step.ts";
import type { Metrics } from "../../src/train/report.ts";
import { train, type TrainOptions } from "../../src/train/train.ts";
import { assertClose } from "../testing/reference.ts";
import { mlpBatch, type MlpOptions, type MlpTask, mlpTask } from "./mlp_task.ts";

const common = { steps: 20, learningRate: () => 1e-2, progress: false } satisfies TrainOptions;
const run = (task: MlpOptions, options: Partial<TrainOptions> = {}) => train(mlpTask(task), { ...common, ...options });
const values = async (params: Parameters<typeof leaves>[0]): Promise<number[]> =>
  (await toHost(leaves(params))).flatMap((v) => [...v]);

Deno.test("train() lowers the loss, reports means and writes them as JSON lines", async () => {
  const dir = await Deno.makeTempDir(), metrics: Metrics[] = [], calls = { done: 0, closed: 0 };
  const result = await run({ calls }, {
    steps: 110,
    logEvery: 25,
    out: dir,
    onMetrics: (m) => void metrics.push(m),
    learningRate: (step) => 1e-2 / (1 + step / 100),
  });
  assert(result.loss.last < 0.3 * result.loss.first, JSON.stringify(result.loss));
  assertEquals(calls, { done: 110, closed: 1 });
  assertEquals(metrics.map((m) => m.step), [25, 50, 75, 100, 110]);
  assertEquals(metrics.map((m) => m.examples), [200, 400, 600, 800, 880]);
  assertEquals(metrics.map((m) => m.epoch), [2, 4, 7, 9, 10]);
  assertAlmostEquals(metrics[1]!.learningRate, 1e-2 / 1.49, 1e-12);
  for (const m of metrics) {
    assertAlmostEquals(m.loss!, m.error! + 1e-3 * m.length!, 1e-5);
    assert(m.gradientNorm! > 0 && m.stepsPerSecond > 0 && m.examplesPerSecond > 0 && m.gpuBytes > 0);
    assert(m.processBytes > 1e6);
    assert(m.dataSeconds >= 0 && m.dataSeconds < 60);
  }
  const lines = (await Deno.readTextFile(`${dir}/metrics.jsonl`)).trimEnd().split("\n");
  assertEquals(lines.map((line) => JSON.parse(line)), metrics);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("the losses of a run are means over its first and last tenth", async () => {
  const losses: number[] = [];
  const { loss } = await run({}, { steps: 30, logEvery: 1, onMetrics: (m) => void losses.push(m.loss!) });
  const mean = (x: number[]): number => x.reduce((a, b) => a + b) / x.length;
  assertAlmostEquals(loss.first, mean(losses.slice(0, 3)), 1e-6);
  assertAlmostEquals(loss.last, mean(losses.slice(-3)), 1e-6);
});

Deno.test("evaluate gets parameters that later steps leave alone, every evaluateEvery steps and at the end", async () => {
  const seen: [number, number[], ReturnType<typeof leaves>][] = [];
  const task: MlpTask = {
    ...mlpTask(),
    async evaluate(p, step) {
      seen.push([step, await values(p), leaves(p)]);
      return { step, bias: seen.at(-1)![1][0]! };
    },
  };
  const { params, evaluation } = await train(task, { ...common, evaluateEvery: 8 });
  assertEquals(seen.map(([step]) => step), [8, 16, 20]);
  assertEquals(evaluation, { step: 20, bias: (await values(params))[0]! });
  for (const [, then, tensors] of seen) assertEquals(await values(tensors), then);
  assert(String(seen[0]![1]) !== String(seen[1]![1]));
  assertEquals(await values(params), seen[2]![1]);
});

Deno.test("accumulating three mini-batches of 4 is one step on 12", async () => {
  const micro = await run({ batch: 4 }, { steps: 6, accumulate: 3 }), whole = await run({ batch: 12 }, { steps: 6 });
  assertClose(await values(micro.params), await values(whole.params), 1e-5);
  assertAlmostEquals(micro.loss.first, whole.loss.first, 1e-6);
  assertAlmostEquals(micro.loss.last, whole.loss.last, 1e-5);
});

for (const accumulate of [1, 2]) {
  Deno.test(`gradients are clipped before the moments see them, accumulating ${accumulate}`, async () => {
    const dir = await Deno.makeTempDir();
    const norm = async (clip: number | undefined): Promise<number> => {
      const options = { steps: 1, accumulate, out: dir, overwrite: true, ...(clip ? { clip } : {}) };
      const { checkpoint } = await run({}, options);
      const archive = await openSafetensors(checkpoint!.path);
      let squares = 0;
      for (const name of archive.tensors.keys()) {
        if (!name.startsWith("optimizer.first.")) continue;
        for (const v of (await archive.read(name)).data) squares += Number(v) ** 2;
      }
      archive.close();
      return Math.sqrt(squares) / 0.1; // the first moment is 0.1 of the gradient
    };
    const full = await norm(undefined);
    assert(full > 0.1, `${full}`);
    assertAlmostEquals(await norm(0.01), 0.01, 1e-6);
    assertAlmostEquals(await norm(1e6), full, 1e-6);
    await Deno.remove(dir, { recursive: true });
  });
}

for (const what of ["NaN", "Infinity", "gradient"] as const) {
  for (const from of [10, 14, 19]) {
    Deno.test(`train() stops at a ${what} in mini-batch ${from} and names it`, async () => {
      const calls = { done: 0, closed: 0 };
      const error = await assertRejects(
        () => run({ bad: { from, what }, calls }, { logEvery: 10 }),
        Error,
        `Training stopped at step ${from + 1}: the ${what === "gradient" ? "gradient" : "loss"} is not finite`,
      );
      assert(error.message.includes(`on mini-batch ${from}; the parameters are those before this step`), error.message);
      assertEquals(calls.closed, 1);
    });
  }
}

Deno.test("a loss that is not finite is found within accumulated mini-batches, before a checkpoint is written", async () => {
  const dir = await Deno.makeTempDir();
  await assertRejects(
    () =>
      run({ bad: { from: 7, what: "NaN" } }, { out: dir, steps: 9, accumulate: 3, checkpointEvery: 1, logEvery: 9 }),
    Error,
    "Training stopped at step 3: the loss is not finite (loss NaN, gradient norm NaN) on mini-batch 7 and mini-batch 8; the parameters",
  );
  const names = [...Deno.readDirSync(dir)].map((e) => e.name).sort();
  assertEquals(names, [
    "metrics.jsonl",
    ...[1, 2].flatMap((s) => [`step-0000000${s}.json`, `step-0000000${s}.safetensors`]),
  ]);
  await Deno.remove(dir, { recursive: true });
});

for (const what of ["NaN", "Infinity", "gradient"] as const) {
  for (const accumulate of [1, 2]) {
    Deno.test(`no bit of parameters and moments changes at or after a ${what}, accumulating ${accumulate}`, async () => {
      const task = mlpTask({}), layout = new ParameterLayout(task.spec), start = startingValues(task.spec, 1);
      const { gradients, update } = buildStep(task, layout, { accumulate, clip: 1 });
      const sizes = { rows: 8, columns: 3, steps: 8 };
      let state = await startingState(layout, start, startingExtra(task, start), sizes, undefined);
      const row = tensor(Uint32Array.of(0)),
        adamw = { rate: tensor(0.1), correction1: tensor(1), correction2: tensor(1) };
      const step = async (bad: number): Promise<string> => {
        for (let micro = 0; micro < accumulate; micro++) {
          const isBad = bad === micro ? { bad: { from: 0, what } } : {};
          const key = tensor(Uint32Array.of(1, 2)), keep = tensor(micro ? 1 : 0);
          const input = { key, step: tensor(0), epoch: tensor(0), keep, row };
          state = await gradients(state, mlpBatch(0, isBad), input);
        }
        state = await update(state, { adamw, row });
        return (await toHost(leaves(state.optimizer))).map((v) => [...v]).join();
      };
      const first = await step(-1), good = await step(-1);
      assert(first !== good);
      assertEquals(await step(accumulate - 1), good);
      assertEquals(await step(-1), good);
      assertEquals([...await toHost(state.healthy)], [0]);
      gradients.destroy(), update.destroy();
    });
  }
}

Deno.test("the end of the task ends the run, with a checkpoint and losses of what there was", async () => {
  const dir = await Deno.makeTempDir();
  const metrics: Metrics[] = [];
  const result = await run({ batches: 13 }, {
    out: dir,
    accumulate: 2,
    logEvery: 4,
    onMetrics: (m) => void metrics.push(m),
  });
  assertEquals(result.steps, 6);
  assertEquals(metrics.map((m) => m.step), [4, 6]);
  assertEquals(metrics.at(-1)!.examples, 96);
  assert(result.loss.last > 0 && result.loss.last < result.loss.first);
  assertEquals(result.checkpoint!.path, `${dir}/step-00000006.safetensors`);
  await Deno.remove(dir, { recursive: true });
  await assertRejects(() => run({ batches: 0 }), Error, "Cannot train: the task gives not one mini-batch");
});

Deno.test("train() refuses options that make no sense", async () => {
  for (const name of ["steps", "accumulate", "logEvery", "checkpointEvery", "evaluateEvery"]) {
    for (const n of [0, -1, 1.5, NaN]) {
      await assertRejects(
        () => run({}, { [name]: n }),
        RangeError,
        `"${name}" must be a whole number of at least 1: it is ${n}`,
      );
    }
  }
  await assertRejects(() => run({}, { clip: 0 }), RangeError, '"clip" must be above 0: it is 0');
  await assertRejects(
    () => run({}, { learningRate: () => NaN }),
    RangeError,
    '"learningRate" must give at least 0 for step 0',
  );
});

Deno.test("one task can be trained twice, and starts from the same values", async () => {
  const task = mlpTask({ batches: 10 }), first: number[] = [];
  for (let i = 0; i < 2; i++) {
    task.data.restore!(new Map([["next", new TextEncoder().encode("0")]]));
    const { loss } = await train(task, common);
    first.push(loss.first);
  }
  assertEquals(first[0], first[1]);
});

Deno.test("train() starts from given values, and from the specs' where none are given", async () => {
  const initial = new Map([["out.bias", Float32Array.of(7)]]), options = { ...common, steps: 1, learningRate: () => 0 };
  const { params } = await train(mlpTask(), { ...options, seed: 4, initial });
  assertEquals([...await toHost(params.out.bias)], [7]);
  const drawn = initialize(mlpTask().spec, 4);
  assertEquals(await toHost(params.hidden.weight), drawn.hidden.weight.node.host);
  assertEquals(await toHost(params.out.weight), drawn.out.weight.node.host);
});

Deno.test("GPU memory is constant over 200 steps and that of the process flat", async () => {
  const device = await openDevice();
  setDefaultDevice(device);
  const metrics: Metrics[] = [];
  await run({ dropout: 0.1 }, { steps: 200, accumulate: 2, logEvery: 20, onMetrics: (m) => void metrics.push(m) });
  assertEquals(new Set(metrics.map((m) => m.gpuBytes)).size, 1, metrics.map((m) => m.gpuBytes).join());
  const growth = metrics.at(-1)!.processBytes - metrics[2]!.processBytes;
  assert(growth < 48 * 2 ** 20, `the process grew by ${growth} bytes`);
});
