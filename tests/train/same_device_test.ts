import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { defaultDevice, openDevice, setDefaultDevice } from "../../src/gpu/device.ts";
import type { KernelChoices } from "../../src/gpu/kernel_choices.ts";
import { goOnWith, runDevice } from "../../src/train/same_device.ts";
import { train, type TrainOptions, type TrainResult } from "../../src/train/train.ts";
import { testInFolder } from "../testing/folders.ts";
import { type MlpOptions, type MlpSpec, mlpTask } from "./mlp_task.ts";

const common: TrainOptions = { steps: 4, learningRate: () => 1e-2, seed: 5, checkpointEvery: 2, progress: false };

/** Cuts the sum over a mini-batch of 64 in the gradient of the first weight, so that its bits are others. */
const halves: KernelChoices = { avoid: [], products: { "4x8x64": { variant: "workgroup 32x32", splits: 2 } } };
const none: KernelChoices = { avoid: [], products: {} };

const device = await openDevice({ kind: "gpu", cache: "off" });

/** Trains with these choices, as a process of its own does that finds them. */
async function run(choices: KernelChoices, options: Partial<TrainOptions>, task: MlpOptions = {}) {
  device.choose(choices);
  setDefaultDevice(device);
  return await train(mlpTask({ batch: 64, ...task }), { ...common, ...options });
}

const hashOf = ({ checkpoint }: TrainResult<MlpSpec>): string => checkpoint!.sha256;

testInFolder("a run that goes on keeps the products that it began with, and so its bits", async (dir) => {
  const whole = await run(halves, { out: `${dir}/whole` }), other = await run(none, { out: `${dir}/other` });
  assert(hashOf(whole) !== hashOf(other), "the choice must make a difference for this test to say anything");
  for (const [name, began, later] of [["kept", halves, none], ["refused", none, halves]] as const) {
    const said: string[] = [], out = `${dir}/${name}`;
    await assertRejects(() => run(began, { out }, { dies: 3 }), Error, "no mini-batch");
    const resumed = await run(later, { out, resume: true, progress: (line) => said.push(line) });
    assertEquals(hashOf(resumed), hashOf(began === halves ? whole : other));
    assertEquals((await defaultDevice()).profile.choices, began);
    assertEquals(said.filter((line) => /goes on with the matrix products that it began with/.test(line)).length, 1);
  }
});

testInFolder("a device that is opened anew keeps the products too", async (dir) => {
  const whole = await run(halves, { out: `${dir}/whole` }), task = mlpTask({ batch: 64 });
  const next = task.data.next.bind(task.data);
  let lost = 0;
  Object.assign(task.data, {
    next: async (at: Parameters<typeof next>[0]) => {
      if (at.step === 1 && !lost++) (await defaultDevice()).gpu.destroy();
      return await next(at);
    },
  });
  const reopen = () => openDevice({ kind: "gpu", cache: "off" }), own = await reopen();
  own.choose(halves);
  setDefaultDevice(own);
  const result = await train(task, { ...common, out: `${dir}/lost`, recover: 1, openDevice: reopen });
  assertEquals([lost, hashOf(result)], [2, hashOf(whole)]);
});

testInFolder("a checkpoint says what it was computed with, and is refused if it says nonsense", async (dir) => {
  const out = `${dir}/run`, result = await run(halves, { out });
  const path = result.checkpoint!.path.replace(/safetensors$/, "json"), text = await Deno.readTextFile(path);
  const record = JSON.parse(text);
  assertEquals(record.device, { adapter: (await defaultDevice()).adapter, ...halves });
  await Deno.writeTextFile(path, JSON.stringify({ ...record, device: { adapter: 3 } }));
  const resume = () => run(none, { out, resume: true });
  await assertRejects(resume, SyntaxError, '"device" must have "adapter", "avoid" and "products"');
});

Deno.test("goOnWith() says what cannot be as it was, and avoids what has been found wrong since", async () => {
  const device = await openDevice({ cache: "off" }), { adapter } = device;
  assertEquals(goOnWith(device, undefined), undefined);
  assertEquals(goOnWith(device, { adapter, ...none }), undefined);
  assertMatch(
    goOnWith(device, { adapter: "another", ...none })!,
    /^the run began on "another" and goes on on ".*", so/,
  );
  device.choose({ avoid: ["f16", "rows shared"], products: {} });
  const said = goOnWith(device, { adapter, avoid: ["rows shared", "attention shared"], products: {} });
  assertMatch(said!, /were found wrong since \(f16\), so results differ in their last bits/);
  assertEquals(runDevice(device).avoid, ["attention shared", "f16", "rows shared"]);
  device.choose(halves);
  assertMatch(goOnWith(device, undefined)!, /^the checkpoint does not say which matrix products the run began with/);
  assertEquals(device.profile.choices, halves);
});
