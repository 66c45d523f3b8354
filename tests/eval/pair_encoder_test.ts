import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { PairEncoder, scorePairs } from "../../src/eval/pair_encoder.ts";
import { retrievalSet } from "../../src/eval/retrieval_set.ts";
import { type Albef, albefPairs, albefSpec } from "../../src/models/albef.ts";
import { initialize } from "../../src/nn/spec.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { LENGTH, World } from "../testing/world.ts";

Deno.test("scores of pairs are those of the model, in lists of any length; damaged images are listed or refused", async () => {
  await using world = await World.make(3);
  const config = world.config(0), { tokenizer } = world, model = albefPairs(config);
  const params = initialize(albefSpec(config), 2) as Albef, maxLength = LENGTH;
  const pairs = [0, 1, 2, 0].map((i, n) => ({
    image: world.dataset.entry(i).image,
    text: world.dataset.entry((i + n) % 3).captions[0]!,
  }));

  const { images } = retrievalSet(world.dataset, tokenizer, { resolution: 16, maxLength });
  const { ids, mask } = tokenizer.encodeBatch(pairs.map(({ text }) => text), maxLength), shape = [4, maxLength];
  const [image, text, logits] = await toHost(
    await compile((p: Albef, x: Tensor, ids: Tensor, mask: Tensor) => {
      const image = model.image(p, x), text = model.text(p, { ids, mask });
      return [image.features, text.features, model.match(p, text.states, mask, image.states)];
    })(params, await images.load([0, 1, 2, 0]), tensor(ids, shape), tensor(mask, shape)),
  ) as [Float32Array, Float32Array, Float32Array];
  const row = (x: Float32Array, n: number) => x.subarray(n * config.embedding, (n + 1) * config.embedding);
  const close = (a: Float32Array, b: Float32Array) => a.forEach((x, i) => assertAlmostEquals(x, b[i]!, 1e-5));

  const encoder = new PairEncoder<Albef>(params, model, { tokenizer, maxLength, resolution: 16, batch: 2 });
  for (
    const scores of [await encoder.score(pairs), await scorePairs(params, config, tokenizer, pairs, { maxLength })]
  ) {
    assertEquals(scores.length, 4);
    scores.forEach(({ cosine, match }, n) => {
      assertAlmostEquals(cosine, row(image, n).reduce((sum, x, i) => sum + x * row(text, n)[i]!, 0), 1e-5);
      assertAlmostEquals(match!, 1 / (1 + Math.exp(logits[2 * n]! - logits[2 * n + 1]!)), 1e-5);
    });
  }
  (await encoder.texts(pairs.map(({ text }) => text))).forEach((f, n) => close(f, row(text, n)));

  const broken = `${world.dir}/broken.jpg`, files = [pairs[0]!.image, broken, pairs[1]!.image];
  await Deno.writeTextFile(broken, "no image");
  const { features, failed } = await encoder.images(files);
  close(features[0]!, row(image, 0)), close(features[2]!, row(image, 1));
  assertEquals([features[1], failed.map(({ file }) => file)], [undefined, [broken]]);
  assert(failed[0]!.reason.startsWith("is damaged or not an image"), failed[0]!.reason);
  await assertRejects(
    () => encoder.score([{ image: broken, text: "red" }]),
    Error,
    `Cannot use the image "${broken}": it is damaged`,
  );
  encoder.destroy();

  const { image: encodeImage, text: encodeText } = model;
  const [score] = await scorePairs(params, config, tokenizer, [pairs[0]!], {
    maxLength,
    model: { image: encodeImage, text: encodeText },
  });
  assertEquals(Object.keys(score!), ["cosine"]);
});
