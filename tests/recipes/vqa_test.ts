import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { valueAndGrad } from "../../src/autograd/grad.ts";
import type { AnswerTensors, VqaExample } from "../../src/data/vqa_collate.ts";
import { imagePatches, type PatchedPairs } from "../../src/models/albef.ts";
import { type Vqa, vqaSpec } from "../../src/models/vqa.ts";
import { countParameters, initialize } from "../../src/nn/spec.ts";
import { randomKey } from "../../src/ops/random.ts";
import { ema } from "../../src/optim/adamw.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import type { Tree } from "../../src/program/tree.ts";
import type { RecipeSetup } from "../../src/recipes/recipe.ts";
import { vqa, vqaLoss } from "../../src/recipes/vqa.ts";
import { estimateMemory } from "../../src/train/estimate.ts";
import { config as sizes, patches, texts } from "../models/sizes.ts";
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

const settings = { answersPerQuestion: 2, answerLength: 4, momentum: 0.9, alpha: 0.4 };

/** What colour is it? */
const examples: VqaExample[] = Object.keys(colours).map((colour) => ({
  images: [square(colour)],
  question: "What colour is it?",
  answers: [{ text: colour, weight: 0.8 }],
}));

const objective = (setup: RecipeSetup, change: Partial<typeof settings> = {}) =>
  vqa.objective(setup, { ...settings, ...change });

Deno.test("vqa: mini-batches have the shapes that are known without a tokenizer", async () => {
  await assertShapes(examples, (setup) => objective(setup));
  assertEquals(objective(setupOf(3)).input.answerIds, { shape: [6, 4], dtype: "u32" });
});

Deno.test("vqa: answers end with [SEP], the most frequent ones are kept, other rows weigh nothing", async () => {
  const answers = [["white", 0.1], ["left", 0.6], ["dark blue square", 0.3]] as const;
  const several = { ...examples[0]!, answers: answers.map(([text, weight]) => ({ text, weight })) };
  const [batch] = await batchesOf([several, examples[1]!], objective(setupOf(2)).collate, 2);
  const { clsId: cls, sepId: sep, padId: pad } = tokenizer,
    id = (word: string): number => tokenizer.encode(word, 2)[1]!;
  const { ids, mask, answerIds, answerMask, answerWeights, answerQuestions } = batch!;
  const asked = [cls, ...["what", "colour", "is", "it"].map(id), pad, pad, pad];
  assertEquals([...ids.node.host!], [...asked, ...asked]);
  assertEquals([...mask.node.host!.subarray(0, 8)], [1, 1, 1, 1, 1, 0, 0, 0]);
  assertEquals([...answerIds.node.host!], [
    ...[cls, id("left"), sep, pad],
    ...[cls, id("dark"), id("blue"), sep], // cut before [SEP]
    ...[cls, id("green"), sep, pad],
    ...[pad, pad, pad, pad],
  ]);
  assertEquals([...answerMask.node.host!], [1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
  assertEquals([...answerWeights.node.host!], [...Float32Array.of(0.6, 0.3, 0.8, 0)]);
  assertEquals([...answerQuestions.node.host!], [0, 0, 1, 1]);
});

Deno.test("vqa: a question without an answer is refused", () => {
  const { collate } = objective(setupOf(1)), image = tensor(new Uint32Array(48), [1, 48]);
  const refused = (): unknown => collate.collate([{ ...examples[0]!, answers: [] }], [image], () => undefined as never);
  assertThrows(refused, RangeError, 'a question must have at least one answer: "What colour is it?" has none');
});

/** The loss as the golden sets have it. */
async function composed(params: Vqa, batch: Tree, momentum?: { model: Vqa; alpha: number }): Promise<number> {
  const results = await valuesOf((p: Tree, copy: Tree, batch: Tree, words: Tensor) => {
    const b = batch as PatchedPairs & AnswerTensors & { images: Tensor }, context = { config, key: randomKey(words) };
    const moved = momentum && { model: ema(copy as Vqa, p, settings.momentum), alpha: momentum.alpha };
    return vqaLoss(p as Vqa, { ...b, patches: imagePatches(b.images, config.vision) }, context, moved);
  }, [params as Tree, momentum?.model as Tree ?? tensor(0), batch, tensor(KEY)]);
  return results.get("")![0]!;
}

Deno.test("vqa: the loss is that of the golden sets, with the momentum model moved and alpha on its way", async () => {
  const params = initialize(vqaSpec(config), 1), model = initialize(vqaSpec(config), 2);
  const own = objective(setupOf(4, { stepsPerEpoch: 8 })), [batch] = await batchesOf(examples, own.collate, 4);
  const results = await lossOf(own, params, { momentum: model }, batch!, 2);
  assertEquals([...results.get("metrics.alpha")!], [...Float32Array.of(0.1)]);
  assertAlmostEquals(results.get("loss")![0]!, await composed(params, batch!, { model, alpha: 0.1 }), 1e-5);
  const name = "text_decoder.cls.predictions.transform.dense.weight", moved = results.get(`extra.momentum.${name}`)!;
  const weightsOf = (p: Vqa): Tensor => p.text_decoder.cls.predictions.transform.dense.weight;
  const [before, value] = [model, params].map((p) => weightsOf(p).node.host!);
  moved.forEach((x, i) => assertAlmostEquals(x, 0.9 * before![i]! + 0.1 * value![i]!, 1e-6));
  const plain = await lossOf(objective(setupOf(4), { alpha: 0 }), params, {}, batch!);
  assertEquals([...plain.keys()], ["loss"]);
  assertAlmostEquals(plain.get("loss")![0]!, await composed(params, batch!), 1e-5);
  assert(Math.abs(plain.get("loss")![0]! - results.get("loss")![0]!) > 1e-3);
});

Deno.test("vqa: the momentum model starts as a copy of the parameters, and is not kept where alpha is 0", () => {
  const params = initialize(vqaSpec(config), 1);
  assertEquals(objective(setupOf(4)).extra!(params), { momentum: params });
  assertEquals(objective(setupOf(4), { alpha: 0 }).extra!(params), {});
});

Deno.test("vqa: its memory is estimated, with the momentum model where there is one", async () => {
  const { tokenizer: _, ...untold } = setupOf(4), bytes = 4 * countParameters(vqaSpec(config));
  const [taught, alone] = [
    await estimateMemory(objective(untold)),
    await estimateMemory(objective(untold, { alpha: 0 })),
  ];
  assertEquals([taught.extra, alone.extra], [bytes, 0]);
  assert(taught.intermediates > alone.intermediates);
});

Deno.test("vqa: training finds the colour in the image", async () => {
  const own = objective(setupOf(4, { stepsPerEpoch: 40 }));
  const { loss } = await trainOn(own, examples, { batch: 4, steps: 100 });
  const blind = 0.8 * Math.log(4); // one of four colours, and the [SEP] after it for sure
  assert(loss.first > blind && loss.last < 0.5 * blind, `${loss.first} to ${loss.last}`);
});

Deno.test("vqaLoss() is finite and ignores answers of weight 0", async () => {
  const params = initialize(vqaSpec(sizes), 9), { ids, mask } = texts(3, 5, 4);
  const results = async (last: number): Promise<Map<string, Float32Array>> => {
    const batch = {
      patches: patches(2, 1),
      ...texts(2, 7, 2),
      answerIds: tensor((ids.node.host as Uint32Array).with(11, last), [3, 5]),
      answerMask: mask,
      answerWeights: tensor([1, 0.5, 0]),
      answerQuestions: tensor(Uint32Array.of(0, 1, 1)),
    };
    return await valuesOf((p: Tree, batch: PatchedPairs & AnswerTensors) => {
      const [loss, grads] = valueAndGrad((p: Vqa) => vqaLoss(p, batch, { config: sizes }))(p as Vqa);
      return { loss, grads } as Tree;
    }, [params as Tree, batch]);
  };
  const [a, b] = [await results(7), await results(30)];
  assertEquals(a!.get("loss"), b!.get("loss"));
  for (const [name, values] of a!) assert(values.every(Number.isFinite), `${name} is finite`);
});
