import { assert, assertAlmostEquals, assertThrows } from "@std/assert";
import { initialize } from "../../src/nn/spec.ts";
import { tensor } from "../../src/program/compile.ts";
import { mug } from "../../src/recipes/mug.ts";
import type { CaptionPair } from "../../src/data/caption_pairs.ts";
import { assertShapes, batchesOf, colours, config, lossOf, setupOf, square, trainOn } from "./squares.ts";

const pairs: CaptionPair[] = Object.keys(colours).map((colour, imageId) => ({
  images: [square(colour)],
  caption: `a ${colour} square`,
  imageId,
}));
const sizes = { pixelWidth: 32, pixelLayers: 1 };

Deno.test("mug: mini-batches have the shapes that are known without a tokenizer", async () => {
  await assertShapes(pairs, (setup) => mug.objective(setup, sizes));
});

Deno.test("mug: the loss is the weighted sum of its terms; a writer that knows nothing has ln V a token", async () => {
  const own = mug.objective(setupOf(4), { ...sizes, pixelWeight: 0.5, captionWeight: 3 });
  const [batch] = await batchesOf(pairs, own.collate, 4), params = initialize(own.spec, 1);
  const { text_decoder } = params, { bert } = text_decoder, { weight } = bert.embeddings.word_embeddings;
  const word_embeddings = { weight: tensor(new Float32Array(weight.size), weight.shape) };
  const embeddings = { ...bert.embeddings, word_embeddings };
  const blank = { ...params, text_decoder: { ...text_decoder, bert: { ...bert, embeddings } } };
  const results = await lossOf(own, blank, {}, batch!), of = (name: string): number => results.get(name)![0]!;
  assertAlmostEquals(of("metrics.caption"), Math.log(config.text.vocabulary), 1e-4);
  assertAlmostEquals(of("loss"), 0.5 * of("metrics.pixel") + 3 * of("metrics.caption"), 1e-4);
  assertThrows(() => mug.objective(setupOf(4), { pixelWidth: 40 }), RangeError, "a multiple of 32: it is 40");
});

Deno.test("mug: in some steps pixels and captions are learned", async () => {
  const own = mug.objective(setupOf(4), { ...sizes, hide: 0.5 });
  const [batch] = await batchesOf(pairs, own.collate, 4), start = initialize(own.spec, 1);
  const { params } = await trainOn(own, pairs, { batch: 4, steps: 60, rate: 1e-2 });
  const [before, after] = [await lossOf(own, start, {}, batch!), await lossOf(own, params, {}, batch!)];
  for (const term of ["pixel", "caption"]) {
    const [from, to] = [before, after].map((values) => values.get(`metrics.${term}`)![0]!);
    assert(to! < 0.7 * from!, `${term}: ${from} to ${to}`);
  }
});
