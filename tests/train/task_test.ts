import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { openSafetensors } from "../../src/io/safetensors.ts";
import { initialize } from "../../src/nn/spec.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { leaves } from "../../src/program/tree.ts";
import type { Task } from "../../src/train/task.ts";
import type { Metrics } from "../../src/train/report.ts";
import { train, type TrainOptions, type TrainResult } from "../../src/train/train.ts";
import { snapshot, testInFolder } from "../testing/folders.ts";
import { type MlpBatch, mlpBatch, type MlpOptions, type MlpSpec, type MlpTask, mlpTask } from "./mlp_task.ts";

const common: TrainOptions = { steps: 12, learningRate: () => 1e-2, seed: 5, checkpointEvery: 4, progress: false };
const values = async (of: Parameters<typeof leaves>[0]): Promise<number[][]> =>
  (await toHost(leaves(of))).map((v) => [...v]);

/** A run of a task, with every report. */
async function run<X extends Record<string, Tensor>>(
  task: Task<MlpSpec, X, MlpBatch>,
  options: Partial<TrainOptions>,
): Promise<TrainResult<MlpSpec> & { metrics: Metrics[] }> {
  const metrics: Metrics[] = [];
  const result = await train(task, { ...common, ...options, onMetrics: (m) => void metrics.push(m) });
  return { ...result, metrics };
}

const onlyOut = (options: MlpOptions = {}): MlpTask => ({
  ...mlpTask({ dropout: 0.2, ...options }),
  trainable: (name) => name.startsWith("out."),
});

testInFolder("frozen parameters stay bit for bit and have no moments; the others train", async (dir) => {
  const start = initialize(mlpTask().spec, 5);
  const { params, checkpoint } = await run(onlyOut(), { out: dir, adamw: { weightDecay: 0.5 } });
  assertEquals(await values(params.hidden), await values(start.hidden));
  const [bias, weight] = await values(params.out), [bias0, weight0] = await values(start.out);
  assert(String(bias) !== String(bias0) && String(weight) !== String(weight0));
  const archive = await openSafetensors(checkpoint!.path), out = ["out.bias", "out.weight"];
  const moments = ["optimizer.first.", "optimizer.second."].flatMap((prefix) => out.map((name) => prefix + name));
  const hidden = ["hidden.bias", "hidden.weight"];
  assertEquals([...archive.tensors.keys()].sort(), ["extra.seen", ...hidden, ...moments, ...out].sort());
  assertEquals((await archive.read("hidden.weight")).data, start.hidden.weight.node.host as Float32Array<ArrayBuffer>);
  archive.close();
});

testInFolder("a run with frozen parameters is resumed with theirs, and ends with the same bytes", async (dir) => {
  const initial = new Map([["hidden.weight", new Float32Array(32).map((_, i) => Math.sin(i))]]);
  const whole = await run(onlyOut(), { out: `${dir}/whole`, initial });
  const part = { out: `${dir}/part`, initial };
  await assertRejects(() => run(onlyOut({ dies: 6 }), part), Error, "no mini-batch");
  const resumed = await run(onlyOut(), { out: `${dir}/part`, resume: true });
  assertEquals((await values(resumed.params.hidden))[0], [...initial.get("hidden.weight")!]);
  assertEquals(resumed.checkpoint!.sha256, whole.checkpoint!.sha256);
});

testInFolder("a run is not resumed with other parameters frozen", async (dir) => {
  await run(onlyOut(), { out: dir, steps: 4 });
  await assertRejects(
    () => run(mlpTask({ dropout: 0.2 }), { out: dir, steps: 4, resume: true }),
    Error,
    'it has no tensor "optimizer.first.hidden.weight"',
  );
  await run(mlpTask({ dropout: 0.2 }), { out: dir, steps: 4, overwrite: true });
  await assertRejects(
    () => run(onlyOut(), { out: dir, steps: 4, resume: true }),
    Error,
    'it has the tensor "optimizer.first.hidden.weight", which this run has not',
  );
});

Deno.test("rules of parameters that there are not are refused", async () => {
  await assertRejects(
    () => run({ ...mlpTask(), bounds: { temperature: [0, 1] } }, {}),
    RangeError,
    'Cannot bound the parameter "temperature": the model has none of that name',
  );
  await assertRejects(
    () => run({ ...mlpTask(), trainable: () => false }, {}),
    RangeError,
    "Cannot train: at least one parameter must be trainable: none is",
  );
});

/** Keeps what the parameters were at the start, twice as they are and once computed. */
const withTeacher = (options: MlpOptions = {}): Task<MlpSpec, Record<string, Tensor>, MlpBatch> => {
  const { extra: _, ...task } = mlpTask(options);
  return {
    ...task,
    extra: (p) => ({ start: p.out.bias, again: p.out.bias, half: multiply(p.out.bias, 0.5) }),
    loss(p, extra, input, context) {
      const { loss } = task.loss(p, { seen: tensor(0) }, input, context);
      const metrics = { start: sum(extra.start!), half: sum(extra.half!), now: sum(p.out.bias) };
      return { loss, metrics, extra: { ...extra, again: add(extra.again!, 1) } };
    },
  };
};

testInFolder("the extra state starts from the parameters, given values included, and is its own", async (dir) => {
  const options = { out: dir, initial: new Map([["out.bias", Float32Array.of(7)]]), logEvery: 1 };
  const { metrics, params, checkpoint } = await run(withTeacher(), options);
  assertEquals(metrics.map(({ start, half }) => [start, half]), Array(12).fill([7, 3.5]));
  assertEquals(metrics[0]!.now, 7);
  const [[bias]] = await values([params.out.bias]) as [number[]];
  assert(metrics.at(-1)!.now !== 7 && bias !== 7);
  const archive = await openSafetensors(checkpoint!.path);
  for (const [name, value] of [["start", 7], ["half", 3.5], ["again", 19]] as const) {
    assertEquals([...(await archive.read(`extra.${name}`)).data], [value], name);
  }
  archive.close();
  const again = await run(withTeacher(), { out: dir, resume: true });
  assertEquals(again.checkpoint, checkpoint); // the state is the checkpoint's, not one of other starting values
});

testInFolder("step and epoch reach the loss: a weight can rise", async (dir) => {
  const ramped = (options: MlpOptions = {}): MlpTask => {
    const task = mlpTask(options);
    return {
      ...task,
      loss(p, extra, input, context) {
        const { loss, ...rest } = task.loss(p, extra, input, context), weight = multiply(context.step, 1 / 12);
        return { ...rest, loss: multiply(loss, weight), metrics: { weight, ofEpoch: context.epoch } };
      },
    };
  };
  const seen = ({ metrics }: { metrics: Metrics[] }): number[][] =>
    metrics.map((m) => [Math.round(12 * m.weight!), m.ofEpoch!]);
  const steps = { steps: 12, logEvery: 1, out: dir };
  const expected = Array.from({ length: 12 }, (_, i) => [i, Math.floor((2 * i + 1) / 10)]);
  await assertRejects(() => run(ramped({ dies: 14 }), { ...steps, accumulate: 2 }), Error, "no mini-batch");
  assertEquals(seen(await run(ramped(), { ...steps, accumulate: 2, resume: true })), expected.slice(4));
  const whole = await run(ramped(), { ...steps, accumulate: 2, overwrite: true });
  assertEquals(seen(whole), expected);
  for (const [step, { weight }] of whole.metrics.entries()) assertAlmostEquals(weight!, step / 12, 1e-6);
  assertEquals(whole.metrics[0]!.loss, 0);
});

Deno.test("the data knows the step and may ask for the parameters", async () => {
  const asked: { step: number; bias: number[] }[] = [], task = mlpTask();
  const data: MlpTask["data"] = {
    ...task.data,
    async next(at) {
      asked.push({ step: at.step, bias: (await values((await at.params()).out.bias))[0]! });
      return await task.data.next(at);
    },
  };
  const { params } = await run({ ...task, data }, { steps: 3, accumulate: 2 });
  assertEquals(asked.map(({ step }) => step), [0, 0, 1, 1, 2, 2]);
  assertEquals(asked[0]!.bias, [0]);
  for (const step of [0, 1, 2]) assertEquals(asked[2 * step]!.bias, asked[2 * step + 1]!.bias);
  assert(new Set(asked.map(({ bias }) => bias[0])).size === 3);
  assert((await values(params.out.bias))[0]![0] !== asked[5]!.bias[0]);
});

Deno.test("a mini-batch that is not what the task's input says is refused", async () => {
  const given = (input: (number: number) => MlpBatch): MlpTask => {
    const task = mlpTask();
    let number = 0;
    return {
      ...task,
      data: {
        next: () => Promise.resolve({ input: input(number++), examples: 8, label: "x", epoch: 0 }),
      },
    };
  };
  const says =
    'Cannot train: a mini-batch must be x:f32[8,4];y:f32[8,1];flag:f32[], as the task\'s "input" says: it is ';
  await assertRejects(
    () => run(given((number) => mlpBatch(number, number === 2 ? { batch: 6 } : {})), {}),
    RangeError,
    `${says}x:f32[6,4];y:f32[6,1];flag:f32[]`,
  );
  const ints = (number: number): MlpBatch => ({ ...mlpBatch(number), y: tensor(new Uint32Array(8), [8, 1]) });
  await assertRejects(() => run(given(ints), {}), RangeError, `${says}x:f32[8,4];y:u32[8,1];flag:f32[]`);
  const more = (number: number): MlpBatch => ({ ...mlpBatch(number), z: tensor(1) } as MlpBatch);
  await assertRejects(() => run(given(more), {}), RangeError, `${says}x:f32[8,4];y:f32[8,1];flag:f32[];z:f32[]`);
});

Deno.test("the gradient norm is that of the step, not of its micro-batches", async () => {
  const options = { steps: 3, logEvery: 1 };
  const micro = await run(mlpTask({ batch: 4 }), { ...options, accumulate: 3 });
  const whole = await run(mlpTask({ batch: 12 }), options);
  for (const [i, { gradientNorm, loss, error }] of micro.metrics.entries()) {
    assertAlmostEquals(gradientNorm!, whole.metrics[i]!.gradientNorm!, 1e-5);
    assertAlmostEquals(loss!, whole.metrics[i]!.loss!, 1e-5);
    assertAlmostEquals(error!, whole.metrics[i]!.error!, 1e-5);
  }
});

Deno.test("a gradient that is not finite names the mini-batches of its step", async () => {
  await assertRejects(
    () => run(mlpTask({ bad: { from: 5, what: "gradient" } }), { accumulate: 2, logEvery: 6 }),
    Error,
    "Training stopped at step 3: the gradient is not finite (loss ",
  );
  await assertRejects(
    () => run(mlpTask({ bad: { from: 5, what: "gradient" } }), { accumulate: 2, logEvery: 6 }),
    Error,
    ") on mini-batch 4 or mini-batch 5; the parameters are those before this step",
  );
});

testInFolder("files of a run are written once all checks have passed, and not before", async (dir) => {
  const files = { "settings.json": "first\n", "tokenizer.json": "{}\n" }, out = `${dir}/run`;
  const broken: MlpTask = {
    ...mlpTask(),
    loss: () => {
      throw new RangeError("Cannot do that");
    },
  };
  await assertRejects(() => run(broken, { out, files }), RangeError, "Cannot do that");
  assertEquals(await snapshot(dir), { [dir]: "empty folder" });

  await run(mlpTask(), { out, files, steps: 4 });
  assertEquals(await Deno.readTextFile(`${out}/settings.json`), "first\n");
  assertEquals(await Deno.readTextFile(`${out}/tokenizer.json`), "{}\n");
  const before = await snapshot(dir), second = { out, steps: 4, files: { "settings.json": "second\n", other: "" } };
  const refused = async (task: MlpTask, options: Partial<TrainOptions>, sentence: string): Promise<void> => {
    await assertRejects(() => run(task, { ...second, ...options }), Error, sentence);
    assertEquals(await snapshot(dir), before);
  };
  await refused(mlpTask(), {}, "continue that run (--resume), delete its checkpoints (--overwrite), or choose another");
  await refused(mlpTask(), { resume: true, seed: 6 }, '"seed" was 5 and is 6 now');
  await refused(mlpTask({ hidden: 9 }), { resume: true }, '"task.hidden" was 8 and is 9 now');
  await refused(mlpTask(), { resume: true, clip: -1 }, '"clip" must be above 0');
  await refused(mlpTask(), { resume: `${dir}/none` }, "the folder has no checkpoint");
  await refused(broken, { overwrite: true }, "Cannot do that");
  await refused(broken, { resume: true }, "Cannot do that");
  await refused({ ...mlpTask(), bounds: { temperature: [0, 1] } }, { overwrite: true }, "Cannot bound");
  const data: MlpTask["data"] = {
    ...mlpTask().data,
    restore: () => {
      throw new SyntaxError("the data's state is damaged");
    },
  };
  await refused({ ...mlpTask(), data }, { resume: true }, "the data's state is damaged");

  await run(mlpTask(), { ...second, resume: true });
  assertEquals(await Deno.readTextFile(`${out}/settings.json`), "second\n");
  assertEquals(await Deno.readTextFile(`${out}/tokenizer.json`), "{}\n");
});

Deno.test("progress goes to a function where one is given", async () => {
  const lines: string[] = [];
  await run(mlpTask(), { progress: (line) => void lines.push(line), logEvery: 6 });
  const reports = lines.filter((line) => line.startsWith("epoch "));
  assertEquals(reports.map((line) => line.match(/step (\d+)/)![1]), ["4", "6", "8", "12"]); // 4 and 8: checkpoints
  assert(
    /^epoch 1 step 12\/12 loss \d\.\d{3} \(error \d\.\d{3} length \d\.\d{3}\) /.test(reports.at(-1)!),
    reports.at(-1),
  );
});

testInFolder("figures of evaluations are lines of the metrics, each once, also after a resume", async (dir) => {
  const task: MlpTask = { ...mlpTask(), evaluate: (_, step) => Promise.resolve({ "eval/step": step }) };
  const lines = async (): Promise<unknown[]> =>
    (await Deno.readTextFile(`${dir}/metrics.jsonl`)).trimEnd().split("\n").map((line) => JSON.parse(line))
      .filter((line) => !("loss" in line));
  await run(task, { out: dir, evaluateEvery: 5 });
  const expected = [5, 10, 12].map((step) => ({ step, "eval/step": step }));
  assertEquals(await lines(), expected);
  await run(task, { out: dir, evaluateEvery: 5, resume: true });
  assertEquals(await lines(), expected);
  await run(task, { out: dir, evaluateEvery: 5, resume: `${dir}/step-00000008.json` });
  assertEquals(await lines(), expected);
});

Deno.test("a metric that has the name of a trainer's own is refused", async () => {
  const task: MlpTask = {
    ...mlpTask(),
    loss: (...args) => ({ ...mlpTask().loss(...args), metrics: { gradientNorm: tensor(1) } }),
  };
  await assertRejects(() => run(task, {}), RangeError, 'Cannot log the metric "gradientNorm"');
});

Deno.test("the fields of a mini-batch may come in any order", async () => {
  const task = mlpTask(), plain = await run(mlpTask(), { steps: 3 });
  const data: MlpTask["data"] = {
    ...task.data,
    async next(at) {
      const batch = (await task.data.next(at))!, { x, y, flag } = batch.input;
      return { ...batch, input: { flag, y, x } };
    },
  };
  assertEquals((await run({ ...task, data }, { steps: 3 })).loss, plain.loss);
});
