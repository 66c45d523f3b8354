import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { evaluateGroups } from "../../src/eval/groups.ts";
import { evaluateRetrieval, type RetrievalSet } from "../../src/eval/retrieval.ts";
import { type Albef, albefPairs, albefSpec, encodeImage, encodeText, type PairModel } from "../../src/models/albef.ts";
import { initialize } from "../../src/nn/spec.ts";
import { gather } from "../../src/ops/gather.ts";
import { matmul } from "../../src/ops/matmul.ts";
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

/** Of all images and texts, [images, texts]: the cosine, and cosine / temperature + the head's log-odds. */
async function ranked(): Promise<{ cosine: Float32Array; joint: Float32Array }> {
  const pairs = Array.from({ length: COUNT * COUNT }, (_, p) => [Math.floor(p / COUNT), p % COUNT] as const);
  const [images, ofTexts] = [0, 1].map((side) => tensor(Uint32Array.from(pairs, (pair) => pair[side]!)));
  const score = compile((p: Albef & Tree, x: Tensor, ids: Tensor, mask: Tensor, images: Tensor, ofTexts: Tensor) => {
    const image = encodeImage(p, x, { config }), text = encodeText(p, { ids, mask }, { config });
    const [states, own] = [gather(text.states, ofTexts), gather(mask, ofTexts)];
    const logits = model.match(p, states, own, gather(image.states, images));
    return [matmul(image.features, text.features, { transposeB: true }), logits, model.temperature(p)];
  });
  const all = await score(params as Albef & Tree, pixels, words.ids, words.mask, images!, ofTexts!);
  const [cosine, logits, [temperature]] = await toHost(all) as [Float32Array, Float32Array, Float32Array];
  return { cosine, joint: cosine.map((c, i) => c / temperature! + logits[2 * i + 1]! - logits[2 * i]!) };
}

for (const batch of [4, 8, 12]) {
  Deno.test(`evaluateGroups() ranks in the groups as the whole matrices do, ${batch} images at a time`, async () => {
    const found = await evaluateGroups(params, model, set, { size: SIZE, batch });
    const { scores } = await evaluateRetrieval(params, model, set, { k: COUNT, batch: 5, keepScores: true });
    const all = await ranked(),
      cosine = expected(all.cosine),
      joint = expected(all.joint),
      match = expected(scores!.i2t);
    assertAlmostEquals(found.cosine.i2t, cosine.i2t, 1e-9);
    assertAlmostEquals(found.cosine.t2i, cosine.t2i, 1e-9);
    assertAlmostEquals(found.reranked!.i2t, match.i2t, 1e-9);
    assertAlmostEquals(found.reranked!.t2i, match.t2i, 1e-9);
    assertAlmostEquals(found.joint!.i2t, joint.i2t, 1e-9);
    assertAlmostEquals(found.joint!.t2i, joint.t2i, 1e-9);
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
