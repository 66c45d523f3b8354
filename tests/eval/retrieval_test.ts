import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { recallFromScores, UNSCORED } from "../../src/eval/recall.ts";
import {
  evaluateRetrieval,
  RetrievalEvaluator,
  type RetrievalOptions,
  type RetrievalSet,
} from "../../src/eval/retrieval.ts";

import {
  type Albef,
  albefPairs,
  albefSpec,
  encodeImage,
  encodeText,
  matchLogits,
  type PairModel,
} from "../../src/models/albef.ts";
import { initialize } from "../../src/nn/spec.ts";
import { gather } from "../../src/ops/gather.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { compile, evaluate, item, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { config, patches, texts } from "../models/sizes.ts";
import { assertRefused } from "../testing/refusals.ts";

const [imageCount, textCount, length] = [5, 11, 6];
const params = initialize(albefSpec(config), 4), pixels = patches(imageCount, 1), words = texts(textCount, length, 2);
/** ALBEF on patches, not on packed bytes. */
const model: Required<PairModel<Albef>> = {
  ...albefPairs(config),
  image: (p, patches) => encodeImage(p, patches, { config }),
};
const imageOf = Array.from({ length: textCount }, (_, t) => (t * 3) % imageCount);

function setOf(loads: number[][] = []): RetrievalSet {
  return {
    images: {
      count: imageCount,
      load: (at) => {
        loads.push([...at]);
        return evaluate(gather(pixels, tensor(Uint32Array.from(at))));
      },
    },
    texts: { ids: words.ids.node.host!, mask: words.mask.node.host!, length },
    imageOf,
  };
}

/** Cosines, match logits and log-odds of all pairs, [images, texts], by one batch. */
async function allScores(): Promise<Record<"cosine" | "match" | "odds", Float32Array>> {
  const pairs = Array.from({ length: imageCount * textCount }, (_, p) => [Math.floor(p / textCount), p % textCount]);
  const [images, which] = [0, 1].map((side) => tensor(Uint32Array.from(pairs, (pair) => pair[side]!))) as [
    Tensor,
    Tensor,
  ];
  const score = compile((p: Albef & Tree, x: Tensor, ids: Tensor, mask: Tensor, images: Tensor, which: Tensor) => {
    const image = encodeImage(p, x, { config }), text = encodeText(p, { ids, mask }, { config });
    const context = { mask: gather(mask, which), image: gather(image.states, images) };
    const logits = matchLogits(p, gather(text.states, which), context, { config });
    return [matmul(image.features, text.features, { transposeB: true }), logits];
  });
  const [cosine, logits] = await toHost(
    await score(params, pixels, words.ids, words.mask, images, which),
  ) as Float32Array[];
  score.destroy();
  const [no, match] = [0, 1].map((column) => logits!.filter((_, i) => i % 2 === column));
  return { cosine: cosine!, match: match!, odds: match!.map((x, i) => x - no![i]!) };
}

function transposed(x: Float32Array): Float32Array {
  return x.map((_, i) => x[(i % imageCount) * textCount + Math.floor(i / imageCount)]!);
}

const scores = allScores();

Deno.test("with shortlists of everything the second stage scores every pair, in any batches", async () => {
  const { cosine, match, odds } = await scores, temperature = await item(params.temp);
  const joint = cosine.map((c, i) => c / temperature + odds[i]!);
  for (const batch of [3, 64]) {
    const result = await evaluateRetrieval(params, model, setOf(), { k: 100, batch, keepScores: true });
    const note = "k is 100, but there are only 11 texts and 5 images: all of them are re-ranked";
    assertEquals(result.candidates, { images: imageCount, texts: textCount, k: 100, note });
    assertEquals(result.cosine, recallFromScores(cosine, transposed(cosine), imageOf));
    assertEquals(result.reranked, recallFromScores(match, transposed(match), imageOf));
    assertEquals(result.joint, recallFromScores(joint, transposed(joint), imageOf));
    result.scores!.i2t.forEach((s, i) => assertAlmostEquals(s, match[i]!, 1e-5));
    result.scores!.t2i.forEach((s, i) => assertAlmostEquals(s, transposed(match)[i]!, 1e-5));
  }
});

Deno.test("only pairs on a shortlist are scored, and an own candidate that is on none counts as missed", async () => {
  const { cosine, match } = await scores, k = 2;
  const { reranked, scores: kept } = await evaluateRetrieval(params, model, setOf(), {
    k,
    batch: 4,
    keepScores: true,
  });
  for (let image = 0; image < imageCount; image++) {
    const row = cosine.subarray(image * textCount, (image + 1) * textCount), limit = row.toSorted().at(-k)!;
    row.forEach((c, t) => {
      const ours = kept!.i2t[image * textCount + t]!;
      if (c >= limit) assertAlmostEquals(ours, match[image * textCount + t]!, 1e-5);
      else assertEquals(ours, UNSCORED);
    });
  }
  const listed = Array.from(
    { length: imageCount },
    (_, i) => imageOf.some((own, t) => own === i && kept!.i2t[i * textCount + t] !== UNSCORED),
  ).filter(Boolean).length;
  assert(listed < imageCount, "the set has an image whose texts are all off its shortlist");
  assertEquals(reranked!.i2t.r10, 100 * listed / imageCount);
});

Deno.test("an evaluator serves again, in whole batches only, and tells its progress", async () => {
  const told: number[][] = [], loads: number[][] = [];
  const options: RetrievalOptions = { k: 3, batch: 2, progress: (done, total) => told.push([done, total]) };
  const evaluator = new RetrievalEvaluator(model, options);
  const first = await evaluator.evaluate(params, setOf(loads)), second = await evaluator.evaluate(params, setOf());
  assertEquals(first, second);
  assertEquals(loads, [[0, 1], [2, 3], [4, 4], [0, 1], [2, 3], [4, 4]]);
  // 5 shortlists of 3 texts and 11 of 3 images; 11 texts in batches of 2 are one block.
  assertEquals(told, [[48, 48], [48, 48]]);
  evaluator.destroy();
});

Deno.test("results do not depend on how much is held at a time, nor on whether a model reads images once for all texts", async () => {
  const { keys: _, ...withoutKeys } = model, told: number[] = [];
  const whole = await evaluateRetrieval(params, model, setOf(), { k: 4, batch: 32, keepScores: true });
  const progress = (done: number) => void told.push(done);
  const others = [
    await evaluateRetrieval(params, model, setOf(), { k: 4, batch: 1, keysMib: 0, keepScores: true, progress }),
    await evaluateRetrieval(params, withoutKeys, setOf(), { k: 4, batch: 7, keepScores: true }),
  ];
  assert(told.length >= imageCount && told.at(-1) === 4 * (imageCount + textCount), `image by image: ${told}`);
  for (const other of others) {
    assertEquals([other.cosine, other.reranked], [whole.cosine, whole.reranked]);
    for (const side of ["i2t", "t2i"] as const) {
      other.scores![side].forEach((s, i) => assertAlmostEquals(s, whole.scores![side][i]!, 1e-5));
    }
  }
});

Deno.test("with k = 0 there is no second stage", async () => {
  const loads: number[][] = [], result = await evaluateRetrieval(params, model, setOf(loads), { k: 0, batch: 5 });
  assertEquals([result.reranked, result.joint], [undefined, undefined]);
  assertEquals(loads, [[0, 1, 2, 3, 4]]);
  const { cosine } = await scores;
  assertEquals(result.cosine, recallFromScores(cosine, transposed(cosine), imageOf));
});

Deno.test("a model without a matching head is evaluated by the cosine alone, whatever k is", async () => {
  const { image, text } = model, loads: number[][] = [];
  const result = await evaluateRetrieval(params, { image, text }, setOf(loads), { k: 3, batch: 5, keepScores: true });
  const { cosine } = await scores;
  assertEquals(result, {
    candidates: { images: imageCount, texts: textCount, k: 0 },
    cosine: recallFromScores(cosine, transposed(cosine), imageOf),
  });
  assertEquals(loads, [[0, 1, 2, 3, 4]], "images are encoded once");
});

Deno.test("evaluateRetrieval() refuses sets whose parts do not fit", async () => {
  const on = (imageOf: number[]) => () => evaluateRetrieval(params, model, { ...setOf(), imageOf });
  await assertRefused(
    [on(imageOf.with(0, 9)), "belongs to image 9"],
    [on(imageOf.map((i) => i === 2 ? 1 : i)), "image 2 has none"],
    [on(imageOf.slice(1)), "must hold 10 texts of 6 tokens"],
    [() => evaluateRetrieval(params, model, setOf(), { batch: 0 }), "batch one of at least 1: they are 0 and 0"],
    [() => evaluateRetrieval(params, model, setOf(), { k: 1.5 }), "they are 1.5 and 32"],
  );
});
