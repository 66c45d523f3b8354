import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { AnswerGenerator, generateAnswers, type GenerateOptions } from "../../src/eval/generate.ts";
import type { PatchedPairs } from "../../src/models/albef.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import { answerVocabulary, decodeAnswers, encodeQuestions, type Vqa, vqaSpec } from "../../src/models/vqa.ts";
import { initialize } from "../../src/nn/spec.ts";
import { add } from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { gather } from "../../src/ops/gather.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { leaves, type Tree } from "../../src/program/tree.ts";
import { config, patches, texts } from "../models/sizes.ts";

const CLS = 2, SEP = 3, QUESTIONS = 2;

/** Weights that start small give nearly even choices; larger ones make the answer depend on question and tokens. */
function parameters(config: AlbefConfig, seed: number): Vqa {
  const params = initialize(vqaSpec(config), seed);
  for (const t of leaves(params as Tree)) t.node.host = t.node.host!.map((x) => x * 12) as Float32Array;
  return params;
}

/** A question cut to its tokens below the vocabulary. */
function questions({ text: { vocabulary } }: AlbefConfig): PatchedPairs {
  const { ids, mask } = texts(QUESTIONS, 7, 2);
  const small = (ids.node.host as Uint32Array).map((id) => Math.min(id, vocabulary - 1));
  return { patches: patches(QUESTIONS, 1), ids: tensor(small, ids.shape), mask };
}

/** Log-probabilities of what follows each token of whole answers, `[rows, length, V]`, by the decoder that keeps nothing. */
async function uncached(
  p: Vqa,
  config: AlbefConfig,
  rows: readonly (readonly number[])[],
  question: number,
  length: number,
): Promise<Float32Array> {
  const ids = new Uint32Array(rows.length * length);
  rows.forEach((row, i) => ids.set(row, i * length));
  const run = compile((p: Vqa & Tree, q: PatchedPairs, ids: Tensor, owners: Tensor) => {
    const states = encodeQuestions(p, q, { config }), mask = full(ids.shape, 1);
    const decoding = { ids, mask, question: gather(states, owners), questionMask: gather(q.mask, owners) };
    const { keys, bias } = answerVocabulary(p);
    return logSoftmax(add(matmul(decodeAnswers(p, decoding, { config }), keys, { transposeB: true }), bias));
  });
  const owners = tensor(new Uint32Array(rows.length).fill(question));
  const values = await toHost(await run(p, questions(config), tensor(ids, [rows.length, length]), owners));
  run.destroy();
  return values as Float32Array;
}

/** An answer with [CLS], its log-likelihood and its tokens after [CLS]. */
interface Hypothesis {
  readonly ids: readonly number[];
  readonly score: number;
}

const isFinished = ({ ids }: Hypothesis): boolean => ids.includes(SEP, 1);

/** Beam search in plain words, one whole pass of the decoder for each token. */
async function plainBeam(p: Vqa, config: AlbefConfig, question: number, options: Partial<GenerateOptions>) {
  const { width = 1, maxLength = 10, lengthPenalty = 0 } = options, vocabulary = config.text.vocabulary;
  const rank = (h: Hypothesis): number => h.score / (h.ids.length - 1) ** lengthPenalty;
  let beam: Hypothesis[] = [{ ids: [CLS], score: 0 }];
  for (let place = 0; place < maxLength - 1 && !beam.every(isFinished); place++) {
    const padded = Array.from({ length: width }, (_, i) => beam[i]?.ids ?? [CLS]);
    const next = await uncached(p, config, padded, question, maxLength);
    beam = beam.flatMap((h, row) =>
      isFinished(h) ? [h] : Array.from({ length: vocabulary }, (_, token) => ({
        ids: [...h.ids, token],
        score: h.score + next[(row * maxLength + place) * vocabulary + token]!,
      }))
    ).sort((a, b) => rank(b) - rank(a)).slice(0, width);
  }
  return beam;
}

const params = parameters(config, 21);

for (const [name, options] of Object.entries({ greedy: {}, "beam search": { width: 3, lengthPenalty: 0.7 } })) {
  Deno.test(`generateAnswers() writes by ${name} what a decoder without a cache writes`, async () => {
    const all = { config, clsId: CLS, sepId: SEP, maxLength: 7, ...options };
    const found = await generateAnswers(params, questions(config), all);
    assertEquals(found.length, QUESTIONS);
    for (const [question, answers] of found.entries()) {
      const expected = await plainBeam(params, config, question, all);
      assertEquals(answers.map(({ ids }) => ids), expected.map(({ ids }) => ids.slice(1).filter((id) => id !== SEP)));
      answers.forEach((answer, i) => {
        assertAlmostEquals(answer.logLikelihood, expected[i]!.score, 1e-3);
        assertEquals(answer.finished, isFinished(expected[i]!));
      });
    }
    assert(new Set(found.map(([best]) => best!.ids.join())).size > 1, "the two questions must have different answers");
    assert(new Set(found.flat().map(({ finished }) => finished)).size > 1, "some must end with [SEP], some must not");
  });
}

Deno.test("a beam as wide as there are answers finds them all, in the order of their likelihood", async () => {
  const small = { ...config, text: { ...config.text, vocabulary: 5 } }, p = parameters(small, 4), maxLength = 4;
  const every = [0, 1, 2, 3, 4], strings = every.flatMap((a) => every.flatMap((b) => every.map((c) => [CLS, a, b, c])));
  const generator = new AnswerGenerator({ config: small, clsId: CLS, sepId: SEP, maxLength, width: 85 });
  const found = await generator.generate(p, questions(small));
  for (let question = 0; question < QUESTIONS; question++) {
    const next = await uncached(p, small, strings, question, maxLength), scores = new Map<string, number>();
    strings.forEach((ids, row) => {
      const end = ids.indexOf(SEP, 1), length = end < 0 ? maxLength : end + 1, own = ids.slice(0, length);
      const score = own.slice(1).reduce((sum, token, i) => sum + next[(row * maxLength + i) * 5 + token]!, 0);
      scores.set(own.slice(1).join(), score);
    });
    const best = [...scores].sort(([, a], [, b]) => b - a);
    assertEquals(best.length, 85);
    const answers = found[question]!;
    assertEquals(
      answers.map(({ ids, finished }) => [...ids, ...finished ? [SEP] : []].join()),
      best.map(([ids]) => ids),
    );
    answers.forEach(({ logLikelihood }, i) => assertAlmostEquals(logLikelihood, best[i]![1], 1e-3));
  }
  generator.destroy();
});

Deno.test("AnswerGenerator refuses a width of 0 and lengths beyond the model's positions", () => {
  const make = (options: Partial<GenerateOptions>) => () =>
    new AnswerGenerator({ config, clsId: CLS, sepId: SEP, ...options });
  assertThrows(
    make({ maxLength: 13 }),
    RangeError,
    "Cannot generate answers: the length must be a whole number from 2 to the 12 positions of the model: it is 13",
  );
  assertThrows(make({ width: 0 }), RangeError, "the width must be a whole number of at least 1: it is 0");
});
