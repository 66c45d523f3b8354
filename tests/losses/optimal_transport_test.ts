import { assertAlmostEquals, assertEquals } from "@std/assert";
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import {
  alignmentLoss,
  innerPatches,
  innerWords,
  transportPlan,
  wordPatchAlignment,
} from "../../src/losses/optimal_transport.ts";
import { compile, evaluate, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { assertClose, assertGradient, randomTensor } from "../testing/reference.ts";

const batch = 4, length = 5, count = 7, width = 6;
/** The second text has one word, the third none; the last image has one patch. */
const words = [[0, 1, 1, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 0, 0]];
const patches = [7, 4, 5, 1].map((own) => Array.from({ length: count }, (_, j) => j < own ? 1 : 0));
const wordMask = tensor(words.flat(), [batch, length]), patchMask = tensor(patches.flat(), [batch, count]);

/** The plan of a pair, [P][L], from its cost, [L][P], over the words and patches that take part and no others. */
function planOf(cost: number[][], words: number[], patches: number[], beta = 0.5, rounds = 50): number[][] {
  const own = (mask: number[]): number[] => mask.flatMap((x, i) => x ? [i] : []), is = own(words), js = own(patches);
  let plan = js.map(() => is.map(() => 1)), sigma = is.map(() => 1 / is.length);
  for (let round = 0; round < rounds; round++) {
    const q = js.map((j, b) => is.map((i, a) => Math.exp(-cost[i]![j]! / beta) * plan[b]![a]!));
    const delta = q.map((row) => 1 / (js.length * row.reduce((sum, x, a) => sum + x * sigma[a]!, 0)));
    sigma = is.map((_, a) => 1 / (is.length * q.reduce((sum, row, b) => sum + delta[b]! * row[a]!, 0)));
    plan = q.map((row, b) => row.map((x, a) => delta[b]! * x * sigma[a]!));
  }
  const all = patches.map(() => words.map(() => 0));
  js.forEach((j, b) => is.forEach((i, a) => all[j]![i] = plan[b]![a]!));
  return all;
}

/** The rows of all matrices of a tensor, [B][rows][columns]. */
function matrices(data: ArrayLike<number>, rows: number, columns: number): number[][][] {
  const all = Array.from(data), size = rows * columns;
  return Array.from(
    { length: all.length / size },
    (_, b) => Array.from({ length: rows }, (_, r) => all.slice(b * size + r * columns, b * size + (r + 1) * columns)),
  );
}

Deno.test("transportPlan() agrees with float64 over the tokens that take part, and the words weigh the same", async () => {
  await checkOp(
    (cost) => transportPlan(cost, wordMask, patchMask),
    [randomTensor([batch, length, count], 1, 0.5, 1)],
    ({ data }) =>
      matrices(data, length, count).flatMap((cost, b) => {
        const plan = planOf(cost, words[b]!, patches[b]!);
        const weights = words[b]!.map((_, i) => plan.reduce((sum, row) => sum + row[i]!, 0));
        const inner = words[b]!.reduce((a, x) => a + x);
        weights.forEach((w, i) => assertAlmostEquals(w, words[b]![i] ? 1 / inner : 0, 1e-9));
        return plan.flat();
      }),
    // No gradient flows. Costs are from 0 to 2.
    { wrt: [], edges: { domain: (value) => Math.max(0, Math.min(2, value)) } },
  );
});

/** Cosine costs of a pair, [L][P]. */
function costOf(text: number[][], image: number[][]): number[][] {
  const dot = (a: number[], b: number[]): number => a.reduce((sum, x, k) => sum + x * b[k]!, 0);
  return text.map((t) => image.map((v) => 1 - dot(t, v) / Math.sqrt(dot(t, t) * dot(v, v))));
}

Deno.test("wordPatchAlignment(): the distance and its gradient, where the plan stays as it is", async () => {
  const text = randomTensor([batch, length, width], 2).data, image = randomTensor([batch, count, width], 3).data;
  const weights = [1, -0.5, 2, 0.7];
  const run = compile((text: Tensor, image: Tensor, weights: Tensor) => {
    const [, gradients, { plan, distance, cost }] = valueAndGradAux(([text, image]: Tensor[]) => {
      const aligned = wordPatchAlignment({ text: text!, words: wordMask, image: image!, patches: patchMask });
      return [alignmentLoss(aligned.distance, weights), { ...aligned }];
    })([text, image]);
    return [cost, plan, distance, ...gradients];
  });
  const [cost, plan, distance, byText, byImage] = await toHost(
    await run(tensor(text, [batch, length, width]), tensor(image, [batch, count, width]), tensor(weights)),
  ) as Float32Array[];
  run.destroy();

  const distances = (text: ArrayLike<number>, image: ArrayLike<number>, plans: number[][][]): number[] => {
    const images = matrices(image, count, width);
    return matrices(text, length, width).map((words, b) => {
      const cost = costOf(words, images[b]!);
      return plans[b]!.reduce((sum, row, j) => row.reduce((sum, t, i) => sum + t * cost[i]![j]!, sum), 0);
    });
  };
  const images = matrices(image, count, width);
  const costs = matrices(text, length, width).map((words, b) => costOf(words, images[b]!));
  const plans = costs.map((cost, b) => planOf(cost, words[b]!, patches[b]!));
  assertClose(plan!, plans.flat(2));
  assertClose(
    cost!,
    costs.flatMap((c, b) => c.flatMap((row, i) => row.map((x, j) => words[b]![i]! * patches[b]![j]! * x))),
  );
  assertClose(distance!, distances(text, image, plans));
  // d loss / d distance = (2 label - 1) / B, with labels that are no labels so that each pair counts differently.
  const slopes = weights.map((w) => (2 * w - 1) / batch);
  const by = (f: (x: Float64Array) => number[]) => (x: Float64Array) => Float64Array.from(f(x));
  assertGradient(by((x) => distances(x, image, plans)), text, slopes, byText!);
  assertGradient(by((x) => distances(text, x, plans)), image, slopes, byImage!);
});

Deno.test("innerWords() and innerPatches() leave out [CLS], [SEP] and padding", async () => {
  const rows = (x: Float32Array, n: number) =>
    Array.from({ length: x.length / n }, (_, i) => x.slice(n * i, n * i + n).join(""));
  const mask = tensor([1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0], [4, 4]);
  const [inner, none, seen] = await toHost(
    await evaluate([innerWords(mask), innerWords(tensor([1, 1], [2, 1])), innerPatches(mask)]),
  ) as Float32Array[];
  assertEquals(rows(inner!, 4), ["0110", "0000", "0100", "0000"]);
  assertEquals([...none!], [0, 0]);
  assertEquals(rows(seen!, 4), ["0111", "0100", "0110", "0000"]);
});
