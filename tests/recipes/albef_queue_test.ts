import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { PairBatch } from "../../src/data/pair_collate.ts";
import { encodeImage, encodeText, imagePatches } from "../../src/models/albef.ts";
import { startQueues } from "../../src/models/momentum.ts";
import { initialize, specEntries } from "../../src/nn/spec.ts";
import { randomKey } from "../../src/ops/random.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { albefQueue } from "../../src/recipes/albef_queue.ts";
import { config, texts } from "../models/sizes.ts";

const BATCH = 4, LENGTH = 6, QUEUE = 8, values = { momentum: 0.9, keyQueue: QUEUE, alpha: 0 };
const setup = {
  config,
  batch: BATCH,
  textLength: LENGTH,
  view: { resolution: config.vision.resolution, transform: "eval" },
  seed: 3,
} as const;

function miniBatch(): PairBatch {
  const bytes = config.vision.resolution ** 2 * 3;
  const packed = Uint8Array.from({ length: BATCH * bytes }, (_, i) => (53 * i + (i * i) % 97) % 256);
  return {
    images: tensor(new Uint32Array(packed.buffer), [BATCH, bytes / 4]),
    ...texts(BATCH, LENGTH, 5),
    imageIds: tensor(Uint32Array.of(0, 1, 2, 3)),
  };
}

Deno.test("albef-queue: ITC against the momentum features and the queue, in float64, and the queue moves on", async () => {
  const { spec, loss, extra } = albefQueue.objective(setup, values), params = initialize(spec, 2);
  const scalar = (): Tensor => tensor(0), batch = miniBatch();
  const step = compile((p: Tree, x: Tree, batch: Tree, key: Tensor, step: Tensor, epoch: Tensor) => {
    const r = loss(p as never, x as never, batch as never, { key: randomKey(key), step, epoch });
    return { loss: r.loss, features: r.features, extra: r.extra! } as Tree;
  });
  const start = extra!(params as never);
  const result = await step(params as Tree, start as Tree, batch, tensor(Uint32Array.of(1, 2)), scalar(), scalar()) as {
    loss: Tensor;
    features: { image: Tensor; text: Tensor };
    extra: typeof start;
  };
  const [value, images, texts, queue] = await toHost([
    result.loss,
    result.features.image,
    result.features.text,
    result.extra.queues.images,
  ]) as Float32Array[];
  // At the start the momentum encoders are the encoders themselves, so the first keys are the features.
  const d = config.embedding, { images: oldImages, texts: oldTexts } = startQueues(QUEUE, d, setup.seed);
  const keys = (own: Float32Array, old: Tensor): number[] => [...own, ...old.node.host as Float32Array];
  const direction = (queries: Float32Array, keys: readonly number[]): number => {
    let sum = 0;
    for (let i = 0; i < BATCH; i++) {
      const logits = Array.from({ length: BATCH + QUEUE }, (_, j) => {
        let cosine = 0;
        for (let k = 0; k < d; k++) cosine += queries[i * d + k]! * keys[j * d + k]!;
        return cosine / 0.07;
      });
      const most = Math.max(...logits);
      sum += most + Math.log(logits.reduce((total, l) => total + Math.exp(l - most), 0)) - logits[i]!;
    }
    return sum / BATCH;
  };
  const expected = (direction(images!, keys(texts!, oldTexts)) + direction(texts!, keys(images!, oldImages))) / 2;
  assertAlmostEquals(value![0]!, expected, 1e-4 * expected);
  images!.forEach((value, i) => assertAlmostEquals(queue![i]!, value, 1e-5)); // momentum moves equal parameters by rounding only
  assertEquals(queue!.subarray(BATCH * d), (oldImages.node.host as Float32Array).subarray(BATCH * d));
});

Deno.test("albef-queue has the encoders up to the fusion, ALBEF's names, and no matching head", async () => {
  const { spec, model } = albefQueue.objective(setup, values), names = specEntries(spec).map(([name]) => name);
  assert(!names.some((name) => /crossattention|itm_head|cls\./.test(name)));
  assert(names.includes("temp") && names.includes("vision_proj.weight"));
  assertEquals(model.match, undefined);
  const params = initialize(spec, 2), { images, ids, mask } = miniBatch();
  const encode = (
    image: (p: never, x: Tensor) => { features: Tensor },
    text: (p: never, t: { ids: Tensor; mask: Tensor }) => { features: Tensor },
  ) =>
    compile((p: Tree, images: Tensor, ids: Tensor, mask: Tensor) => [
      image(p as never, images).features,
      text(p as never, { ids, mask }).features,
    ]);
  const own = encode((p, x) => model.image(p, x), (p, t) => model.text(p, t));
  const direct = encode(
    (p, x) => encodeImage(p, imagePatches(x, config.vision), { config }),
    (p, t) => encodeText(p, t, { config }),
  );
  assertEquals(
    await toHost(await own(params as Tree, images, ids, mask)),
    await toHost(await direct(params as Tree, images, ids, mask)),
  );
});
