import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { mlmLoss } from "../../src/losses/mlm.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { randomTensor } from "../testing/reference.ts";

const [batch, length, width, vocabulary] = [2, 3, 4, 9];
type Inputs = { queries: Tensor; keys: Tensor; bias: Tensor };

function inputs(): Inputs {
  const random = (shape: number[], seed: number): Tensor => tensor(randomTensor(shape, seed).data, shape);
  return {
    queries: random([batch, length, width], 1),
    keys: random([vocabulary, width], 2),
    bias: random([vocabulary], 3),
  };
}

async function lossOf(
  labels: readonly number[],
  alpha?: number,
): Promise<{ loss: number; grads: Float32Array[] }> {
  const step = compile((q: Inputs, labels: Tensor) => {
    const soft = alpha === undefined ? undefined : { logits: q, alpha };
    const [loss, g] = valueAndGrad((q: Inputs) => mlmLoss(q, labels, soft))(q);
    return [loss, g.queries, g.keys, g.bias];
  });
  const [loss, ...grads] = await toHost(
    await step(inputs(), tensor(Int32Array.from(labels), [batch, length])),
  ) as Float32Array[];
  step.destroy();
  return { loss: loss![0]!, grads };
}

/** Log-softmax of one position. */
function logSoftmax(position: number): number[] {
  const { queries, keys, bias } = inputs();
  const [x, w, b] = [queries, keys, bias].map((t) => t.node.host!);
  const s = Array.from({ length: vocabulary }, (_, v) => {
    let dot = b![v]!;
    for (let k = 0; k < width; k++) dot += x![position * width + k]! * w![v * width + k]!;
    return dot;
  });
  const lse = Math.log(s.reduce((n, v) => n + Math.exp(v), 0));
  return s.map((v) => v - lse);
}

Deno.test("mlmLoss() is the mean over the chosen positions", async () => {
  const { loss } = await lossOf([-100, 8, -100, 0, -100, -100]);
  assertAlmostEquals(loss, -(logSoftmax(1)[8]! + logSoftmax(3)[0]!) / 2, 1e-5);
});

Deno.test("mlmLoss() where no position is chosen is 0 and has gradients of 0", async () => {
  for (const alpha of [undefined, 0.4]) {
    const { loss, grads } = await lossOf([-100, -100, -100, -100, -100, -100], alpha);
    assertEquals(loss, 0);
    for (const g of grads) assert(g.every((x) => x === 0));
  }
});

Deno.test("mlmLoss() with soft targets mixes labels and the softmax of those", async () => {
  const { loss } = await lossOf([-100, 8, -100, -100, -100, -100], 0.25), p = logSoftmax(1);
  const entropy = -p.reduce((n, x) => n + Math.exp(x) * x, 0);
  assertAlmostEquals(loss, 0.75 * -p[8]! + 0.25 * entropy, 1e-5);
});
