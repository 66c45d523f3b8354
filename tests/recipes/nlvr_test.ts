import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { CaptionPair } from "../../src/data/caption_pairs.ts";
import type { NlvrBatch, NlvrExample } from "../../src/data/nlvr_collate.ts";
import type { PairBatch } from "../../src/data/pair_collate.ts";
import { drawAssignment, textAssignmentLogits } from "../../src/losses/assignment.ts";
import { branch, imagePatches } from "../../src/models/albef.ts";
import { type Nlvr, nlvrLogits, nlvrSpec, type TextAssignment, textAssignmentSpec } from "../../src/models/nlvr.ts";
import { initialize } from "../../src/nn/spec.ts";
import { crossEntropy } from "../../src/ops/cross_entropy.ts";
import { foldIn, randomKey } from "../../src/ops/random.ts";
import { mean } from "../../src/ops/reduce.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import { nlvr2, textAssignment } from "../../src/recipes/nlvr.ts";
import {
  assertShapes,
  batchesOf,
  colours,
  config,
  KEY,
  lossOf,
  setupOf,
  square,
  tokenizer,
  trainOn,
  valuesOf,
} from "./squares.ts";

const names = Object.keys(colours);

/** Is the left square red? Each of the other colours comes once on each side. */
const sentences: NlvrExample[] = names.slice(1).flatMap((other) =>
  [true, false].map((label) => ({
    images: label ? [square("red"), square(other)] : [square(other), square("red")],
    sentence: "The left square is red.",
    label,
  }))
);

const pairs: CaptionPair[] = names.map((caption, imageId) => ({ images: [square(caption)], caption, imageId }));

/** The share of rows whose largest logit is at the label. */
function accuracyOf(logits: Float32Array, labels: ArrayLike<number>): number {
  const count = labels.length, width = logits.length / count;
  const right = Array.from(labels).filter((label, row) => {
    const own = logits.subarray(row * width, (row + 1) * width);
    return own.indexOf(Math.max(...own)) === label;
  });
  return right.length / count;
}

Deno.test("nlvr2: mini-batches have the shapes that are known without a tokenizer", async () => {
  await assertShapes(sentences, (setup) => nlvr2.objective(setup, {}));
  assertEquals(nlvr2.objective(setupOf(3), {}).input.images, { shape: [6, 48], dtype: "u32" });
});

Deno.test("nlvr2: all left images come first, then all right ones; sentences are cleaned", async () => {
  const [batch] = await batchesOf(sentences, nlvr2.objective(setupOf(2), {}).collate, 2);
  const bytes = new Uint8Array((batch!.images.node.host as Uint32Array).buffer);
  const pixels = [0, 1, 2, 3].map((row) => [...bytes.subarray(row * 192, row * 192 + 3)]);
  assertEquals(pixels, [colours.red, colours.green, colours.green, colours.red].map((rgb) => [...rgb!]));
  assertEquals([...batch!.labels.node.host!], [1, 0]);
  const words = tokenizer.encode("the left square is red", 8);
  assertEquals([...batch!.ids.node.host!.subarray(0, words.length)], words);
});

Deno.test("nlvr2: examples must have two images", () => {
  const { collate } = nlvr2.objective(setupOf(2), {});
  const images = (count: number): Tensor => tensor(new Uint32Array(48 * count), [count, 48]);
  const collated = (count: number) => (): unknown =>
    collate.collate(sentences.slice(0, 2), [images(count)], () => undefined as never);
  assertThrows(collated(2), RangeError, "an example must have 2 images: it has 1");
  assertThrows(collated(6), RangeError, "an example must have 2 images: it has 3");
});

Deno.test("nlvr2: the loss is that of the golden sets, and the accuracy that of the logits", async () => {
  const params = initialize(nlvrSpec(config), 1), own = nlvr2.objective(setupOf(6), {});
  const [batch] = await batchesOf(sentences, own.collate, 6);
  const results = await lossOf(own, params, {}, batch!);
  const expected = await valuesOf((p: Tree, { images, labels, ...tokens }: NlvrBatch): Tree => {
    const logits = nlvrLogits(p as Nlvr, { ...tokens, patches: imagePatches(images, config.vision) }, { config });
    return { logits, loss: mean(crossEntropy(logits, labels)[0]) };
  }, [params as Tree, batch!]);
  assertAlmostEquals(results.get("loss")![0]!, expected.get("loss")![0]!, 1e-6);
  const accuracy = accuracyOf(expected.get("logits")!, batch!.labels.node.host!);
  assertAlmostEquals(results.get("metrics.accuracy")![0]!, accuracy, 1e-6);
});

Deno.test("nlvr2: training tells left from right", async () => {
  const { loss } = await trainOn(nlvr2.objective(setupOf(6), {}), sentences, { batch: 6, steps: 40 });
  assert(loss.last < 0.5 * Math.log(2) && loss.first > loss.last, `${loss.first} to ${loss.last}`);
});

Deno.test("textAssignment: mini-batches have the shapes that are known without a tokenizer", async () => {
  await assertShapes(pairs, (setup) => textAssignment.objective(setup, {}));
});

Deno.test("textAssignment: the loss is that of the golden sets with images drawn by the step's key", async () => {
  const params = initialize(textAssignmentSpec(config), 1), own = textAssignment.objective(setupOf(4), {});
  const [batch] = await batchesOf(pairs, own.collate, 4), results = await lossOf(own, params, {}, batch!);
  const expected = await valuesOf((p: Tree, { images, ids, mask }: PairBatch, words: Tensor): Tree => {
    const key = randomKey(words), choose = (s: Tensor) => drawAssignment(s, foldIn(key, 1));
    const pairs = { patches: imagePatches(images, config.vision), ids, mask };
    const { logits, assignment } = textAssignmentLogits(p as TextAssignment, pairs, choose, branch({ config, key }, 2));
    return { logits, labels: assignment.labels, loss: mean(crossEntropy(logits, assignment.labels)[0]) };
  }, [params as Tree, batch!, tensor(KEY)]);
  assertAlmostEquals(results.get("loss")![0]!, expected.get("loss")![0]!, 1e-6);
  const accuracy = accuracyOf(expected.get("logits")!, expected.get("labels")!);
  assertAlmostEquals(results.get("metrics.accuracy")![0]!, accuracy, 1e-6);
});

Deno.test("textAssignment: training lowers the loss", async () => {
  const { loss } = await trainOn(textAssignment.objective(setupOf(4), {}), pairs, { batch: 4, steps: 60 });
  // How far it comes in so few steps depends on the draws: a text and two images have to be related.
  assert(loss.last < loss.first, `${loss.first} to ${loss.last}`);
});

Deno.test("textAssignment: two images are not enough to draw from", async () => {
  const own = textAssignment.objective(setupOf(2), {}), [batch] = await batchesOf(pairs, own.collate, 2);
  let refusal = "";
  await lossOf(own, initialize(textAssignmentSpec(config), 1), {}, batch!).catch((error) => refusal = error.message);
  assertEquals(refusal, "Cannot assign texts: a batch must hold at least 3 images: it holds 2");
});
