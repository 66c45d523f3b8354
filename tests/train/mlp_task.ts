/** A small task for the tests of the trainer: a two-layer perceptron that learns a function of four numbers. */
import { Random } from "../../src/random/random.ts";
import { Spec } from "../../src/nn/spec.ts";
import { add, multiply, sqrt, square, subtract, tanh } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { dropout } from "../../src/ops/random.ts";
import { mean, sum } from "../../src/ops/reduce.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Avals } from "../../src/program/tree.ts";
import type { Settings, Task } from "../../src/train/task.ts";

export type MlpSpec = { hidden: { weight: Spec; bias: Spec }; out: { weight: Spec; bias: Spec } };
export type MlpExtra = { seen: Tensor };
export type MlpBatch = { x: Tensor; y: Tensor; flag: Tensor };
export type MlpTask = Task<MlpSpec, MlpExtra, MlpBatch>;

/** What a test makes of the task. */
export interface MlpOptions {
  readonly batch?: number;
  /** Mini-batches until the task ends. */
  readonly batches?: number;
  readonly dropout?: number;
  readonly hidden?: number;
  readonly settings?: Settings;
  /** From this mini-batch on, the data (so the loss) or only the gradient is not finite. */
  readonly bad?: { readonly from: number; readonly what: "NaN" | "Infinity" | "gradient" };
  /** The mini-batch that cannot be had: the process "dies" there. */
  readonly dies?: number;
  /** Counts `done` and `close`. */
  readonly calls?: { done: number; closed: number };
}

const WIDTH = 4;

/** Row `index` of the endless data: four numbers and what is to be learned of them. */
function example(index: number): { x: number[]; y: number } {
  const random = new Random(11).fork(index);
  const x = Array.from({ length: WIDTH }, () => 2 * random.uniform() - 1);
  return { x, y: x[0]! * 1.5 - x[1]! + 0.5 * x[2]! * x[3]! };
}

/** Shapes of a mini-batch. */
export function mlpInput({ batch = 8 }: MlpOptions = {}): Avals<MlpBatch> {
  return {
    x: { shape: [batch, WIDTH], dtype: "f32" },
    y: { shape: [batch, 1], dtype: "f32" },
    flag: { shape: [], dtype: "f32" },
  };
}

/** Mini-batch `number`. */
export function mlpBatch(number: number, { batch = 8, bad }: MlpOptions = {}): MlpBatch {
  const rows = Array.from({ length: batch }, (_, i) => example(number * batch + i));
  const isBad = bad !== undefined && number >= bad.from;
  if (isBad && bad.what !== "gradient") rows[batch - 1]!.y = Number(bad.what);
  return {
    x: tensor(rows.flatMap((r) => r.x), [batch, WIDTH]),
    y: tensor(rows.map((r) => r.y), [batch, 1]),
    flag: tensor(isBad && bad.what === "gradient" ? 0 : 1),
  };
}

/** The task; it saves which mini-batch comes next. */
export function mlpTask(options: MlpOptions = {}): MlpTask {
  const { batch = 8, dropout: rate = 0, hidden = 8 } = options;
  return {
    spec: {
      hidden: { weight: new Spec([WIDTH, hidden], { normal: 0.5 }), bias: new Spec([hidden], { constant: 0 }) },
      out: { weight: new Spec([hidden, 1], { normal: 0.5 }), bias: new Spec([1], { constant: 0 }) },
    },
    input: mlpInput(options),
    settings: { hidden, batch, dropout: rate, ...options.settings },
    extra: () => ({ seen: tensor(0) }),
    loss(p, { seen }, { x, y, flag }, { key }) {
      const h = tanh(add(matmul(x, p.hidden.weight), p.hidden.bias));
      const kept = rate ? dropout(h, rate, key) : h;
      const error = mean(square(subtract(add(matmul(kept, p.out.weight), p.out.bias), y)));
      // At 0 the root has no derivative: the loss is finite and the gradient is not.
      const length = sqrt(sum(square(multiply(p.out.weight, flag))));
      return {
        loss: add(error, multiply(length, 1e-3)),
        metrics: { error, length },
        extra: { seen: add(seen, batch) },
      };
    },
    data: mlpData(options),
  };
}

function mlpData(options: MlpOptions): MlpTask["data"] {
  const { batch = 8, batches = Infinity, dies = Infinity, calls } = options;
  let next = 0;
  return {
    next() {
      if (next === dies) return Promise.reject(new Error(`no mini-batch ${next}`));
      if (next >= batches) return Promise.resolve(undefined);
      const number = next++, input = mlpBatch(number, options);
      return Promise.resolve({ input, examples: batch, label: `mini-batch ${number}`, epoch: Math.floor(number / 10) });
    },
    done() {
      if (calls) calls.done++;
      return Promise.resolve();
    },
    save: () => ({ next: new TextEncoder().encode(JSON.stringify(next)) }),
    restore: (parts) => next = JSON.parse(new TextDecoder().decode(parts.get("next"))),
    close() {
      if (calls) calls.closed++;
      return Promise.resolve();
    },
  };
}
