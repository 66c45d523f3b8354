import { assert, assertAlmostEquals, assertEquals, assertNotEquals } from "@std/assert";
import type { CaptionPair } from "../../src/data/caption_pairs.ts";
import { encodeImage, imagePatches } from "../../src/models/albef.ts";
import { initialize, type ParametersOf } from "../../src/nn/spec.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { tcl } from "../../src/recipes/tcl.ts";
import { assertShapes, batchesOf, colours, config, lossOf, setupOf, square, trainOn, valuesOf } from "./squares.ts";

const BATCH = 4, QUEUE = 8;
const examples: CaptionPair[] = Object.keys(colours).map((colour, imageId) => ({
  images: [square(colour)],
  caption: `a ${colour} square`,
  imageId,
}));

Deno.test("tcl: mini-batches have the shapes that are known without a tokenizer", async () => {
  await assertShapes(examples, (setup) => tcl.objective(setup));
});

Deno.test("tcl: the encoders see the first view, the momentum encoders the second; the terms add up", async () => {
  const own = tcl.objective(setupOf(BATCH), { keyQueue: QUEUE, mask: 0.5, alpha: 0.4 });
  const params = initialize(own.spec, 1),
    extra = own.extra!(params),
    [batch] = await batchesOf(examples, own.collate, 4);
  assertEquals(batch!.secondImages.node.host, batch!.images.node.host); // of whole images without augmentation
  const words = batch!.images.node.host as Uint32Array<ArrayBuffer>;
  const secondImages = tensor(words.map((word) => ~word), batch!.images.shape);
  const results = await lossOf(own, params, extra, { ...batch!, secondImages });

  const features = await valuesOf(
    (p: Tree, first: Tensor, second: Tensor) => {
      const of = (images: Tensor): Tensor =>
        encodeImage(p as ParametersOf<typeof own.spec>, imagePatches(images, config.vision), { config }).features;
      return { first: of(first), second: of(second) };
    },
    [params as Tree, batch!.images, secondImages],
  );
  const close = (ours: Float32Array, expected: Float32Array): void =>
    expected.forEach((x, i) => assertAlmostEquals(ours[i]!, x, 1e-5));
  close(results.get("features.image")!, features.get("first")!);
  // At the start the momentum encoders are the encoders.
  close(results.get("extra.queues.images")!.subarray(0, BATCH * config.embedding), features.get("second")!);
  assert(features.get("first")!.some((x, i) => Math.abs(x - features.get("second")![i]!) > 0.01));

  const metric = (name: string): number => results.get(`metrics.${name}`)![0]!;
  assertAlmostEquals(metric("itc"), (metric("cma") + metric("imc") + metric("lmi")) / 3, 1e-5);
  assertAlmostEquals(results.get("loss")![0]!, metric("itc") + metric("itm") + metric("mlm"), 1e-5);

  const same = await lossOf(own, params, extra, batch!);
  for (const term of ["imc", "lmi", "cma"]) {
    assertNotEquals(same.get(`metrics.${term}`), results.get(`metrics.${term}`));
  }
  assert(same.get("metrics.imc")![0]! < metric("imc"), "an image is more alike to itself than to another view");
});

Deno.test("tcl: in some steps the loss falls, every kind of term with it", async () => {
  const own = tcl.objective(setupOf(BATCH), { keyQueue: QUEUE, momentum: 0.9 });
  const [batch] = await batchesOf(examples, own.collate, BATCH), start = initialize(own.spec, 1);
  const before = await lossOf(own, start, own.extra!(start), batch!);
  const { loss, params } = await trainOn(own, examples, { batch: BATCH, steps: 40 });
  const after = await lossOf(own, params, own.extra!(params), batch!);
  assert(loss.last < 0.7 * loss.first, `${loss.first} to ${loss.last}`);
  for (const term of ["cma", "imc", "lmi"]) {
    const [from, to] = [before, after].map((values) => values.get(`metrics.${term}`)![0]!);
    assert(to! < 0.8 * from!, `${term}: ${from} to ${to}`);
  }
});
