import { assert, assertEquals } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { softmaxLoss, softmaxLossAndNorm, type SoftmaxLossOptions } from "../../src/losses/softmax_loss.ts";
import { sum } from "../../src/ops/reduce.ts";
import { concat } from "../../src/ops/shape.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkSecondDerivatives } from "../testing/second_derivative.ts";
import { checkOp, type CheckOptions, type Edges, type Values } from "../testing/check_op.ts";
import { randomTensor } from "../testing/reference.ts";
import type { HostTensor } from "../testing/run_op.ts";

const width = 4;

/** rows columns^T * scale + bias, row-major. */
function logits(rows: Values, columns: Values, bias: Values, scale: Values): number[][] {
  return Array.from({ length: rows.shape[0]! }, (_, r) =>
    Array.from({ length: columns.shape[0]! }, (_, c) => {
      let dot = 0;
      for (let k = 0; k < width; k++) dot += rows.data[r * width + k]! * columns.data[c * width + k]!;
      return dot * scale.data[0]! + bias.data[c]!;
    }));
}

function logSumExp(x: readonly number[]): number {
  const top = Math.max(...x);
  return top + Math.log(x.reduce((n, v) => n + Math.exp(v - top), 0));
}

/** -sum_j weight_rj log softmax(s)_rj. */
function crossEntropies(s: number[][], weight: (row: number, column: number) => number): number[] {
  return s.map((row, r) => {
    const lse = logSumExp(row);
    return row.reduce((n, v, c) => n + weight(r, c) * (lse - v), 0);
  });
}

/** Rows, columns, bias and scale of logits that are not small. */
function inputsOf(count: number, choices: number, seed: number): HostTensor[] {
  return [
    randomTensor([count, width], seed),
    randomTensor([choices, width], seed + 1),
    randomTensor([choices], seed + 2),
    randomTensor([], seed + 3, 1, 3),
  ];
}

/** Logits up to some hundreds; the scale, by which the gradient rule divides, is never 0. */
const edges: Edges = { domain: (x, input) => input % 5 === 3 ? 3 : Math.max(-5, Math.min(5, x)) };

type Sizes = { readonly name: string; readonly count: number; readonly choices: number; readonly tile?: number };

const sizes: readonly Sizes[] = [
  { name: "in one piece", count: 5, choices: 13 },
  { name: "a row and 8 columns at a time", count: 5, choices: 13, tile: 8 },
  { name: "2 rows and 4,096 columns at a time", count: 3, choices: 4100, tile: 8192 },
];

for (const { name, count, choices, tile } of sizes) {
  const options = (o: SoftmaxLossOptions): SoftmaxLossOptions => tile ? { ...o, tile } : o;
  const gradients: CheckOptions = { wrt: [0, 1, 2, 3], edges: name === "in one piece" ? edges : "seen in one piece" };

  Deno.test(`softmaxLoss() with labels, some ignored, ${name}`, async () => {
    const labels = Int32Array.from({ length: count }, (_, r) => r === 1 ? -100 : choices - 1 - r * 3);
    await checkOp(
      (rows, columns, bias, scale, labels) =>
        softmaxLoss({ queries: rows, keys: columns, bias, scale }, options({ targets: { labels } })),
      [...inputsOf(count, choices, 1), { data: labels, shape: [count], dtype: "i32" }],
      (rows, columns, bias, scale) =>
        crossEntropies(logits(rows!, columns!, bias!, scale!), (r, c) => labels[r] === c ? 1 : 0),
      gradients,
    );
  });

  Deno.test(`softmaxLossAndNorm() gives the log-sum-exp of all rows beside their losses, ${name}`, async () => {
    const labels = Int32Array.from({ length: count }, (_, r) => r === 1 ? -100 : choices - 1 - r * 3);
    await checkOp(
      (rows, columns, bias, scale, labels) => {
        const logits = { queries: rows!, keys: columns!, bias: bias!, scale: scale! };
        const { losses, logSumExp } = softmaxLossAndNorm(logits, options({ targets: { labels: labels! } }));
        return concat([losses, logSumExp], 0);
      },
      [...inputsOf(count, choices, 7), { data: labels, shape: [count], dtype: "i32" }],
      (rows, columns, bias, scale) => {
        const s = logits(rows!, columns!, bias!, scale!);
        return [...crossEntropies(s, (r, c) => labels[r] === c ? 1 : 0), ...s.map(logSumExp)];
      },
      gradients,
    );
  });

  Deno.test(`softmaxLoss() with ids: equal shares of all positives, ${name}`, async () => {
    const queryIds = Uint32Array.from({ length: count }, (_, r) => r % 3);
    const keyIds = Uint32Array.from({ length: choices }, (_, c) => c < 6 ? c % 3 : 0xffffffff);
    await checkOp(
      (rows, columns, bias, scale, queryIds, keyIds) =>
        softmaxLoss({ queries: rows, keys: columns, bias, scale }, options({ targets: { queryIds, keyIds } })),
      [
        ...inputsOf(count, choices, 11),
        { data: queryIds, shape: [count], dtype: "u32" },
        { data: keyIds, shape: [choices], dtype: "u32" },
      ],
      (rows, columns, bias, scale) =>
        crossEntropies(logits(rows!, columns!, bias!, scale!), (r, c) => keyIds[c] === queryIds[r] ? 1 / 2 : 0),
      gradients,
    );
  });

  Deno.test(`softmaxLoss() with a teacher's softmax as a part of the target, ${name}`, async () => {
    const labels = Int32Array.from({ length: count }, (_, r) => r === 2 ? -100 : r), hard = 0.6, weight = 0.4;
    await checkOp(
      (rows, columns, bias, scale, labels, tRows, tColumns, tBias, tScale) => {
        const logits = { queries: tRows!, keys: tColumns!, bias: tBias!, scale: tScale! };
        return softmaxLoss(
          { queries: rows!, keys: columns!, bias: bias!, scale: scale! },
          options({ targets: { labels: labels! }, hard, soft: { logits, weight } }),
        );
      },
      [
        ...inputsOf(count, choices, 21),
        { data: labels, shape: [count], dtype: "i32" },
        ...inputsOf(count, choices, 31),
      ],
      (rows, columns, bias, scale, _, ...teacher) => {
        const t = logits(...teacher as [Values, Values, Values, Values]), lse = t.map(logSumExp);
        const target = (r: number, c: number): number =>
          (labels[r] === c ? hard : 0) + weight * Math.exp(t[r]![c]! - lse[r]!);
        return crossEntropies(logits(rows!, columns!, bias!, scale!), target);
      },
      gradients,
    );
  });
}

Deno.test("softmaxLoss() is exact where the logits are far apart", async () => {
  const rows = tensor(Float32Array.of(1, -1), [2, 1]), columns = tensor(Float32Array.of(1, -1, 0), [3, 1]);
  const step = compile((queries: Tensor, keys: Tensor, scale: Tensor, labels: Tensor) => {
    const [loss, grads] = valueAndGrad((q: { queries: Tensor; keys: Tensor; scale: Tensor }) =>
      sum(softmaxLoss(q, { targets: { labels } }))
    )({ queries, keys, scale });
    return { loss, grads: [grads.queries, grads.keys, grads.scale] };
  });
  const { loss, grads } = await step(rows, columns, tensor(1000), tensor(Int32Array.of(0, 0)));
  assertEquals([...await toHost(loss)], [2000], "the second row's own column is 2,000 below the largest");
  const [ofRows, ofColumns, ofScale] = await toHost(grads);
  assertEquals([...ofRows!], [0, -2000]);
  assertEquals([...ofColumns!], [1000, -1000, 0]);
  assertEquals([...ofScale!], [2]);
  step.destroy();
});

Deno.test("softmaxLoss() keeps one tile of logits at a time, not those of a block of rows", async () => {
  const [rows, columns, width, tile] = [256, 16384, 32, 2 ** 17];
  const zeros = (...shape: number[]): Tensor => tensor(new Float32Array(shape[0]! * shape[1]!), shape);
  const loss = compile((a: Tensor, b: Tensor, labels: Tensor) =>
    softmaxLoss({ queries: a, keys: b }, { targets: { labels }, tile })
  );
  const program = await loss.program(zeros(rows, width), zeros(columns, width), tensor(new Int32Array(rows)));
  assert(program.arenaBytes < 1.5 * 4 * tile, `${program.arenaBytes} bytes for tiles of ${4 * tile}`);
});

Deno.test("softmaxLoss() has the right second derivatives, in tiles of one row and four columns", async () => {
  const targets = { labels: tensor(Int32Array.of(4, -1)) };
  await checkSecondDerivatives(
    (queries, keys, bias, scale) =>
      softmaxLoss({ queries: queries!, keys: keys!, bias: bias!, scale: scale! }, { targets, uniform: 0.2, tile: 4 }),
    inputsOf(2, 5, 1),
    (queries, keys, bias, scale) =>
      crossEntropies(logits(queries!, keys!, bias!, scale!), (r, c) => Number(r === 0 && c === 4) + 0.2 / 5),
  );
});
