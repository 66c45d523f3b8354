import { assertEquals } from "@std/assert";
import { Spec } from "../../src/nn/spec.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { mean } from "../../src/ops/reduce.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { NoExtra, Task } from "../../src/train/task.ts";
import { train } from "../../src/train/train.ts";
import { countWaits } from "../testing/count_waits.ts";

const x = tensor(new Float32Array(32).fill(0.1), [4, 8]);
const task: Task<{ weight: Spec }, NoExtra, { x: Tensor }> = {
  spec: { weight: new Spec([8, 8], { constant: 0.1 }) },
  input: { x: { shape: [4, 8], dtype: "f32" } },
  loss: (p, _, { x }) => ({ loss: mean(matmul(x, p.weight)) }),
  data: { next: () => Promise.resolve({ input: { x }, examples: 4, label: "all", epoch: 0 }) },
};

Deno.test("training waits for the GPU once a report, not once a step", async () => {
  const options = { steps: 50, logEvery: 20, learningRate: () => 1e-3, progress: false };
  assertEquals(await countWaits(() => train(task, options)), 3); // after steps 20, 40 and 50
});
