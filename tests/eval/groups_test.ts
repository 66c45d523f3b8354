import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { evaluateGroups } from "../../src/eval/groups.ts";
import { evaluateRetrieval, type RetrievalSet } from "../../src/eval/retrieval.ts";
import { type Albef, albefPairs, albefSpec, encodeImage, encodeText, type PairModel } from "../../src/models/albef.ts";
import { initialize } from "../../src/nn/spec.ts";
import { gather } from "../../src/ops/gather.ts";
import { compile, evaluate, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { config, patches, texts } from "../models/sizes.ts";
import { assertRefused } from "../testing/refusals.ts";

const SEED = 5, COUNT = 12, SIZE = 4, LENGTH = 6;
const params = initialize(albefSpec(config), SEED), pixels = patches(COUNT, 1), words = texts(COUNT, LENGTH, 2);
/** ALBEF on patches, not on packed bytes. */
const model: Required<PairModel<Albef>> = {
  ...albefPairs(config),
  image: (p, patches) => encodeImage(p, patches, { config }),
};
const set: RetrievalSet = {
  images: { count: COUNT, load: (at) => evaluate(gather(pixels, tensor(Uint32Array.from(at)))) },
  texts: { ids: words.ids.node.host!, mask: words.mask.node.host!, length: LENGTH },
  imageOf: Array.from({ length: COUNT }, (_, i) => i),
};

/** R@1 in percent by a matrix [images, texts], of images and of texts, and how often the next text of the group scores lower. */
function expected(scores: ArrayLike<number>): { i2t: number; t2i: number; matching: number } {
  const at = (image: number, text: number): number => scores[image * COUNT + text]!;
  const found = { i2t: 0, t2i: 0, matching: 0 };
  for (let i = 0; i < COUNT; i++) {
    const base = i - i % SIZE, others = [1, 2, 3].map((shift) => base + (i - base + shift) % SIZE);
    if (others.every((other) => at(i, i) > at(i, other))) found.i2t++;
    if (others.every((other) => at(i, i) > at(other, i))) found.t2i++;
    if (at(i, i) > at(i, others[0]!)) found.matching++;
  }
  return { i2t: 100 * found.i2t / COUNT, t2i: 100 * found.t2i / COUNT, matching: 100 * found.matching / COUNT };
}

async function cosines(): Promise<number[]> {
  const encode = compile((p: Albef & Tree, x: Tensor, ids: Tensor, mask: Tensor) => ({
    image: encodeImage(p, x, { config }).features,
    text: encodeText(p, { ids, mask }, { config }).features,
  }));
  const { image, text } = await encode(params as Albef & Tree, pixels, words.ids, words.mask);
  const [u, v] = await toHost([image, text]) as [Float32Array, Float32Array], width = u.length / COUNT;
  return Array.from({ length: COUNT * COUNT }, (_, p) => {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += u[Math.floor(p / COUNT) * width + k]! * v[p % COUNT * width + k]!;
    return sum;
  });
}

for (const batch of [4, 8, 12]) {
  Deno.test(`evaluateGroups() ranks in the groups as the whole matrices do, ${batch} images at a time`, async () => {
    const found = await evaluateGroups(params, model, set, { size: SIZE, batch });
    const { scores } = await evaluateRetrieval(params, model, set, { k: COUNT, batch: 5, keepScores: true });
    const cosine = expected(await cosines()), match = expected(scores!.i2t);
    assertAlmostEquals(found.cosine.i2t, cosine.i2t, 1e-9);
    assertAlmostEquals(found.cosine.t2i, cosine.t2i, 1e-9);
    assertAlmostEquals(found.reranked!.i2t, match.i2t, 1e-9);
    assertAlmostEquals(found.reranked!.t2i, match.t2i, 1e-9);
    assertAlmostEquals(found.matching!, match.matching, 1e-9);
    assert(cosine.i2t !== match.i2t || cosine.t2i !== match.t2i, "the two ways to rank can be told apart");
  });
}

Deno.test("evaluateGroups(): without a matching head there is the cosine only", async () => {
  const { match: _, ...encoders } = model;
  assertEquals(Object.keys(await evaluateGroups(params, encoders, set, { size: SIZE, batch: 4 })), ["cosine"]);
});

Deno.test("evaluateGroups() refuses sets that are not one text an image in whole groups", async () => {
  const groups = "Cannot evaluate groups: images and the batch must be whole groups of at least 2";
  const turned = { ...set, imageOf: [1, 0, ...Array.from(set.imageOf).slice(2)] };
  await assertRefused(
    [() => evaluateGroups(params, model, set, { size: 5 }), groups],
    [() => evaluateGroups(params, model, set, { size: 4, batch: 6 }), groups],
    [() => evaluateGroups(params, model, set, { size: 1 }), groups],
    [
      () => evaluateGroups(params, model, turned, { size: 4 }),
      "each image must have one text, in the order of the images",
    ],
  );
});
