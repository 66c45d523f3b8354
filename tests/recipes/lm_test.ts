import { assert, assertEquals, assertThrows } from "@std/assert";
import { generateTexts } from "../../src/eval/generate_text.ts";
import type { DecoderBatch } from "../../src/data/sequences/decoder_batch.ts";
import {
  type VisionLanguage,
  type VisionLanguageConfig,
  visionLanguageSpec,
} from "../../src/models/vision_language.ts";
import { initialize, specEntries } from "../../src/nn/spec.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { entries, type Tree } from "../../src/program/tree.ts";
import { lcl } from "../../src/recipes/lcl.ts";
import { lm, type LmSetup } from "../../src/recipes/lm.ts";
import { estimateMemory } from "../../src/train/estimate.ts";
import { train } from "../../src/train/train.ts";

const IMAGE = 20, START = 0, ASK = 1, COLOURS = 4, PATCHES = 4;
const tower = { resolution: 4, patch: 2, width: 8, depth: 1, heads: 2, eps: 1e-6, init: 0.3 };
const config: VisionLanguageConfig = {
  decoder: { vocabulary: 12, width: 16, layers: 2, heads: 2, hidden: 32, maxPositions: 16, qkNorm: true },
  image: { imageToken: IMAGE, encoder: tower },
};
const image = Array<number>(PATCHES).fill(IMAGE);

/** An image of one grey. */
function grey(colour: number): number[] {
  return Array<number>(3 * 4 * 4).fill(colour / COLOURS * 2 - 1);
}

function images(colours: readonly number[]): Tensor {
  return tensor(Float32Array.from(colours.flatMap(grey)), [colours.length, 3, 4, 4]);
}

/** A row of two documents, [start, image, ask, the image's grey as a word], and a place of padding. */
function batch(rows: readonly (readonly [number, number])[]): DecoderBatch {
  const own = (colour: number): number[] => [START, ...image, ASK, 2 + colour], length = own(0).length;
  const shape = [rows.length, 2 * length + 1], repeat = (row: number[]): number[] => rows.flatMap(() => row);
  const i32 = (x: number[]): Tensor => tensor(Int32Array.from(x), shape), places = own(0).map((_, i) => i);
  const counts = places.map((i) => i === length - 2 ? 1 : 0);
  return {
    tokens: i32(rows.flatMap(([a, b]) => [...own(a), ...own(b), 0])),
    documents: i32(repeat([...places.map(() => 0), ...places.map(() => 1), -1])),
    positions: i32(repeat([...places, ...places, 0])),
    lossMask: tensor(Float32Array.from(repeat([...counts, ...counts, 0])), shape),
    images: images(rows.flat()),
  };
}

const ROWS = [[0, 1], [2, 3], [1, 0], [3, 2]] as const;
const setup: LmSetup = { config, batch: ROWS.length, length: 15, images: 2 * ROWS.length };

async function trained(steps: number, freeze: readonly string[] = []) {
  const objective = lm.objective(setup, { freeze }), input = batch(ROWS);
  const next = () => Promise.resolve({ input, examples: ROWS.length, label: "", epoch: 0 });
  return await train({ ...objective, data: { next } }, { steps, learningRate: () => 1e-2, progress: false });
}

Deno.test("lm: a trained model names the grey of each image", async () => {
  const { loss, params } = await trained(120);
  assert(loss.last < 0.1 * loss.first, `${loss.first} to ${loss.last}`);
  const ask = async (colours: readonly number[]): Promise<number[]> => {
    const tokens = colours.map(() => [START, ...image, ASK]);
    const texts = await generateTexts(params as VisionLanguage, { tokens, images: images(colours) }, {
      config,
      maxTokens: 1,
    });
    return texts.map(([text]) => text!.ids[0]! - 2);
  };
  assertEquals(await ask([3, 0, 2, 1]), [3, 0, 2, 1]);
  assertEquals(new Set(await ask([1, 1, 1, 1])).size, 1);
});

for (const freeze of [["encoder"], ["encoder", "decoder"], ["projector"]]) {
  Deno.test(`lm: what is frozen stays as it is, the rest moves: ${freeze.join(" and ")}`, async () => {
    const { params } = await trained(3, freeze),
      start = new Map(entries(initialize(visionLanguageSpec(config), 0) as Tree));
    const prefixes = { encoder: "vision_backbone.", projector: "projector.", decoder: "llm_backbone." };
    const found = entries(params as Tree), values = await toHost(found.map(([, t]) => t));
    const moved = new Map(
      found.map(([name], i) => [name, values[i]!.some((x, k) => x !== start.get(name)!.node.host![k])]),
    );
    for (const [part, prefix] of Object.entries(prefixes)) {
      const own = [...moved].filter(([name]) => name.startsWith(prefix));
      assert(own.length > 0);
      // Key biases have no gradient, but Adam makes a step of what rounding leaves of it.
      if (freeze.includes(part)) assertEquals(own.filter(([, moved]) => moved), []);
      else assert(own.filter(([, moved]) => moved).length > 0.9 * own.length, part);
    }
  });
}

Deno.test("lm: the loss is cross-entropy and z-loss, on words alone", async () => {
  const of = async (zLoss: number) => {
    const objective = lm.objective(setup, { zLoss }), input = batch(ROWS), metrics: Record<string, number>[] = [];
    const next = () => Promise.resolve({ input, examples: 1, label: "", epoch: 0 });
    await train({ ...objective, data: { next } }, {
      steps: 1,
      learningRate: () => 0,
      progress: false,
      logEvery: 1,
      onMetrics: (m) => void metrics.push(m as unknown as Record<string, number>),
    });
    return metrics[0]!;
  };
  const [plain, both] = [await of(0), await of(0.5)];
  assertEquals(plain.tokens, 8);
  assertEquals([plain.loss, plain.z], [plain.crossEntropy, undefined]);
  assert(Math.abs(both.loss! - both.crossEntropy! - 0.5 * both.z!) < 1e-5 * both.loss!);
});

Deno.test("lm: frozen parts have no optimizer state, and settings that cannot be are refused", async () => {
  const of = async (freeze: string[]) => (await estimateMemory(lm.objective(setup, { freeze }))).optimizer;
  const size = (prefix: string): number =>
    specEntries(visionLanguageSpec(config)).filter(([name]) => name.startsWith(prefix)).length;
  assert(size("vision_backbone.") > 0 && await of(["encoder"]) < await of([]));
  assertThrows(() => lm.objective(setup, { freeze: ["head"] }), RangeError, 'Cannot freeze "head"');
  assertThrows(() => lm.objective({ ...setup, length: 17 }), RangeError, "at most the 16 positions");
  const { decoder } = config;
  assertThrows(() => lm.objective({ ...setup, config: { decoder } }), RangeError, "must have an image prefix");
});

Deno.test("lcl: what is said before an image comes to foretell it, and models without images are refused", async () => {
  // Two documents a row, [start, the grey as a word, image]; the last one begins with its image, which nothing can foretell.
  const words = [[0, 1], [2, 3]], own = (colour: number): number[] => [START, 2 + colour, ...image];
  const rows = [...words.map(([a, b]) => [...own(a!), ...own(b!)]), [...image, ...Array<number>(8).fill(START)]];
  const places = own(0).map((_, i) => i), shape = [rows.length, 2 * places.length];
  const i32 = (x: number[][]): Tensor => tensor(Int32Array.from(x.flat()), shape);
  const inOrder = [...places, ...places], apart = inOrder.map((_, i) => i < places.length ? 0 : 1);
  const input: DecoderBatch = {
    tokens: i32(rows),
    documents: i32([apart, apart, inOrder.map(() => 0)]),
    positions: i32([inOrder, inOrder, inOrder.map((_, i) => i)]),
    lossMask: tensor(new Float32Array(shape[0]! * shape[1]!), shape),
    images: images([0, 1, 2, 3, 0, 2]),
  };
  const small: LmSetup = { config, batch: rows.length, length: shape[1]!, images: 6 }, seen: number[] = [];
  await train({
    ...lcl.objective(small, { contrast: 1 }),
    data: { next: () => Promise.resolve({ input, examples: 4, label: "", epoch: 0 }) },
  }, {
    steps: 80,
    learningRate: () => 1e-2,
    progress: false,
    logEvery: 1,
    onMetrics: (m) => void seen.push((m as unknown as Record<string, number>).contrast!),
  });
  // The fifth image, of the first one's grey, cannot be told from it: half of what it costs is there for one of four contexts.
  const least = Math.log(2) / 4;
  assert(seen[0]! > 1 && seen.at(-1)! < least + 0.1 && seen.at(-1)! > least - 0.01, `${seen[0]} to ${seen.at(-1)}`);
  assertThrows(() => lcl.objective({ ...small, images: 0 }), RangeError, "must have an image prefix");
});
