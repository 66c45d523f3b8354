import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { generateTexts, TextGenerator, type TextOptions } from "../../src/eval/generate_text.ts";
import { decodeNext, fillCache } from "../../src/models/decoder_cache.ts";
import {
  type VisionLanguage,
  type VisionLanguageConfig,
  visionLanguageSpec,
} from "../../src/models/vision_language.ts";
import { initialize } from "../../src/nn/spec.ts";
import { compile, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { leaves, type Tree } from "../../src/program/tree.ts";
import { plainLogits, plainLogSumExp, plainRows, plainStates, valuesOf } from "../models/plain_decoder.ts";
import { randoms } from "../models/sizes.ts";

const IMAGE = 50, PATCHES = 4;
const config: VisionLanguageConfig = {
  decoder: { vocabulary: 13, width: 12, layers: 2, heads: 2, hidden: 16, maxPositions: 40, qkNorm: true },
  image: { imageToken: IMAGE, encoder: { resolution: 4, patch: 2 } },
};

/** Weights that start small give nearly even choices; larger ones make the text depend on all before. */
function parameters(config: VisionLanguageConfig, seed: number, factor = 3): VisionLanguage {
  const params = initialize(visionLanguageSpec(config), seed) as VisionLanguage;
  for (const t of leaves(params as Tree)) t.node.host = t.node.host!.map((x) => x * factor) as Float32Array;
  return params;
}

const params = parameters(config, 8);
const prompts = [[1, 2, 3, 4, 5, 6, 7], [3], [9, 1, 4], [12, 12]];

/** Log-probabilities of what follows a text, by the decoder in plain loops. */
function plainNext(ids: readonly number[]): number[] {
  const p = params.llm_backbone.llm.model, values = valuesOf(p as Tree), { width } = config.decoder;
  const states = plainStates(values, plainRows(values.get("tok_embeddings.weight")!, width, ids), config.decoder);
  const [logits] = plainLogits(values, states.slice(-1), config.decoder), lse = plainLogSumExp(logits!);
  return logits!.map((x) => x - lse);
}

Deno.test("generateTexts() writes greedily what plain loops write, for prompts of different lengths together", async () => {
  const found = await generateTexts(params, { tokens: prompts }, { config, maxTokens: 9 });
  for (const [i, prompt] of prompts.entries()) {
    const ids = [...prompt];
    let score = 0;
    for (let step = 0; step < 9; step++) {
      const next = plainNext(ids), best = next.indexOf(Math.max(...next));
      ids.push(best), score += next[best]!;
    }
    assertEquals(found[i]!.map(({ ids }) => ids), [ids.slice(prompt.length)]);
    assertAlmostEquals(found[i]![0]!.logLikelihood, score, 1e-3);
    assertEquals(found[i]![0]!.finished, false);
  }
  assert(new Set(found.map(([text]) => text!.ids.join())).size > 2, "the prompts must have different texts");
});

const image = Array<number>(PATCHES).fill(IMAGE);
const shown = {
  tokens: [[1, ...image, 2, 3], [...image, 4, ...image, 5], [7]],
  images: randoms([3, 3, 4, 4], 3),
};
const ways: Readonly<Record<string, Partial<TextOptions>>> = {
  greedily: {},
  "by beam search": { width: 3, lengthPenalty: 0.7 },
  "at a temperature": { temperature: 1.5, seed: 4, width: 2 },
  "by top-k and top-p": { temperature: 1, topK: 5, topP: 0.9, seed: 5 },
};

for (const [way, options] of Object.entries(ways)) {
  Deno.test(`generateTexts() with a cache writes ${way} what it writes without one, token for token`, async () => {
    for (const some of [{ tokens: prompts }, shown]) {
      const all = { config, maxTokens: 12, endId: 6, ...options };
      const [cached, whole] = [
        await generateTexts(params, some, all),
        await generateTexts(params, some, { ...all, cache: false }),
      ];
      const ids = (texts: typeof cached): unknown =>
        texts.map((own) => own.map(({ ids, finished }) => ({ ids, finished })));
      assertEquals(ids(cached), ids(whole));
      cached.flat().forEach((text, i) => assertAlmostEquals(text.logLikelihood, whole.flat()[i]!.logLikelihood, 1e-3));
      assert(new Set(cached.flat().map(({ ids }) => ids.join())).size > 1);
    }
  });
}

Deno.test("generateTexts(): a text depends on its own image, and a prompt is what it is alone", async () => {
  const all = { config, maxTokens: 6 }, found = await generateTexts(params, shown, all);
  const host = shown.images.node.host!, size = 3 * 4 * 4;
  const pick = (...numbers: number[]): Tensor =>
    tensor(numbers.flatMap((n) => Array.from(host.slice(n * size, (n + 1) * size))), [numbers.length, 3, 4, 4]);
  const alone = await generateTexts(params, { tokens: [shown.tokens[1]!], images: pick(1, 2) }, all);
  assertEquals(alone[0]![0]!.ids, found[1]![0]!.ids);
  const swapped = await generateTexts(params, { tokens: [shown.tokens[1]!], images: pick(2, 1) }, all);
  assert(Math.abs(swapped[0]![0]!.logLikelihood - found[1]![0]!.logLikelihood) > 1e-3);
  const words = await generateTexts(params, { tokens: [shown.tokens[2]!] }, all);
  assertEquals(words[0]![0]!.ids, found[2]![0]!.ids);
});

Deno.test("generateTexts() ends a text where its end comes", async () => {
  const free = await generateTexts(params, { tokens: prompts }, { config, maxTokens: 20 });
  const endId = free[0]![0]!.ids[3]!,
    cut = await generateTexts(params, { tokens: prompts }, { config, maxTokens: 20, endId });
  for (const [i, [text]] of cut.entries()) {
    const own = free[i]![0]!.ids, end = own.indexOf(endId);
    assertEquals(text!.ids, end < 0 ? own : own.slice(0, end));
    assertEquals(text!.finished, end >= 0);
  }
});

Deno.test("a generator draws the same for a seed, and something else for another", async () => {
  const draw = (seed: number) =>
    generateTexts(params, { tokens: [[1]] }, { config, maxTokens: 12, temperature: 2, width: 4, seed });
  const texts = (await draw(1))[0]!.map(({ ids }) => ids.join());
  assertEquals((await draw(1))[0]!.map(({ ids }) => ids.join()), texts);
  assertEquals(new Set([...texts, ...(await draw(2))[0]!.map(({ ids }) => ids.join())]).size, 8);
});

Deno.test("a token costs as many products at any place, whatever the length: one program writes them all", async () => {
  const { decoder } = config, flop: number[] = [];
  for (const length of [16, 32]) {
    const p = params.llm_backbone.llm.model, first = tensor(Int32Array.of(0, 2)), tokens = tensor(Uint32Array.of(1, 2));
    const start = compile((p: typeof params & Tree) =>
      fillCache(
        p.llm_backbone.llm.model,
        randoms([2, 3, decoder.width], 1),
        { first },
        length,
        decoder,
      ) as unknown as Tree
    );
    const cache = await start(params as typeof params & Tree) as unknown as ReturnType<typeof fillCache>;
    const next = compile((p: Tree, place: Tensor, cache: Tree) =>
      decodeNext(
        p as typeof params.llm_backbone.llm.model,
        tokens,
        place,
        { first },
        cache as never,
        decoder,
      ) as unknown as Tree
    );
    const program = await next.program(p as Tree, tensor(Uint32Array.of(3)), cache as unknown as Tree);
    assertEquals(await next.program(p as Tree, tensor(Uint32Array.of(9)), cache as unknown as Tree), program);
    flop.push(
      program.plan.steps.filter(({ name }) => /matmul/.test(name ?? "")).reduce((n, d) => n + (d.flop ?? 0), 0),
    );
    start.destroy(), next.destroy();
  }
  assert(flop[0]! > 0);
  assertEquals(flop[1], flop[0]);
});

Deno.test("generateTexts() refuses what it cannot do", async () => {
  const make = (options: Partial<TextOptions>) => () => new TextGenerator({ config, maxTokens: 4, ...options });
  assertThrows(make({ width: 0 }), RangeError, "width must be a whole number of at least 1: it is 0");
  assertThrows(make({ maxTokens: 1.5 }), RangeError, "maxTokens must be a whole number of at least 1: it is 1.5");
  assertThrows(make({ temperature: -1 }), RangeError, "the temperature must be a number of at least 0: it is -1");
  assertThrows(make({ topP: 0 }), RangeError, "topP must be above 0 and at most 1: it is 0");
  const refuses = (some: Parameters<typeof generateTexts>[1], sentence: string, maxTokens = 4) =>
    assertRejects(() => generateTexts(params, some, { config, maxTokens }), RangeError, sentence);
  await refuses({ tokens: [[1], []] }, "Cannot read prompt 1: it must have 1 to 1 tokens: it has 0");
  await refuses({ tokens: [[1, IMAGE]] }, "it must end with a word");
  await refuses({ tokens: [[IMAGE, 1]] }, "a placeholder for each of the 0 tokens of the images: there are 1");
  await refuses({ tokens: [[1, 2]] }, "at most the 40 positions of the model: they have 2 + 39", 39);
});
