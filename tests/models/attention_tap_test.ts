import { assertEquals } from "@std/assert";
import { backpropagate } from "../../src/autograd/backpropagate.ts";
import { shownAttention } from "../../src/models/attention_tap.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { randomKey } from "../../src/ops/random.ts";
import { full } from "../../src/ops/full.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertClose, randomTensor } from "../testing/reference.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { assertRefused } from "../testing/refusals.ts";

const heads = 2, width = 3, batch = 2, tq = 4, tk = 5, depth = heads * width;
const inputs = [[batch, tq, depth], [batch, tk, depth], [batch, tk, depth]].map((shape, i) =>
  randomTensor(shape, i + 1)
);
/** The last key of the first row does not count. */
const hidden = Float32Array.from({ length: batch * tk }, (_, i) => i === tk - 1 ? -10000 : 0);

/** Probabilities [B, heads, Tq, Tk] in float64. */
function probabilities(q: Values, k: Values): Float64Array {
  const result = new Float64Array(batch * heads * tq * tk);
  for (let row = 0; row < batch * heads * tq; row++) {
    const b = Math.floor(row / (heads * tq)), h = Math.floor(row / tq) % heads, i = row % tq;
    const scores = Array.from({ length: tk }, (_, j) => {
      let score = 0;
      for (let c = h * width; c < (h + 1) * width; c++) {
        score += q.data[(b * tq + i) * depth + c]! * k.data[(b * tk + j) * depth + c]!;
      }
      return score / Math.sqrt(width) + hidden[b * tk + j]!;
    });
    const most = Math.max(...scores), weights = scores.map((s) => Math.exp(s - most));
    result.set(weights.map((w) => w / weights.reduce((a, b) => a + b)), row * tk);
  }
  return result;
}

/** Their product with the values, [B, Tq, D]. */
function attended(all: Float64Array, v: Values): Float64Array {
  return Float64Array.from({ length: batch * tq * depth }, (_, at) => {
    const b = Math.floor(at / (tq * depth)), i = Math.floor(at / depth) % tq, c = at % depth;
    let result = 0;
    for (let j = 0; j < tk; j++) {
      const p = all[((b * heads + Math.floor(c / width)) * tq + i) * tk + j]!;
      result += p * v.data[(b * tk + j) * depth + c]!;
    }
    return result;
  });
}

for (const queries of [tq, 1]) {
  Deno.test(`shownAttention() is attention, with ${queries} of ${tq} queries written out`, async () => {
    const mask = tensor(hidden, [batch, tk]), tap = { layer: 0, queries, show: () => {} };
    const own = (q: Tensor, k: Tensor, v: Tensor): Tensor => shownAttention(q, k, v, { heads, mask }, tap);
    await checkOp(own, inputs, (q, k, v) => attended(probabilities(q!, k!), v!), {
      edges: "softmax of large scores is a step; the op itself is checked there",
    });
  });
}

Deno.test("shownAttention() shows the probabilities, and the result is differentiated by them", async () => {
  const weights = randomTensor([batch, tq, depth], 9), queries = 2;
  const run = compile((q: Tensor, k: Tensor, v: Tensor, w: Tensor, mask: Tensor) => {
    let seen: Tensor | undefined;
    const tap = { layer: 0, queries, show: (p: Tensor): void => void (seen = p) };
    const result = sum(multiply(shownAttention(q, k, v, { heads, mask }, tap), w));
    return [seen!, backpropagate([result], [full([], 1)], [seen!])[0]!];
  });
  const given = [...inputs, weights].map(({ data, shape }) => tensor(data, shape)) as [Tensor, Tensor, Tensor, Tensor];
  const [shown, gradient] = await toHost(await run(...given, tensor(hidden, [batch, tk]))) as Float32Array[];
  run.destroy();
  const [q, k, v] = inputs.map(({ data, shape }) => ({ data: Float64Array.from(data), shape })) as [
    Values,
    Values,
    Values,
  ];
  const all = probabilities(q, k),
    rows = (values: ArrayLike<number>): number[] =>
      Array.from(values).filter((_, i) => Math.floor(i / tk) % tq < queries); // [B, heads, queries, Tk]
  assertClose(shown!, rows(all));
  // The result is linear in the probabilities: the slope by one is what the result gains from a 1 there.
  const slopes = all.map((_, i) => {
    const one = attended(new Float64Array(all.length).fill(1, i, i + 1), v);
    return one.reduce((sum, x, at) => sum + x * weights.data[at]!, 0);
  });
  assertClose(gradient!, rows(slopes));
});

Deno.test("shownAttention() refuses dropout", async () => {
  const run = compile((x: Tensor, words: Tensor) => {
    const dropout = { probability: 0.1, key: randomKey(words).words, stream: 0 };
    return shownAttention(x, x, x, { heads, dropout }, { layer: 0, show: () => {} });
  });
  const x = tensor(new Float32Array(batch * tq * depth), [batch, tq, depth]);
  await assertRefused([() => run(x, tensor(Uint32Array.of(1, 2))), "dropout must be off"]);
  assertEquals(x.shape, [batch, tq, depth]);
});
