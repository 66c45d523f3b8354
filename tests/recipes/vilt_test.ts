import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { CaptionPair } from "../../src/data/caption_pairs.ts";
import { evaluateRetrieval, type RetrievalSet } from "../../src/eval/retrieval.ts";
import { albefPairs, albefSpec } from "../../src/models/albef.ts";
import { viltSpec } from "../../src/models/vilt.ts";
import { viltPairs } from "../../src/models/vilt_pairs.ts";
import { initialize } from "../../src/nn/spec.ts";
import { gather } from "../../src/ops/gather.ts";
import { randomKey } from "../../src/ops/random.ts";
import { evaluate, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { drawFalsePairs, vilt } from "../../src/recipes/vilt.ts";
import { estimateMemory } from "../../src/train/estimate.ts";
import {
  assertShapes,
  batchesOf,
  colours,
  config as base,
  lossOf,
  setupOf,
  square,
  trainOn,
  valuesOf,
} from "./squares.ts";

const names = Object.keys(colours);
const examples: CaptionPair[] = names.map((colour, id) => ({
  images: [square(colour)],
  caption: `a ${colour} square`,
  imageId: id,
}));

Deno.test("vilt: mini-batches have the shapes that are known without a tokenizer", async () => {
  await assertShapes(examples, (setup) => vilt.objective(setup));
});

Deno.test("drawFalsePairs(): half of the pairs, and images of other pairs", async () => {
  const ids = [7, 7, 2, 3, 4], seen = new Set<string>();
  const draw = (words: Tensor, ids: Tensor): Tree => drawFalsePairs(ids, randomKey(words));
  for (let seed = 0; seed < 8; seed++) {
    const drawn = await valuesOf(draw, [tensor(Uint32Array.of(seed, 1)), tensor(Uint32Array.from(ids))]);
    const matches = [...drawn.get("matches")!], images = [...drawn.get("images")!];
    assertEquals(matches.reduce((a, b) => a + b), 2);
    assert(matches.every((x) => x === 0 || x === 1));
    images.forEach((image, text) => assert(ids[image] !== undefined && ids[image] !== ids[text], `${text}: ${image}`));
    seen.add(`${matches} ${images}`);
  }
  assertEquals(seen.size, 8);
});

Deno.test("vilt: the loss is the weighted sum of its terms, and a term of weight 0 is left out", async () => {
  const params = initialize(viltSpec(base), 1), weights = { itmWeight: 0.5, mlmWeight: 2, wpaWeight: 0.3 };
  const own = vilt.objective(setupOf(4), weights), [batch] = await batchesOf(examples, own.collate, 4);
  const results = await lossOf(own, params, {}, batch!), of = (name: string): number => results.get(name)![0]!;
  const sum = 0.5 * of("metrics.itm") + 2 * of("metrics.mlm") + 0.3 * of("metrics.wpa");
  assertAlmostEquals(of("loss"), sum, 1e-5);
  const accuracy = of("metrics.itmAccuracy");
  assert(Number.isInteger(4 * accuracy) && accuracy >= 0 && accuracy <= 1);
  const alone = await lossOf(vilt.objective(setupOf(4), { mlmWeight: 0, wpaWeight: 0 }), params, {}, batch!);
  assertEquals([...alone.keys()], ["loss", "metrics.itm", "metrics.itmAccuracy"]);
  assertAlmostEquals(alone.get("loss")![0]!, of("metrics.itm"), 1e-6);
});

Deno.test("vilt: rounds of the transport plan take no memory of their own", async () => {
  const [few, many] = await Promise.all(
    [2, 50].map(async (transportRounds) =>
      (await estimateMemory(vilt.objective(setupOf(4), { transportRounds }))).intermediates
    ),
  );
  assertEquals(many, few);
});

Deno.test("vilt: training tells a caption's own square from the others, and finds it on a shortlist", async () => {
  const config = { ...base, vision: { ...base.vision, depth: 2, init: 0.2 } };
  const own = vilt.objective(setupOf(4, { config }), { transportRounds: 5 });
  const { loss, params } = await trainOn(own, examples, { batch: 4, steps: 240, rate: 5e-3 });
  assert(loss.last < 0.1 * loss.first, `${loss.first} to ${loss.last}`);
  // The dual encoder knows nothing, but its shortlists are as long as the set.
  const [batch] = await batchesOf(examples, own.collate, 4), { images, ids, mask } = batch!;
  const set: RetrievalSet = {
    images: { count: 4, load: async (at) => (await evaluate([gather(images, tensor(Uint32Array.from(at)))]))[0]! },
    texts: { ids: ids.node.host!, mask: mask.node.host!, length: 8 },
    imageOf: [0, 1, 2, 3],
  };
  const models = { dual: initialize(albefSpec(config), 1), vilt: params };
  const found = await evaluateRetrieval(models, viltPairs(config, albefPairs(config)), set, {
    k: 4,
    batch: 4,
  });
  const { i2t, t2i } = found.reranked!;
  assertEquals([i2t.r1, t2i.r1], [100, 100]);
  assert(found.cosine.i2t.r1 < 100);
});
