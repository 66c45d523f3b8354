import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { RegionBatch, RegionSizes } from "../../src/data/regions/collate.ts";
import type { RegionPair } from "../../src/data/regions/dataset.ts";
import type { RegionModel } from "../../src/models/regions.ts";
import { initialize } from "../../src/nn/spec.ts";
import { randomKey } from "../../src/ops/random.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { imagebert, imagebertLoss } from "../../src/recipes/imagebert.ts";
import { regions } from "../../src/recipes/regions.ts";
import {
  assertShapes,
  batchesOf,
  colours,
  config as base,
  KEY,
  lossOf,
  setupOf,
  square,
  trainOn,
  valuesOf,
} from "./squares.ts";

const names = Object.keys(colours), sizes: RegionSizes = { most: 3, width: 6, classes: 4, names };
const config = { ...base, text: { ...base.text, maxPositions: 16 } };
const setup = (batch: number) => setupOf(batch, { config, regions: sizes });
const TERMS = ["itm", "mlm", "class", "feature"] as const;

/** A region of the colour, and for odd ones a second one that is half of it. */
const examples: RegionPair[] = names.map((colour, id) => {
  const count = 1 + id % 2, features = new Float32Array(6 * count);
  features[id] = 2;
  if (count > 1) features[6 + id] = 1;
  const boxes = Float32Array.from([0, 0, 0.5, 0.5, 0.5, 0.25, 1, 1].slice(0, 4 * count));
  return {
    images: [square(colour)],
    caption: `a ${colour} square`,
    imageId: id,
    regions: { count, boxes, features, classes: Uint32Array.from([id, 3].slice(0, count)) },
  };
});

Deno.test("imagebert: mini-batches have the shapes that are known without a tokenizer; its model is that of regions", async () => {
  await assertShapes(examples, (given) => imagebert.objective({ ...given, config, regions: sizes }));
  assertEquals(imagebert.objective(setup(4)).spec, regions.objective(setup(4)).spec);
  assertThrows(
    () => imagebert.objective({ ...setup(4), regions: { ...sizes, classes: 0 } }),
    RangeError,
    "--class-weight must be 0: the regions have no classes",
  );
});

/** Terms of a mini-batch with these true pairs, of a model whose heads know nothing: their last products are 0. */
async function ignorant(matches: readonly number[]): Promise<{ of: (name: string) => number; batch: RegionBatch }> {
  const own = imagebert.objective(setup(4), { mask: 0.5, maskRegions: 0.5 });
  const [batch] = await batchesOf(examples, own.collate, 4), p = initialize(own.spec, 1);
  const zero = (x: Tensor) => tensor(new Float32Array(x.size), x.shape);
  const { uniter, region_classifier, itm_output } = p, { embeddings, img_embeddings } = uniter;
  const params = {
    ...p,
    itm_output: { ...itm_output, weight: zero(itm_output.weight) },
    region_classifier: {
      net: {
        ...region_classifier!.net,
        3: { ...region_classifier!.net[3], weight: zero(region_classifier!.net[3].weight) },
      },
    },
    uniter: {
      ...uniter,
      embeddings: { ...embeddings, word_embeddings: { weight: zero(embeddings.word_embeddings.weight) } },
      img_embeddings: {
        ...img_embeddings,
        img_linear: { ...img_embeddings.img_linear, weight: zero(img_embeddings.img_linear.weight) },
      },
    },
  };
  const { imageIds: _, ...input } = batch!;
  const values = await valuesOf(
    (p: Tree, input: Tree, matches: Tensor, images: Tensor, words: Tensor) => {
      const context = { config: { text: config.text, width: 6, classes: 4 }, key: randomKey(words) };
      const drawn = { matches, images };
      return imagebertLoss(p as RegionModel, input as Omit<RegionBatch, "imageIds">, drawn, context).terms as Tree;
    },
    [params as Tree, input as Tree, tensor(Int32Array.from(matches)), tensor(Uint32Array.of(1, 2, 3, 0)), tensor(KEY)],
  );
  return { of: (name) => values.get(name)![0]!, batch: batch! };
}

Deno.test("imagebert by hand: heads that know nothing have ln 2, ln V, ln C and the mean square of the masked features", async () => {
  const { of, batch } = await ignorant([1, 0, 1, 1]), masked = batch.maskedRegions.node.host!;
  assertAlmostEquals(of("itm"), Math.log(2), 1e-6);
  assertAlmostEquals(of("mlm"), Math.log(config.text.vocabulary), 1e-5);
  assertAlmostEquals(of("class"), Math.log(4), 1e-5);
  const squares = [[4], [0, 0], [4], [4, 1]]; // of each region, 0 where the pair is false
  const chosen = squares.flatMap((own, row) => own.filter((_, i) => row !== 1 && masked[3 * row + i]));
  assertAlmostEquals(of("feature"), chosen.reduce((a, b) => a + b) / 6 / chosen.length, 1e-5);
});

Deno.test("imagebert: of false pairs nothing is learned but that they are false", async () => {
  const { of } = await ignorant([0, 0, 0, 0]);
  assertEquals(["mlm", "class", "feature"].map(of), [0, 0, 0]);
  assertAlmostEquals(of("itm"), Math.log(2), 1e-6);
});

Deno.test("imagebert: the loss is the weighted sum of its terms, and in some steps what is masked is learned", async () => {
  const weighted = imagebert.objective(setup(4), { itmWeight: 0.5, mlmWeight: 2, classWeight: 3, featureWeight: 0.25 });
  const [batch] = await batchesOf(examples, weighted.collate, 4), start = initialize(weighted.spec, 1);
  const results = await lossOf(weighted, start, {}, batch!), of = (name: string): number => results.get(name)![0]!;
  const sum = [0.5, 2, 3, 0.25].reduce((total, weight, i) => total + weight * of(`metrics.${TERMS[i]}`), 0);
  assertAlmostEquals(of("loss"), sum, 1e-4);
  const own = imagebert.objective(setup(4), { maskRegions: 0.5, mask: 0.3 });
  const [held] = await batchesOf(examples, own.collate, 4);
  const { params } = await trainOn(own, examples, { batch: 4, steps: 80, rate: 5e-3 });
  const [before, after] = [await lossOf(own, start, {}, held!), await lossOf(own, params, {}, held!)];
  for (const term of TERMS.slice(1)) {
    const [from, to] = [before, after].map((values) => values.get(`metrics.${term}`)![0]!);
    assert(to! < 0.7 * from!, `${term}: ${from} to ${to}`);
  }
});
