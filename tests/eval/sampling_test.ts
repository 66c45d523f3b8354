import { assert, assertEquals } from "@std/assert";
import { restrict, sampleTokens, type SamplingOptions } from "../../src/eval/sampling.ts";
import { randomKey } from "../../src/ops/random.ts";
import { broadcastTo } from "../../src/ops/reduce.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import { evaluate, tensor, toHost } from "../../src/program/compile.ts";
import { assertClose, randomSource } from "../testing/reference.ts";

/** Log-probabilities of tokens that may come, -Infinity for the others, in plain words. */
function plain(logits: readonly number[], { temperature, topK = Infinity, topP = 1 }: SamplingOptions): number[] {
  const order = logits.map((_, i) => i).sort((a, b) => logits[b]! - logits[a]!).slice(0, topK);
  const weights = order.map((i) => Math.exp((logits[i]! - logits[order[0]!]!) / temperature));
  const all = weights.reduce((a, b) => a + b), kept: number[] = [];
  for (let before = 0, n = 0; n < order.length && before < topP; n++) kept.push(order[n]!), before += weights[n]! / all;
  const rest = kept.reduce((sum, _, n) => sum + weights[n]!, 0);
  return logits.map((_, i) => kept.includes(i) ? Math.log(weights[order.indexOf(i)]! / rest) : -Infinity);
}

const rows = 3, vocabulary = 17, random = randomSource(5);
const logits = Array.from({ length: rows }, () => Array.from({ length: vocabulary }, () => 3 * random()));

for (
  const options of [
    { temperature: 1 },
    { temperature: 0.5, topK: 4 },
    { temperature: 2, topP: 0.6 },
    { temperature: 1, topK: 9, topP: 0.5 },
    { temperature: 1, topK: 100 },
    { temperature: 1, topP: 1e-6 },
  ]
) {
  Deno.test(`restrict() with ${JSON.stringify(options)}`, async () => {
    const next = logSoftmax(tensor(logits.flat(), [rows, vocabulary]));
    const found = await toHost((await evaluate([restrict(next, options)]))[0]!);
    const expected = logits.flatMap((row) => plain(row, options));
    const may = expected.map((x) => x > -Infinity);
    assertEquals([...found].map((x) => x > -1e29), may);
    assertClose(
      found.map((x, i) => may[i] ? x : 0) as Float32Array,
      expected.map((x) => Math.max(x, -1e30) > -1e29 ? x : 0),
    );
  });
}

Deno.test("sampleTokens() draws tokens as often as they are likely", async () => {
  const options = { temperature: 1.3, topK: 6, topP: 0.9 }, draws = 4000, [row] = logits;
  const next = broadcastTo(logSoftmax(tensor(row!, [1, vocabulary])), [draws, vocabulary]);
  const drawn = await toHost((await evaluate([sampleTokens(next, options, randomKey(3))]))[0]!);
  plain(row!, options).forEach((log, token) => {
    const share = Math.exp(log), found = Array.from(drawn).filter((id) => id === token).length / draws;
    assert(Math.abs(found - share) <= 4.5 * Math.sqrt(share * (1 - share) / draws), `${token}: ${found}, not ${share}`);
  });
});
