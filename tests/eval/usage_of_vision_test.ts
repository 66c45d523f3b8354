import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { RetrievalSet } from "../../src/eval/retrieval.ts";
import { usageOfVision, type WithoutImage } from "../../src/eval/usage_of_vision.ts";
import { maskedLogits } from "../../src/losses/mlm.ts";
import { type Albef, albefSpec, encodeImage, imagePatches } from "../../src/models/albef.ts";
import { initialize } from "../../src/nn/spec.ts";
import { add } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { Random } from "../../src/random/random.ts";
import { config, texts } from "../models/sizes.ts";

const COUNT = 5, LENGTH = 8, SEED = 3, tokens = { maskId: 4, clsId: 2 };
const own = { ...config, text: { ...config.text, init: 0.4 }, vision: { ...config.vision, init: 0.4 } };
const params = initialize(albefSpec(own), 7) as Albef & Tree, words = texts(COUNT, LENGTH, 2);
const { resolution } = config.vision, bytes = resolution * resolution * 3;

/** A set with these pictures; text t belongs to picture t. */
function setOf(pixel: (image: number, byte: number) => number): RetrievalSet {
  const load = (at: readonly number[]): Tensor => {
    const packed = Uint8Array.from(
      { length: at.length * bytes },
      (_, i) => pixel(at[Math.floor(i / bytes)]!, i % bytes),
    );
    return tensor(new Uint32Array(packed.buffer), [at.length, bytes / 4]);
  };
  return {
    images: { count: COUNT, load },
    texts: { ids: words.ids.node.host!, mask: words.mask.node.host!, length: LENGTH },
    imageOf: Array.from({ length: COUNT }, (_, i) => i),
  };
}

const noisy = setOf((image, byte) => (97 * image + 31 * byte + 7 * byte * byte) % 256);

/** Accuracy in percent of the logits that the losses use, counted word by word. */
async function accuracy(share: number, k: number, image: boolean): Promise<number> {
  const logits = compile((p: Albef & Tree, images: Tensor, mlmIds: Tensor, mask: Tensor) => {
    const seen = image ? encodeImage(p, imagePatches(images, own.vision), { config: own }).states : undefined;
    const l = maskedLogits(p, { mlmIds, mask, mlmLabels: mlmIds }, seen, { config: own });
    return add(matmul(l.queries, l.keys, { transposeB: true }), l.bias!);
  });
  const ids = Uint32Array.from(words.ids.node.host as Uint32Array), mask = words.mask.node.host!, asked: number[] = [];
  for (let text = 0; text < COUNT; text++) {
    const random = new Random(SEED).fork(text);
    for (let i = text * LENGTH; i < (text + 1) * LENGTH; i++) {
      if (random.uniform() < share && mask[i] && ids[i] !== tokens.clsId) asked.push(i);
    }
  }
  const labels = asked.map((i) => ids[i]!), shape = [COUNT, LENGTH];
  for (const i of asked) ids[i] = tokens.maskId;
  const all = await noisy.images.load([0, 1, 2, 3, 4]);
  const values = await toHost(await logits(params, all, tensor(ids, shape), words.mask)) as Float32Array;
  const size = config.text.vocabulary;
  const right = asked.filter((at, n) => {
    const row = values.subarray(at * size, (at + 1) * size);
    return row.filter((value) => value > row[labels[n]!]!).length < k;
  });
  logits.destroy();
  return 100 * right.length / asked.length;
}

Deno.test("usageOfVision() counts the words among the k best of the loss's logits, with and without the image", async () => {
  const usage = await usageOfVision(params, own, noisy, {
    tokens,
    seed: SEED,
    masks: [0.4, 0.9],
    k: [3, 12],
    batch: 2,
  });
  assertEquals(usage.map(({ mask, k }) => [mask, k]), [[0.4, 3], [0.4, 12], [0.9, 3], [0.9, 12]]);
  for (const { mask, k, with: seen, without } of usage) {
    assertAlmostEquals(seen, await accuracy(mask, k, true), 1e-9);
    assertAlmostEquals(without, await accuracy(mask, k, false), 1e-9);
  }
  assert(usage.some((u) => u.with !== u.without), "the image makes a difference");
});

Deno.test("usageOfVision(): an image that is replaced by its like makes no difference", async () => {
  const use = (set: RetrievalSet, without: WithoutImage) =>
    usageOfVision(params, own, set, { tokens, seed: SEED, masks: [0.9], k: [1, 2, 4, 8, 16, 24], batch: 3, without });
  const mean = [123, 117, 104], grey = setOf((_, byte) => mean[byte % 3]!), equal = setOf((_, byte) => byte % 251);
  for (const [set, without] of [[grey, "blank"], [equal, "other"]] as const) {
    for (const usage of await use(set, without)) assertEquals(usage.with, usage.without, without);
  }
  const [blank, other, skip] = [await use(noisy, "blank"), await use(noisy, "other"), await use(noisy, "skip")];
  const seen = (usages: typeof blank): number[] => usages.map((u) => u.with);
  const unseen = (usages: typeof blank): string => usages.map((u) => u.without).join(" ");
  assertEquals([seen(other), seen(skip)], [seen(blank), seen(blank)]);
  assertEquals(new Set([blank, other, skip].map(unseen)).size, 3, "the ways to take the image away differ");
});
