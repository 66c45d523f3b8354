import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { EntailmentExample } from "../../src/data/entailment.ts";
import type { EntailmentBatch } from "../../src/data/entailment_collate.ts";
import { imagePatches, type PatchedPairs } from "../../src/models/albef.ts";
import { type Entailment, entailmentLogits, entailmentSpec } from "../../src/models/entailment.ts";
import { initialize } from "../../src/nn/spec.ts";
import { ema } from "../../src/optim/adamw.ts";
import type { Tree } from "../../src/program/tree.ts";
import { entailment, entailmentLoss } from "../../src/recipes/entailment.ts";
import {
  assertShapes,
  batchesOf,
  colours,
  config,
  lossOf,
  setupOf,
  square,
  tokenizer,
  trainOn,
  valuesOf,
} from "./squares.ts";

/** A square of its colour entails the sentence, one of another contradicts it; whether it is dark nobody knows. */
const examples: EntailmentExample[] = Object.keys(colours).flatMap((colour, i, all) => [
  { images: [square(colour)], sentence: `It is ${colour}.`, label: "entailment" },
  { images: [square(all[(i + 1) % all.length]!)], sentence: `It is ${colour}.`, label: "contradiction" },
  { images: [square(colour)], sentence: `It is dark ${colour}.`, label: "neutral" },
]);

Deno.test("entailment: mini-batches have the shapes that are known without a tokenizer", async () => {
  await assertShapes(examples, (setup) => entailment.objective(setup));
});

Deno.test("entailment: sentences are cleaned, labels are the official numbers", async () => {
  const [batch] = await batchesOf(examples, entailment.objective(setupOf(3)).collate, 3);
  assertEquals([...batch!.labels.node.host!], [2, 0, 1]);
  const words = tokenizer.encode("it is red", 8);
  assertEquals([...batch!.ids.node.host!.subarray(0, words.length + 1)], [...words, tokenizer.padId]);
});

/** Logits of B sentences in float64 arithmetic's hands: the losses are made of them here. */
async function logitsOf(p: Entailment, batch: EntailmentBatch): Promise<number[][]> {
  const values = await valuesOf((p: Tree, { images, ids, mask }: EntailmentBatch): Tree => {
    const pairs: PatchedPairs = { patches: imagePatches(images, config.vision), ids, mask };
    return entailmentLogits(p as Entailment, pairs, { config });
  }, [p as Tree, batch]);
  const all = [...values.get("")!];
  return Array.from({ length: all.length / 3 }, (_, row) => all.slice(3 * row, 3 * row + 3));
}

function softmax(logits: readonly number[]): number[] {
  const exps = logits.map(Math.exp), sum = exps.reduce((a, b) => a + b);
  return exps.map((e) => e / sum);
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;

Deno.test("entailment: the loss mixes labels with the softmax of the moved momentum model, from the first step on", async () => {
  const params = initialize(entailmentSpec(config), 1), model = initialize(entailmentSpec(config), 2);
  const own = entailment.objective(setupOf(6), { momentum: 0.9, alpha: 0.3 });
  const [batch] = await batchesOf(examples, own.collate, 6), labels = [...batch!.labels.node.host!];
  const results = await lossOf(own, params, { momentum: model }, batch!, 0);

  const moved = await valuesOf((m: Tree, p: Tree): Tree => ema(m, p, 0.9), [model as Tree, params as Tree]);
  for (const name of ["cls_head.2.weight", "text_encoder.embeddings.LayerNorm.bias"]) {
    const before = moved.get(name)!, after = results.get(`extra.momentum.${name}`)!;
    before.forEach((x, i) => assertAlmostEquals(after[i]!, x, 1e-6));
  }
  const after = await valuesOf((m: Tree, p: Tree, { images, labels, ...tokens }: EntailmentBatch): Tree => {
    const pairs = { ...tokens, labels, patches: imagePatches(images, config.vision) };
    const moved = { model: ema(m, p, 0.9) as Entailment, alpha: 0.3 };
    return { ...entailmentLoss(p as Entailment, pairs, { config }, moved) } as Tree;
  }, [model as Tree, params as Tree, batch!]);
  const logits = await logitsOf(params, batch!), theirs = after.get("momentumLogits")!;
  const losses = logits.map((row, b) => {
    const p = softmax(row), q = softmax([...theirs.subarray(3 * b, 3 * b + 3)]);
    const soft = q.reduce((sum, share, c) => sum - share * Math.log(p[c]!), 0);
    return 0.7 * -Math.log(p[labels[b]!]!) + 0.3 * soft;
  });
  assertAlmostEquals(results.get("loss")![0]!, mean(losses), 1e-5);
  const right = logits.map((row, b) => Number(row.indexOf(Math.max(...row)) === labels[b]));
  assertAlmostEquals(results.get("metrics.accuracy")![0]!, mean(right), 1e-6);
});

Deno.test("entailment: without soft targets the loss is the cross-entropy, and no momentum model is kept", async () => {
  const params = initialize(entailmentSpec(config), 1), own = entailment.objective(setupOf(6), { alpha: 0 });
  const [batch] = await batchesOf(examples, own.collate, 6), labels = [...batch!.labels.node.host!];
  assertEquals(own.extra!(params), {});
  assertEquals(entailment.objective(setupOf(6)).extra!(params), { momentum: params });
  const results = await lossOf(own, params, {}, batch!), logits = await logitsOf(params, batch!);
  assertEquals([...results.keys()].sort(), ["loss", "metrics.accuracy"]);
  assertAlmostEquals(
    results.get("loss")![0]!,
    mean(logits.map((row, b) => -Math.log(softmax(row)[labels[b]!]!))),
    1e-5,
  );
});

Deno.test("entailment: training tells the three classes apart", async () => {
  const own = entailment.objective(setupOf(12), { alpha: 0 });
  const { loss } = await trainOn(own, examples, { batch: 12, steps: 100 });
  assert(loss.last < 0.5 * Math.log(3) && loss.first > 0.9 * Math.log(3), `${loss.first} to ${loss.last}`);
});
