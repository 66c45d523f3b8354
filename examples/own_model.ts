/**
 * A model of your own in the trainer: a small perceptron learns the distance of two points. Prints its losses; the folder
 * runs/own_model then holds checkpoints and metrics.
 *
 *     deno run -A examples/own_model.ts
 */
import { add, matmul, mean, relu, Spec, square, subtract, tensor, train } from "../mod.ts";

const spec = {
  first: { weight: new Spec([4, 32], { normal: 0.5 }), bias: new Spec([32], { constant: 0 }) },
  second: { weight: new Spec([32, 1], { normal: 0.2 }), bias: new Spec([1], { constant: 0 }) },
};

const result = await train({
  spec,
  input: { points: { shape: [64, 4], dtype: "f32" }, distance: { shape: [64, 1], dtype: "f32" } },
  loss(p, _, { points, distance }) {
    const hidden = relu(add(matmul(points, p.first.weight), p.first.bias)); // [64, 32]
    const output = add(matmul(hidden, p.second.weight), p.second.bias); // [64, 1]
    return { loss: mean(square(subtract(output, distance))) };
  },
  data: {
    next() {
      const rows = Array.from({ length: 64 }, () => Array.from({ length: 4 }, () => Math.random()));
      const distances = rows.map(([a, b, c, d]) => Math.hypot(a! - c!, b! - d!));
      const input = { points: tensor(rows.flat(), [64, 4]), distance: tensor(distances, [64, 1]) };
      return Promise.resolve({ input, examples: 64, label: "64 random pairs of points", epoch: 0 });
    },
  },
}, { steps: 300, learningRate: () => 1e-2, logEvery: 50, out: "runs/own_model", overwrite: true });
console.log(JSON.stringify(result.loss));
