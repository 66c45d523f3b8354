import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { defaultDevice, openDevice, setDefaultDevice } from "../../src/gpu/device.ts";
import { DeviceLostError, OutOfMemoryError } from "../../src/gpu/errors.ts";
import { Random } from "../../src/random/random.ts";
import { grit } from "../../src/recipes/grit.ts";
import { grouped } from "../../src/recipes/grouped.ts";
import { listCheckpoints } from "../../src/train/checkpoint.ts";
import type { Task } from "../../src/train/task.ts";
import { train, type TrainOptions } from "../../src/train/train.ts";
import { capMemory } from "../testing/faulty_device.ts";
import { testInFolder } from "../testing/folders.ts";
import { World } from "../testing/world.ts";
import { mlpTask } from "./mlp_task.ts";

/** The device is destroyed, or has no more memory, before these mini-batches are given; each once. */
type Faults = Map<number, "lost" | "memory">;

// deno-lint-ignore no-explicit-any
function withFaults<T extends Task<any, any, any>>(task: T, faults: Faults): T {
  const next = task.data.next.bind(task.data);
  Object.assign(task.data, {
    next: async (at: Parameters<typeof next>[0]) => {
      const fault = faults.get(at.step), device = await defaultDevice();
      faults.delete(at.step);
      if (fault === "lost") device.gpu.destroy();
      if (fault === "memory") capMemory(device, device.memory.bytes);
      return await next(at);
    },
  });
  return task;
}

const common: TrainOptions = {
  steps: 24,
  learningRate: () => 1e-2,
  seed: 5,
  logEvery: 2,
  checkpointEvery: 4,
  progress: false,
};
const run = (faults: Faults, options: Partial<TrainOptions>) =>
  train(withFaults(mlpTask({ dropout: 0.2 }), faults), { ...common, ...options });

const metricSteps = async (dir: string): Promise<number[]> =>
  (await Deno.readTextFile(`${dir}/metrics.jsonl`)).trimEnd().split("\n").map((line) => JSON.parse(line).step);

/** Five steps, the same in every run of the tests. */
const random = new Random(12).permutation(24).slice(0, 5);

for (const kind of ["lost", "memory"] as const) {
  testInFolder(`a run recovers at 5 random steps, device: ${kind}, and ends with the same bytes`, async (dir) => {
    const whole = await run(new Map(), { out: `${dir}/whole` }), said: string[] = [];
    const faults: Faults = new Map([...random].map((step) => [step, kind]));
    const result = await run(faults, { out: `${dir}/run`, recover: 5, progress: (line) => void said.push(line) });
    assertEquals(faults.size, 0);
    assertEquals(result.checkpoint!.sha256, whole.checkpoint!.sha256);
    assertEquals(result.loss, whole.loss);
    assertEquals(await metricSteps(`${dir}/run`), await metricSteps(`${dir}/whole`));
    assertEquals(said.filter((line) => /the device is opened anew/.test(line)).length, 5, said.join("\n"));
  });

  testInFolder(
    `without recovery there is one sentence, device: ${kind}, and the last checkpoint is valid`,
    async (dir) => {
      const whole = await run(new Map(), { out: `${dir}/whole` });
      for (const step of random.slice(0, 2)) {
        const out = `${dir}/${step}`;
        const error = await assertRejects(() => run(new Map([[step, kind]]), { out }), Error);
        assert(error instanceof (kind === "lost" ? DeviceLostError : OutOfMemoryError), error.message);
        const saved = (await listCheckpoints(out)).at(-1);
        const where = saved
          ? `the checkpoint "${out}/${saved}.safetensors" is whole`
          : `there is no checkpoint in "${out}"`;
        assertEquals(error.message.includes(where), true, error.message);
        assertMatch(
          error.message,
          kind === "lost" ? /^Cannot use the GPU ".*": the device was lost/ : /^Cannot allocate .* for /,
        );
        setDefaultDevice(await openDevice()); // as a new process does
        const resumed = await run(new Map(), { out, ...(saved ? { resume: true } : {}) });
        assertEquals(resumed.checkpoint!.sha256, whole.checkpoint!.sha256);
      }
    },
  );
}

testInFolder("a run recovers as often as it may, and no more", async (dir) => {
  const faults = (): Faults => new Map([[3, "lost"], [7, "memory"], [9, "lost"]]);
  await assertRejects(() => run(faults(), { out: dir, recover: 2 }), DeviceLostError, "step-00000008.safetensors");
  setDefaultDevice(await openDevice());
  assertEquals((await run(faults(), { recover: 3 })).steps, 24); // without a folder from the start each time
  const endless = { ...mlpTask(), data: { next: () => Promise.resolve(undefined) } };
  await assertRejects(() => train(endless, { ...common, recover: 1 }), Error, 'the task\'s data must have "save"');
  await assertRejects(() => run(new Map(), { recover: -1 }), RangeError, '"recover" must be a whole number');
});

testInFolder("another error is no reason to open the device anew", async (dir) => {
  const task = mlpTask({ dies: 5 });
  await assertRejects(() => train(task, { ...common, out: dir, recover: 3 }), Error, "no mini-batch 5");
});

Deno.test("the sampler, the loader and features that are collected apart go back with a run whose device is lost", async () => {
  await using world = await World.make();
  const once = async (out: string, faults: Faults) => {
    const objective = grit.objective(world.setup(4, 0.1), { mask: 0.5, negatives: "multinomial" });
    await using loader = world.loader(objective.collate);
    const sampler = { examples: 20, miniBatch: 4, subQueue: 8, queue: 8, seed: 1, mode: "naive" } as const;
    const task = grouped(objective, { loader, embedding: 8, sampler });
    const options = { ...common, steps: 12, checkpointEvery: 3, recover: 1, out };
    return (await train(withFaults(task, faults), options)).checkpoint!.sha256;
  };
  const whole = await once(`${world.dir}/whole`, new Map()), faults: Faults = new Map([[7, "lost"]]);
  assertEquals(await once(`${world.dir}/lost`, faults), whole);
  assertEquals(faults.size, 0);
});
