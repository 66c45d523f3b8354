import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { RegionSizes } from "../../src/data/regions/collate.ts";
import type { RegionPair } from "../../src/data/regions/dataset.ts";
import { initialize } from "../../src/nn/spec.ts";
import { uvlp } from "../../src/recipes/uvlp.ts";
import { assertShapes, batchesOf, colours, config as base, lossOf, setupOf, square, trainOn } from "./squares.ts";

const names = Object.keys(colours), sizes: RegionSizes = { most: 3, width: 6, classes: 4, names };
const config = { ...base, text: { ...base.text, maxPositions: 16 } };
const setup = (batch: number) => setupOf(batch, { config, regions: sizes });
const TERMS = ["itm", "mlm", "phrase", "tag", "feature", "class"] as const;

/** A region of the colour, and for odd ones a second one of the last colour. */
const examples: RegionPair[] = names.map((colour, id) => {
  const count = 1 + id % 2, features = new Float32Array(6 * count);
  features[id] = 2;
  if (count > 1) features[6 + 3] = 2;
  const boxes = Float32Array.from([0, 0, 0.5, 0.5, 0.5, 0.25, 1, 1].slice(0, 4 * count));
  return {
    images: [square(colour)],
    caption: `a ${colour} square`,
    imageId: id,
    regions: { count, boxes, features, classes: Uint32Array.from([id, 3].slice(0, count)) },
  };
});

Deno.test("uvlp: mini-batches have the shapes that are known without a tokenizer", async () => {
  await assertShapes(examples, (given) => uvlp.objective({ ...given, config, regions: sizes }));
});

Deno.test("uvlp: a region that the sentence names has the token of its name, others have none", async () => {
  const { collate } = uvlp.objective(setup(4)), [batch] = await batchesOf(examples, collate, 4);
  const { tokenizer } = setup(4), id = (name: string) => tokenizer!.encodeBatch([name], 2).ids[1]!;
  assertEquals([...batch!.names.node.host!], [
    ...[id(names[0]!), -100, -100],
    ...[id(names[1]!), -100, -100],
    ...[id(names[2]!), -100, -100],
    ...[id(names[3]!), id(names[3]!), -100],
  ]);
});

Deno.test("uvlp: the loss is the weighted sum of its terms, and tags need names", async () => {
  const weights = [0.5, 2, 3, 0.25, 0.3, 1.5];
  const own = uvlp.objective(
    setup(4),
    Object.fromEntries(TERMS.map((term, i) => [`${term}Weight`, weights[i]!])) as Parameters<typeof uvlp.objective>[1],
  );
  const [batch] = await batchesOf(examples, own.collate, 4), params = initialize(own.spec, 1);
  const results = await lossOf(own, params, {}, batch!);
  const sum = TERMS.reduce((total, term, i) => total + weights[i]! * results.get(`metrics.${term}`)![0]!, 0);
  assertAlmostEquals(results.get("loss")![0]!, sum, 1e-4);
  const refuse = (regions: RegionSizes, message: string) =>
    assertThrows(() => uvlp.objective({ ...setup(4), regions }), RangeError, message);
  refuse({ ...sizes, classes: 0 }, "the regions must have classes");
  refuse({ ...sizes, names: ["one"] }, "a name for each of 4 classes: there are 1");
});

Deno.test("uvlp: from its epoch on the filter weighs what is learned of pairs, and nothing else", async () => {
  const terms = await Promise.all([5, 0].map(async (filterFrom) => {
    const own = uvlp.objective(setup(4), { filterFrom }), [batch] = await batchesOf(examples, own.collate, 4);
    const results = await lossOf(own, initialize(own.spec, 1), {}, batch!);
    return TERMS.map((term) => results.get(`metrics.${term}`)![0]!);
  }));
  TERMS.forEach((term, i) => {
    const [all, filtered] = [terms[0]![i]!, terms[1]![i]!];
    if (["tag", "feature", "class"].includes(term)) assertEquals(filtered, all, term);
    else assert(filtered < all, `${term}: ${all} and ${filtered}`);
  });
});

Deno.test("uvlp: in some steps every grain is learned", async () => {
  const own = uvlp.objective(setup(4), { maskRegions: 0.5, mask: 0.3 });
  const [batch] = await batchesOf(examples, own.collate, 4), start = initialize(own.spec, 1);
  const { params } = await trainOn(own, examples, { batch: 4, steps: 60, rate: 5e-3 });
  const [before, after] = [await lossOf(own, start, {}, batch!), await lossOf(own, params, {}, batch!)];
  for (const term of TERMS.slice(1)) {
    const [from, to] = [before, after].map((values) => values.get(`metrics.${term}`)![0]!);
    assert(to! < 0.8 * from!, `${term}: ${from} to ${to}`);
  }
});
