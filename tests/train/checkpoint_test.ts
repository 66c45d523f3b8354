import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { sha256IfThere } from "../../src/io/files.ts";
import { openSafetensors } from "../../src/io/safetensors.ts";
import { compareRuns, listCheckpoints, type RunSettings } from "../../src/train/checkpoint.ts";
import type { Settings } from "../../src/train/task.ts";
import { train, type TrainOptions } from "../../src/train/train.ts";
import { snapshot, testInFolder } from "../testing/folders.ts";
import { type MlpOptions, mlpTask } from "./mlp_task.ts";

const common: TrainOptions = {
  steps: 12,
  learningRate: (step) => 1e-2 / (1 + step),
  seed: 5,
  logEvery: 3,
  checkpointEvery: 4,
  progress: false,
};
const run = (task: MlpOptions, options: Partial<TrainOptions>) =>
  train(mlpTask({ dropout: 0.2, ...task }), { ...common, ...options });

const metricSteps = async (dir: string): Promise<number[]> =>
  (await Deno.readTextFile(`${dir}/metrics.jsonl`)).trimEnd().split("\n").map((line) => JSON.parse(line).step);

testInFolder("checkpoints come every checkpointEvery steps and at the end; the last two stay", async (dir) => {
  const { checkpoint } = await run({}, { out: dir, steps: 10 });
  assertEquals(await listCheckpoints(dir), ["step-00000008", "step-00000010"]);
  assertEquals(checkpoint, {
    path: `${dir}/step-00000010.safetensors`,
    sha256: await sha256IfThere(`${dir}/step-00000010.safetensors`),
  });
  const archive = await openSafetensors(checkpoint!.path);
  const names = ["hidden.bias", "hidden.weight", "out.bias", "out.weight"];
  assertEquals(
    [...archive.tensors.keys()].sort(),
    [...["", "optimizer.first.", "optimizer.second."].flatMap((p) => names.map((n) => p + n)), "extra.seen"].sort(),
  );
  assertEquals([...(await archive.read("extra.seen")).data], [80]);
  archive.close();
});

for (const accumulate of [1, 3]) {
  testInFolder(`a run that is resumed twice ends with the same bytes, accumulating ${accumulate}`, async (dir) => {
    const whole = await run({}, { out: `${dir}/whole`, accumulate });
    const part = { out: `${dir}/part`, accumulate };
    await assertRejects(() => run({ dies: 6 * accumulate }, part), Error, "no mini-batch");
    await assertRejects(() => run({ dies: 11 * accumulate }, { ...part, resume: true }), Error, "no mini-batch");
    assertEquals(await listCheckpoints(part.out), ["step-00000004", "step-00000008"]);
    const resumed = await run({}, { ...part, resume: true });
    assertEquals(resumed.checkpoint!.sha256, whole.checkpoint!.sha256);
    assertEquals(resumed.loss, whole.loss);
    assertEquals(resumed.steps, 12);
    assertEquals(await metricSteps(part.out), await metricSteps(`${dir}/whole`));
    const records = [whole, resumed].map(({ checkpoint }) => checkpoint!.path.replace(/safetensors$/, "json"));
    assertEquals(await Deno.readTextFile(records[1]!), await Deno.readTextFile(records[0]!));
  });
}

testInFolder(
  "a run that is extended ends as one of all these steps, where the rate does not depend on them",
  async (dir) => {
    const whole = await run({}, { out: `${dir}/whole`, steps: 30 }), part = { out: `${dir}/part` };
    const { loss: { first } } = await run({}, { ...part, steps: 12 });
    await assertRejects(
      () => run({}, { ...part, steps: 30, resume: true }),
      Error,
      "its run is of 12 steps, 30 are asked for now, and the learning rate depends on their number; begin a run of more",
    );
    await assertRejects(
      () => run({}, { ...part, steps: 8, resume: true, extend: true }),
      Error,
      '"steps" was 12 and is 8',
    );
    const extended = await run({}, { ...part, steps: 30, resume: true, extend: true });
    assertEquals(extended.checkpoint!.sha256, whole.checkpoint!.sha256);
    assertEquals([extended.steps, extended.loss.first], [30, first]);
    assertEquals((await run({}, { ...part, steps: 30, resume: true })).checkpoint!.sha256, whole.checkpoint!.sha256);
  },
);

testInFolder(
  "a signal ends a run after its step, with a checkpoint and without evaluation, and it goes on to the same bytes",
  async (dir) => {
    const whole = await run({}, { out: `${dir}/whole`, logEvery: 1 }), part = { out: `${dir}/part`, logEvery: 1 };
    assertEquals(whole.stopped, false);
    const controller = new AbortController();
    const onMetrics = ({ step }: { step: number }): void => step === 5 ? controller.abort() : undefined;
    const task = mlpTask({ dropout: 0.2 });
    const evaluate = () => Promise.reject(new Error("not to be evaluated"));
    const { stopped, steps } = await train({ ...task, evaluate }, {
      ...common,
      ...part,
      onMetrics,
      signal: controller.signal,
    });
    assertEquals([stopped, steps, await listCheckpoints(part.out)], [true, 5, ["step-00000004", "step-00000005"]]);
    const resumed = await run({}, { ...part, resume: true });
    assertEquals([resumed.stopped, resumed.checkpoint!.sha256], [false, whole.checkpoint!.sha256]);
    assertEquals(await metricSteps(part.out), await metricSteps(`${dir}/whole`));
  },
);

testInFolder("a signal that comes before the first step leaves nothing to go on from", async (dir) => {
  const signal = AbortSignal.abort();
  await assertRejects(() => run({}, { out: dir, signal }), Error, "The run was stopped before its first step");
  assertEquals(await listCheckpoints(dir), []);
});

testInFolder("another seed or another order would not have given the same bytes", async (dir) => {
  const a = await run({}, { out: `${dir}/a` }), b = await run({}, { out: `${dir}/b`, seed: 6 });
  assert(a.checkpoint!.sha256 !== b.checkpoint!.sha256);
});

testInFolder("a run that is complete is resumed as it is", async (dir) => {
  const first = await run({}, { out: dir }), again = await run({}, { out: dir, resume: true });
  assertEquals(again.checkpoint, first.checkpoint);
  assertEquals(again.loss, first.loss);
  assertEquals(again.steps, 12);
});

testInFolder("a run can be continued in another folder, from a folder or a file", async (dir) => {
  const whole = await run({}, { out: `${dir}/whole` });
  await run({}, { out: `${dir}/other`, seed: 6 });
  for (const from of [`${dir}/whole/step-00000008.json`, `${dir}/whole/step-00000008.safetensors`]) {
    const resumed = await run({}, { out: `${dir}/other`, resume: from, overwrite: true });
    assertEquals(resumed.checkpoint!.sha256, whole.checkpoint!.sha256);
    assertEquals(await metricSteps(`${dir}/other`), [9, 12]); // its own: none of a run that was there before
  }
  assertEquals((await run({}, { out: `${dir}/third`, resume: `${dir}/whole` })).steps, 12);
});

testInFolder("checkpoints after the one that a run continues from make room for its own", async (dir) => {
  const { checkpoint } = await run({}, { out: dir });
  await assertRejects(
    () => run({ dies: 10 }, { out: dir, resume: `${dir}/step-00000008.json`, checkpointEvery: 9 }),
    Error,
    "no mini-batch",
  );
  assertEquals(await listCheckpoints(dir), ["step-00000008", "step-00000009"]);
  assertEquals((await run({}, { out: dir, resume: true })).checkpoint!.sha256, checkpoint!.sha256);
});

testInFolder("a new run does not start among the checkpoints of another, unless it may overwrite them", async (dir) => {
  await run({}, { out: dir });
  await assertRejects(
    () => run({}, { out: dir }),
    Error,
    `Cannot start a run in "${dir}": it holds the checkpoint "step-00000012" of an earlier run`,
  );
  await run({}, { out: dir, steps: 5, overwrite: true });
  assertEquals(await listCheckpoints(dir), ["step-00000004", "step-00000005"]);
  assertEquals(await metricSteps(dir), [3, 4, 5]);
});

testInFolder("a crash before the JSON is written leaves the older checkpoint valid", async (dir) => {
  const whole = await run({}, { out: `${dir}/whole` });
  await assertRejects(() => run({ dies: 9 }, { out: `${dir}/a` }), Error, "no mini-batch");
  const part = `${dir}/a`;
  await Deno.remove(`${part}/step-00000008.json`);
  await Deno.truncate(`${part}/step-00000008.safetensors`, 100);
  await Deno.writeTextFile(`${part}/metrics.jsonl`, '{"step": 9, "lo', { append: true });
  const resumed = await run({}, { out: part, resume: true });
  assertEquals(resumed.checkpoint!.sha256, whole.checkpoint!.sha256);
  assertEquals(await metricSteps(part), await metricSteps(`${dir}/whole`));
  assertEquals([...Deno.readDirSync(part)].map((e) => e.name).filter((n) => n.includes("00004")), []);
});

testInFolder("a checkpoint of other settings is refused with the field and both values", async (dir) => {
  const data = { data: { name: "a", size: 3 } }, settings = { lr: 0.1, sep: true };
  const same = { out: dir, steps: 4, adamw: { weightDecay: 0.1 }, settings }, resume = { ...same, resume: true };
  await run({ settings: data }, same);
  const cases: [MlpOptions, Partial<TrainOptions>, string][] = [
    [{ settings: { data: { name: "b", size: 3 } } }, {}, '"task.data.name" was "a" and is "b" now'],
    [{ settings: data }, { seed: 6 }, '"seed" was 5 and is 6 now'],
    [{ settings: data }, { steps: 3 }, '"steps" was 4 and is 3 now'],
    [{ settings: data }, { clip: 1 }, '"clip" was null and is 1 now'],
    [{ settings: data }, { accumulate: 2 }, '"accumulate" was 1 and is 2 now'],
    [{ settings: data }, { adamw: { weightDecay: 0.2 } }, '"adamw.weightDecay" was 0.1 and is 0.2 now'],
    [{ settings: data }, { settings: { lr: 0.2, sep: true } }, "--lr was 0.1 and is 0.2 now"],
    [{ settings: data }, { settings: { lr: 0.1 } }, '"sep" was true and is no setting now'],
    [
      { settings: data },
      { settings: { lr: 0.1, sep: true, mask: 0.5 } },
      "--mask is 0.5 now, and the checkpoint does not",
    ],
    [{ settings: data, hidden: 9 }, {}, '"task.hidden" was 8 and is 9 now'],
    [{ settings: { data, more: true } }, {}, '"task.data.name" was "a" and is not set now'],
  ];
  for (const [task, options, sentence] of cases) {
    await assertRejects(() => run(task, { ...resume, ...options }), Error, sentence);
  }
  assertEquals((await run({ settings: data }, resume)).steps, 4);
});

Deno.test("compareRuns() finds fields that one side lacks, in the task's and the trainer's settings", () => {
  const both = (own: Settings): RunSettings => ({ flags: {}, task: own, trainer: own });
  compareRuns(both({ a: { b: null, c: 1 } }), both({ a: { c: 1, b: null } }), "x");
  for (const [a, b] of [[{ a: 1 }, {}], [{}, { a: 1 }], [{ a: null }, { a: { b: 1 } }]] as [Settings, Settings][]) {
    const refusal = 'Cannot resume from "x.json": "';
    assertThrows(
      () => compareRuns({ flags: {}, task: a, trainer: {} }, both(b), "x.json"),
      Error,
      `${refusal}task.a" was `,
    );
    assertThrows(() => compareRuns({ flags: {}, task: b, trainer: a }, both(b), "x.json"), Error, `${refusal}a" was `);
  }
});

testInFolder("a checkpoint that cannot be used is refused in a sentence", async (dir) => {
  await run({}, { out: dir, steps: 4 });
  const json = `${dir}/step-00000004.json`, file = `${dir}/step-00000004.safetensors`;
  const text = await Deno.readTextFile(json), bytes = await Deno.readFile(file);
  const refused = async (sentence: string, hidden = 8): Promise<void> => {
    const error = await assertRejects(
      () => run({ hidden, settings: { hidden: 8 } }, { out: dir, steps: 4, resume: true }),
      Error,
    );
    assertEquals(error.message.slice(0, sentence.length), sentence);
  };
  const changed = bytes.slice();
  changed[changed.length - 1]! ^= 1;
  await Deno.writeFile(file, changed);
  await refused(`Cannot resume from "${file}": its SHA-256 is not the one that "${json}" states`);
  await Deno.writeFile(file, bytes.subarray(0, -1));
  await refused(`Cannot resume from "${file}": its SHA-256 is not the one that "${json}" states`);
  await Deno.remove(file);
  await refused(`Cannot resume from "${file}": there is no such file`);
  await Deno.writeFile(file, bytes);

  for (const broken of ["", "{", text.slice(0, -20)]) {
    await Deno.writeTextFile(json, broken);
    await refused(`Cannot resume from "${json}": it is not JSON`);
  }
  for (const other of ["null", "[]", "3", '{"format":"x"}']) {
    await Deno.writeTextFile(json, other);
    await refused(`Cannot resume from "${json}": "format" must be "gritstone-checkpoint-1": it is `);
  }
  for (const field of ["settings", "counters", "parts", "tensors"]) {
    const { [field]: _, ...rest } = JSON.parse(text);
    for (const value of [undefined, null, 3]) {
      await Deno.writeTextFile(json, JSON.stringify({ ...rest, [field]: value }));
      await refused(`Cannot resume from "${json}": it must have "settings", "counters", "parts" and "tensors"`);
    }
  }
  await Deno.writeTextFile(json, text);
  await refused(`Cannot resume from "${file}": "hidden.weight" must be [4,9]: it is [4,8]`, 9);

  await assertRejects(
    () => run({}, { out: dir, steps: 4, resume: `${dir}/none` }),
    Error,
    `Cannot resume from "${dir}/none": the folder has no checkpoint (step-*.json)`,
  );
  await assertRejects(
    () => run({}, { out: dir, steps: 4, resume: `${dir}/none.json` }),
    Error,
    `Cannot resume from "${dir}/none.json": there is no such file`,
  );
  await assertRejects(() => run({}, { resume: true }), Error, 'Cannot resume: "out" must name the folder');
});

testInFolder(
  "a second run in a folder is refused while the first is at work there, whatever it may do otherwise",
  async (dir) => {
    let refused = 0;
    const onMetrics = async (): Promise<void> => {
      const before = await snapshot(dir);
      for (const options of [{}, { overwrite: true }, { resume: true }]) {
        if (options.resume && !await listCheckpoints(dir).then((all) => all.length)) continue;
        await assertRejects(
          () => run({}, { out: dir, ...options }),
          Error,
          `Cannot start a run in "${dir}": process ${Deno.pid} (since `,
        );
        refused++;
      }
      assertEquals(await snapshot(dir), before);
    };
    const { steps } = await run({}, { out: dir, onMetrics });
    assertEquals([steps, refused > 6], [12, true]);
    assertEquals(await listCheckpoints(dir), ["step-00000008", "step-00000012"]);
    await run({}, { out: dir, overwrite: true });
  },
);
