import { assert, assertRejects } from "@std/assert";
import { softmaxLoss } from "../../src/losses/softmax_loss.ts";
import { crossEntropy } from "../../src/ops/cross_entropy.ts";
import { add, relu } from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { max } from "../../src/ops/max.ts";
import { mean, sum } from "../../src/ops/reduce.ts";
import { slice } from "../../src/ops/shape.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import { Spec } from "../../src/nn/spec.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { NoExtra, Task } from "../../src/train/task.ts";
import { train } from "../../src/train/train.ts";

// No label is column 1, where the NaN is: it reaches the loss only through sums and maxima over classes.
const labels = tensor(Int32Array.of(2, 2, 0, 0));
const losses: Record<string, (x: Tensor, weight: Tensor) => Tensor> = {
  crossEntropy: (x, w) => crossEntropy(add(x, sum(w, { axes: [0] })), labels)[0],
  softmaxLoss: (x, w) =>
    softmaxLoss({ queries: full([4, 3], 1), keys: w, bias: sum(x, { axes: [0] }) }, { targets: { labels } }),
  logSoftmax: (x, w) => slice(logSoftmax(add(x, sum(w, { axes: [0] }))), 1, 2, 3),
  relu: (x, w) => relu(add(x, sum(w, { axes: [0] }))),
  max: (x, w) => max(add(x, sum(w, { axes: [0] })), { axes: [1] }),
};

/** A task with one matrix of parameters, whose mini-batch 3 has NaN in column 1 of one example. */
function task(loss: (x: Tensor, weight: Tensor) => Tensor): Task<{ weight: Spec }, NoExtra, { x: Tensor }> {
  let next = 0;
  return {
    spec: { weight: new Spec([3, 3], { normal: 0.5 }) },
    input: { x: { shape: [4, 3], dtype: "f32" } },
    loss: (p, _, { x }) => ({ loss: mean(loss(x, p.weight)) }),
    data: {
      next() {
        const number = next++;
        const x = Array.from({ length: 12 }, (_, i) => number === 3 && i === 4 ? NaN : Math.sin(12 * number + i));
        return Promise.resolve({
          input: { x: tensor(x, [4, 3]) },
          examples: 4,
          label: `mini-batch ${number}`,
          epoch: 0,
        });
      },
    },
  };
}

for (const [name, loss] of Object.entries(losses)) {
  Deno.test(`train() stops at NaN that reaches the loss only through ${name}, and names the mini-batch`, async () => {
    const error = await assertRejects(
      () => train(task(loss), { steps: 6, learningRate: () => 1e-2, progress: false }),
      Error,
      "Training stopped at step 4: the loss is not finite (loss NaN, gradient norm ",
    );
    assert(error.message.includes(") on mini-batch 3"), error.message);
    assert(error.message.includes("the parameters are those before this step"), error.message);
  });
}
