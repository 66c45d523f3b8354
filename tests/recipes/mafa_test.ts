import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { CaptionPair } from "../../src/data/caption_pairs.ts";
import { initialize, type ParametersOf } from "../../src/nn/spec.ts";
import type { AlbefSpec } from "../../src/models/albef.ts";
import { tensor } from "../../src/program/compile.ts";
import { grit } from "../../src/recipes/grit.ts";
import { mafa, type MafaExtra } from "../../src/recipes/mafa.ts";
import { assertShapes, batchesOf, colours, config, lossOf, setupOf, square, trainOn } from "./squares.ts";

const BATCH = 4;
const examples: CaptionPair[] = Object.keys(colours).map((colour, imageId) => ({
  images: [square(colour)],
  caption: `a ${colour} square`,
  imageId,
}));

/** A judge that says the same of every pair. */
function saying(probability: number, params: ParametersOf<AlbefSpec>, { judge }: MafaExtra): MafaExtra {
  const { weight } = params.itm_head, bias = tensor([0, Math.log(probability / (1 - probability))]);
  return { judge: { ...judge, itm_head: { weight: tensor(new Float32Array(weight.size), weight.shape), bias } } };
}

/** What one mini-batch gives where the judge says the same of every pair. */
async function judged(probability: number, values: Record<string, unknown> = {}) {
  const own = mafa.objective(setupOf(BATCH), { momentum: 1, negatives: "top1", ...values });
  const params = initialize(own.spec, 1), [batch] = await batchesOf(examples, own.collate, BATCH);
  const results = await lossOf(own, params, saying(probability, params, own.extra!(params)), batch!);
  return { results, params, batch: batch! };
}

Deno.test("mafa: mini-batches have the shapes that are known without a tokenizer", async () => {
  await assertShapes(examples, (setup) => mafa.objective(setup));
});

Deno.test("mafa: where the judge holds no pair for true it is GRIT without consistency", async () => {
  const { results, params, batch } = await judged(0.3, { itcSmoothingFrom: 0, itcSmoothing: 0.5 });
  const options = { negatives: "top1", consistency: 0, itcSmoothing: 0.5 };
  const plain = await lossOf(grit.objective(setupOf(BATCH), options), params, {}, batch);
  for (const name of ["negatives.images", "negatives.texts", "features.image", "metrics.mlm"]) {
    assertEquals(results.get(name), plain.get(name), name);
  }
  for (const name of ["loss", "metrics.itc", "metrics.itm"]) {
    assertAlmostEquals(results.get(name)![0]!, plain.get(name)![0]!, 1e-5);
  }
  assertEquals([results.get("metrics.found")![0], results.get("metrics.unsure")![0]], [0, 0]);
});

Deno.test("mafa: pairs that the judge holds for true are taught as matches, in ITM and in ITC", async () => {
  const none = await judged(0.3), all = await judged(0.9);
  const of = ({ results }: typeof none, name: string): Float32Array => results.get(name)!;
  assertEquals(of(all, "negatives.images"), of(none, "negatives.images"));
  assertEquals([...of(all, "found.images"), ...of(all, "found.texts")], new Array(2 * BATCH).fill(1));
  assertEquals([of(all, "metrics.found")[0], of(all, "metrics.unsure")[0]], [1, 0]);
  // ITM by hand: with a head without weights all logits are its bias (0, 1), so a match costs log(1 + 1 / e), no match log(1 + e).
  const own = mafa.objective(setupOf(BATCH), { momentum: 1, negatives: "top1" });
  const bias = tensor([0, 1]), weight = tensor(new Float32Array(2 * config.text.width), [2, config.text.width]);
  const params = { ...none.params, itm_head: { weight, bias } };
  const itm = async (probability: number): Promise<number> => {
    const extra = saying(probability, params, own.extra!(params));
    return (await lossOf(own, params, extra, none.batch)).get("metrics.itm")![0]!;
  };
  const match = Math.log(1 + Math.exp(-1)), other = Math.log(1 + Math.E);
  assertAlmostEquals(await itm(0.9), match, 1e-5);
  assertAlmostEquals(await itm(0.3), (match + 2 * other) / 3, 1e-5);
  // ITC by hand: half of each row's target moves to the drawn pair.
  assertAlmostEquals(of(none, "metrics.itc")[0]!, contrast(none.results, 0), 1e-4);
  assertAlmostEquals(of(all, "metrics.itc")[0]!, contrast(all.results, 0.5), 1e-4);
  assert(Math.abs(contrast(all.results, 0.5) - contrast(none.results, 0)) > 0.01);
});

/** ITC in float64, where the drawn pairs have a share of the targets. */
function contrast(results: ReadonlyMap<string, Float32Array>, share: number): number {
  const [image, text] = ["image", "text"].map((side) => results.get(`features.${side}`)!), d = config.embedding;
  const temperature = results.get("metrics.temperature")![0]!;
  const direction = (a: Float32Array, b: Float32Array, drawn: Float32Array): number => {
    let sum = 0;
    for (let i = 0; i < BATCH; i++) {
      const row = Array.from({ length: BATCH }, (_, j) => {
        let dot = 0;
        for (let k = 0; k < d; k++) dot += a[i * d + k]! * b[j * d + k]!;
        return dot / temperature;
      });
      const lse = Math.log(row.reduce((total, x) => total + Math.exp(x), 0));
      sum += lse - (1 - share) * row[i]! - share * row[drawn[i]!]!;
    }
    return sum / BATCH;
  };
  const i2t = direction(image!, text!, results.get("negatives.texts")!);
  return (i2t + direction(text!, image!, results.get("negatives.images")!)) / 2;
}

Deno.test("mafa: where the judge is unsure the second choice is the negative", async () => {
  const { results } = await judged(0.6), { results: first } = await judged(0.3);
  assertEquals([results.get("metrics.found")![0], results.get("metrics.unsure")![0]], [0, 1]);
  const d = config.embedding, image = results.get("features.image")!, text = results.get("features.text")!;
  const order = (i: number): number[] => {
    const similarity = (j: number): number => {
      let dot = 0;
      for (let k = 0; k < d; k++) dot += image[i * d + k]! * text[j * d + k]!;
      return dot;
    };
    return [0, 1, 2, 3].filter((j) => j !== i).sort((a, b) => similarity(b) - similarity(a));
  };
  const rows = [0, 1, 2, 3];
  assertEquals([...first.get("negatives.texts")!], rows.map((i) => order(i)[0]!));
  assertEquals([...results.get("negatives.texts")!], rows.map((i) => order(i)[1]!));
});

Deno.test("mafa: the judge follows the model by its momentum; in some steps the loss falls", async () => {
  const own = mafa.objective(setupOf(BATCH), { momentum: 0.75 }),
    [batch] = await batchesOf(examples, own.collate, BATCH);
  const params = initialize(own.spec, 1), extra = own.extra!(initialize(own.spec, 2));
  const name = "extra.judge.itm_head.weight", results = await lossOf(own, params, extra, batch!);
  const [ours, theirs] = [params, extra.judge].map((p) => p.itm_head.weight.node.host as Float32Array);
  results.get(name)!.forEach((x, i) => assertAlmostEquals(x, 0.75 * theirs![i]! + 0.25 * ours![i]!, 1e-6));
  const { loss } = await trainOn(own, examples, { batch: BATCH, steps: 40 });
  assert(loss.last < 0.8 * loss.first, `${loss.first} to ${loss.last}`);
});

Deno.test("mafa: thresholds that leave no room are refused", () => {
  assertThrows(
    () => mafa.objective(setupOf(BATCH), { trueAbove: 0.4, falseBelow: 0.5 }),
    RangeError,
    "--true-above must be at least --false-below: they are 0.4 and 0.5",
  );
});
