import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { AnswerTensors } from "../../src/data/vqa_collate.ts";
import { AnswerScorer } from "../../src/eval/answer_scores.ts";
import { type Candidates, rankAnswers, type RankOptions } from "../../src/eval/answers.ts";
import type { PatchedPairs } from "../../src/models/albef.ts";
import { type Vqa, vqaSpec } from "../../src/models/vqa.ts";
import { initialize } from "../../src/nn/spec.ts";
import { compile, item, tensor, toHost } from "../../src/program/compile.ts";
import { entries, leaves, type Tree } from "../../src/program/tree.ts";
import { vqaLoss } from "../../src/recipes/vqa.ts";
import { config, patches, texts } from "../models/sizes.ts";

const params = initialize(vqaSpec(config), 9);
// Weights that start small give nearly even choices; larger ones make the ranking depend on the question.
for (const t of leaves(params as Tree)) t.node.host = t.node.host!.map((x) => x * 6) as Float32Array;

const questions = (count: number): PatchedPairs => ({ patches: patches(count, 1), ...texts(count, 7, 2) });
const candidates: Candidates = texts(8, 5, 77);

async function rank(options: RankOptions): Promise<{ [name: string]: number[] }> {
  const run = compile((p: Vqa & Tree, q: PatchedPairs, c: Candidates) => rankAnswers(p, q, c, { config }, options));
  const found = entries(await run(params, questions(2), candidates)), values = await toHost(found.map(([, t]) => t));
  run.destroy();
  return Object.fromEntries(found.map(([name], i) => [name, Array.from(values[i]!)]));
}

/** Negative log-likelihood of each candidate for each question, by the training loss of one answer at a time. */
async function likelihoods(): Promise<number[][]> {
  const loss = compile((p: Vqa & Tree, q: PatchedPairs, a: AnswerTensors) => vqaLoss(p, { ...q, ...a }, { config }));
  const { ids, mask } = candidates, out: number[][] = [[], []];
  for (let question = 0; question < 2; question++) {
    for (let c = 0; c < 8; c++) {
      const row = <T extends Float32Array | Uint32Array>(data: T): T => data.slice(c * 5, (c + 1) * 5) as T;
      const answer = {
        answerIds: tensor(row(ids.node.host as Uint32Array), [1, 5]),
        answerMask: tensor(row(mask.node.host as Float32Array), [1, 5]),
        answerWeights: tensor([2]),
        answerQuestions: tensor(Uint32Array.of(question)),
      };
      out[question]!.push(await item(await loss(params, questions(2), answer)));
    }
  }
  loss.destroy();
  return out;
}

Deno.test("rankAnswers() ranks by the likelihood of whole answers", async () => {
  const expected = await likelihoods(), all = await rank({ k: 8 });
  for (let q = 0; q < 2; q++) {
    const order = [0, 1, 2, 3, 4, 5, 6, 7].sort((a, b) => expected[q]![a]! - expected[q]![b]!);
    assertEquals(all.answers!.slice(q * 8, q * 8 + 8), order);
    const total = order.reduce((n, c) => n + Math.exp(-expected[q]![c]!), 0);
    order.forEach((c, i) =>
      assertAlmostEquals(all.probabilities![q * 8 + i]!, Math.exp(-expected[q]![c]!) / total, 1e-4)
    );
  }
});

Deno.test("rankAnswers() keeps the candidates with the most probable first tokens", async () => {
  const { answers, firstToken } = await rank({ k: 3 });
  for (let q = 0; q < 2; q++) {
    const own = firstToken!.slice(q * 8, q * 8 + 8), limit = own.toSorted((a, b) => b - a)[2]!;
    for (const answer of answers!.slice(q * 3, q * 3 + 3)) assert(own[answer]! >= limit);
  }
  assertEquals((await rank({})).answers!.length, 16, "there are only 8 candidates to rank");
});

Deno.test("rankAnswers() counts the first token twice only if it is told to", async () => {
  const plain = await rank({ k: 4 }), official = await rank({ k: 4, countFirstTokenTwice: true });
  assertEquals(plain.losses, official.losses);
  plain.scores!.forEach((score, i) => assertEquals(score, -plain.losses![i]!));
  const first = (q: number): number[] => plain.firstToken!.slice(q * 8, q * 8 + 8).toSorted((a, b) => b - a);
  official.scores!.forEach((score, i) => {
    const probability = first(Math.floor(i / 4))[i % 4]!;
    assertAlmostEquals(score, plain.scores![i]! + Math.log(probability), 1e-4);
  });
});

Deno.test("AnswerScorer gives the likelihood of every answer of a list, tile by tile", async () => {
  const expected = (await likelihoods()).flat().map((loss) => -loss), told: number[] = [];
  const scorer = new AnswerScorer({ config, tile: 3, progress: (done) => told.push(done) });
  const scores = await scorer.score(params, questions(2), candidates);
  assertEquals([scores.length, told], [16, [3, 6, 8]]);
  scores.forEach((score, i) => assertAlmostEquals(score, expected[i]!, 1e-4 * Math.abs(expected[i]!)));
  scorer.destroy();

  const official = new AnswerScorer({ config, countFirstTokenTwice: true });
  const twice = await official.score(params, questions(2), candidates), { firstToken } = await rank({ k: 8 });
  twice.forEach((score, i) => assertAlmostEquals(score, scores[i]! + Math.log(firstToken![i]!), 1e-3));
  official.destroy();
});
