/** What a training loop waits for: read-backs, JavaScript, gaps between kernels. */
import { defaultDevice } from "../../src/gpu/device.ts";
import { configs } from "../../src/models/config.ts";
import { train } from "../../src/train/train.ts";
import { countWaits } from "../testing/count_waits.ts";
import { measure, median, round } from "./measure.ts";
import { BenchStep, syntheticTask } from "./step.ts";

/** The report of `bench.ts waits`. */
export async function waits(): Promise<void> {
  const trained = await countWaits(() =>
    train(syntheticTask(configs.tiny, 8), {
      steps: 50,
      logEvery: 20,
      learningRate: () => 1e-4,
      progress: false,
    })
  );
  console.log(`50 steps of training with a report every 20 wait for the GPU ${trained} times (3 reports)`);

  const step = await BenchStep.create(configs.small, 32), { gpu } = await defaultDevice();
  const javascript: number[] = [];
  await measure(async () => {
    const start = performance.now();
    await step.run();
    javascript.push(performance.now() - start);
    await gpu.queue.onSubmittedWorkDone();
  });
  // Several steps for one wait, which costs milliseconds of its own. Rounds alternate and the best count, for others may
  // use the machine.
  const wall: number[] = [], kernels: number[] = [];
  for (let round = 0; round < 5; round++) {
    kernels.push((await step.profile()).reduce((ms, t) => ms + t.nanoseconds / 1e6, 0));
    const start = performance.now();
    for (let i = 0; i < 4; i++) await step.run();
    await gpu.queue.onSubmittedWorkDone();
    wall.push((performance.now() - start) / 4);
  }
  const time = Math.min(...wall), inKernels = Math.min(...kernels), inJavascript = median(javascript.slice(1));
  console.log(
    `a step of small, batch 32: ${round(time, 0)} ms, its kernels ${round(inKernels, 0)} ms ` +
      `(${round(100 * (time / inKernels - 1), 1)} % beside them), JavaScript ${round(inJavascript, 1)} ms (${
        round(100 * inJavascript / time, 1)
      } %)`,
  );
}
