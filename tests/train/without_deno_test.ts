import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { AlbefConfig, MlmBatch, NoExtra, Task, Tensor, TrainOptions } from "../../mod.ts";

/**
 * Runs `body` where there is no `Deno`, as in a browser: hidden here, missing there. What the body imports first is evaluated
 * without it too.
 */
async function withoutDeno<T>(body: () => Promise<T>): Promise<T> {
  const own = Object.getOwnPropertyDescriptor(globalThis, "Deno");
  Reflect.deleteProperty(globalThis, "Deno");
  try {
    assert(!("Deno" in globalThis));
    return await body();
  } finally {
    if (own) Object.defineProperty(globalThis, "Deno", own);
  }
}

const { grit, add, matmul, mean, Random, relu, Spec, square, subtract, tensor, train } = await withoutDeno(() =>
  import("../../mod.ts")
);

/** Calls `make` for 0 to `length` - 1. */
const numbers = (length: number, make: (index: number) => number): number[] =>
  Array.from({ length }, (_, i) => make(i));

const spec = {
  first: { weight: new Spec([4, 16], { normal: 0.5 }), bias: new Spec([16], { constant: 0 }) },
  second: { weight: new Spec([16, 1], { normal: 0.2 }), bias: new Spec([1], { constant: 0 }) },
};

/** A perceptron learns the distance of two points, as in examples/own_model.ts. */
const distances: Task<typeof spec, NoExtra, { points: Tensor; distance: Tensor }> = {
  spec,
  input: { points: { shape: [32, 4], dtype: "f32" }, distance: { shape: [32, 1], dtype: "f32" } },
  loss(p, _, { points, distance }) {
    const hidden = relu(add(matmul(points, p.first.weight), p.first.bias));
    const output = add(matmul(hidden, p.second.weight), p.second.bias);
    return { loss: mean(square(subtract(output, distance))) };
  },
  data: {
    next({ step }) {
      const random = new Random(5).fork(step), points = numbers(128, () => random.uniform());
      const distance = numbers(32, (i) => {
        const [a, b, c, d] = points.slice(4 * i);
        return Math.hypot(a! - c!, b! - d!);
      });
      const input = { points: tensor(points, [32, 4]), distance: tensor(distance, [32, 1]) };
      return Promise.resolve({ input, examples: 32, label: `mini-batch ${step}`, epoch: 0 });
    },
  },
};

Deno.test("a model of one's own learns without Deno and tells a function of its progress", async () => {
  const lines: string[] = [];
  const options = {
    steps: 150,
    logEvery: 50,
    learningRate: () => 1e-2,
    progress: (line: string) => void lines.push(line),
  };
  const { loss, steps, checkpoint } = await withoutDeno(() => train(distances, options));
  assert(loss.last < 0.2 * loss.first, `${loss.first} to ${loss.last}`);
  assertEquals([steps, checkpoint], [150, null]);
  assertEquals(lines.filter((line) => line.includes("/150")).length, 3, lines.join("\n"));
});

Deno.test("without Deno progress goes to the console unless it is told where to", async () => {
  const { info } = console, lines: unknown[] = [];
  console.info = (...line) => void lines.push(...line);
  try {
    await withoutDeno(() => train(distances, { steps: 2, logEvery: 1, learningRate: () => 1e-2 }));
  } finally {
    console.info = info;
  }
  assertEquals(lines.filter((line) => /step [12]\/2 loss/.test(String(line))).length, 2, lines.join("\n"));
});

const config: AlbefConfig = {
  vision: { resolution: 16, patch: 8, width: 16, depth: 1, heads: 2, eps: 1e-6 },
  text: {
    vocabulary: 40,
    width: 16,
    layers: 2,
    fusionLayer: 1,
    heads: 2,
    intermediate: 32,
    maxPositions: 8,
    encoderWidth: 16,
    dropout: 0.1,
    eps: 1e-12,
    padId: 0,
  },
  embedding: 8,
};

/** Four random images and captions; every other word is to be predicted. */
function pairs(step: number): MlmBatch {
  const random = new Random(3).fork(step), shape = [4, 8];
  const ids = numbers(32, (i) => i % 8 ? 5 + random.below(35) : 2), masked = (i: number): boolean => i % 2 > 0;
  return {
    images: tensor(Uint32Array.from(numbers(4 * 192, () => random.nextUint32())), [4, 192]),
    ids: tensor(Uint32Array.from(ids), shape),
    mask: tensor(numbers(32, () => 1), shape),
    imageIds: tensor(Uint32Array.of(0, 1, 2, 3)),
    mlmIds: tensor(Uint32Array.from(ids, (id, i) => masked(i) ? 4 : id), shape),
    mlmLabels: tensor(Int32Array.from(ids, (id, i) => masked(i) ? id : -100), shape),
  };
}

/** What Mesa's llvmpipe computed in Deno. */
const losses = [8.739336, 7.297396, 6.323228, 7.815237, 6.768566, 6.628197];

Deno.test("GRIT's losses without Deno are those that were computed with it", async () => {
  const setup = { config, batch: 4, textLength: 8, view: { resolution: 16, transform: "eval" } } as const;
  const { collate: _, ...objective } = grit.objective(setup, {
    mask: 0.5,
    consistency: 0.2,
    negatives: "multinomial",
  });
  const next = ({ step }: { step: number }) =>
    Promise.resolve({ input: pairs(step), examples: 4, label: `${step}`, epoch: 0 });
  const seen: number[] = [];
  const options: TrainOptions = {
    steps: losses.length,
    logEvery: 1,
    seed: 1,
    learningRate: () => 3e-3,
    progress: false,
    onMetrics: ({ loss }) => void seen.push(loss!),
  };
  await withoutDeno(() => train({ ...objective, data: { next } }, options));
  assertEquals(seen.length, losses.length);
  losses.forEach((loss, step) => assertAlmostEquals(seen[step]!, loss, 2e-4 * loss, `${seen}`));
});
