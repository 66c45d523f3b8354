/** Squares of one colour, a small model of them, and what recipes on their own examples are tested with. */
import { assertEquals } from "@std/assert";
import sharp from "npm:sharp@0.35.5";
import type { Collate } from "../../src/data/collate.ts";
import type { Example, ImageFile } from "../../src/data/dataset.ts";
import { Loader } from "../../src/data/loader.ts";
import { buildTokenizer, type Tokenizer } from "../../src/data/tokenizer.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import type { ParametersOf, SpecTree } from "../../src/nn/spec.ts";
import { randomKey } from "../../src/ops/random.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholders } from "../../src/program/program.ts";
import { entries, signature, type Tree } from "../../src/program/tree.ts";
import type { RecipeObjective, RecipeSetup } from "../../src/recipes/recipe.ts";
import { train, type TrainResult } from "../../src/train/train.ts";
import { folder, listDataset } from "../data/loading.ts";

/** Names of the colours and their red, green and blue. */
export const colours: Readonly<Record<string, readonly [number, number, number]>> = {
  red: [250, 10, 10],
  green: [10, 250, 10],
  blue: [10, 10, 250],
  white: [250, 250, 250],
};

/** The square of each colour. */
export const squares: Readonly<Record<string, ImageFile>> = Object.fromEntries(
  await Promise.all(
    Object.entries(colours).map(async ([name, [r, g, b]], id): Promise<[string, ImageFile]> => {
      const path = `${folder}/${name}.png`,
        create = { width: 8, height: 8, channels: 3, background: { r, g, b } } as const;
      await sharp({ create }).png().toFile(path);
      return [name, { path, id }];
    }),
  ),
);

/** The square of a colour. */
export function square(colour: string): ImageFile {
  return squares[colour]!;
}

/** Knows the colours and a few words. */
export const tokenizer: Tokenizer = buildTokenizer([
  `what colour is it the left square dark a ${Object.keys(colours).join(" ")}`,
]);

/** Sizes without dropout. */
export const config: AlbefConfig = {
  vision: { resolution: 8, patch: 4, width: 16, depth: 1, heads: 2, eps: 1e-6, init: 0.1 },
  text: {
    vocabulary: Math.ceil(tokenizer.vocabularySize / 4) * 4,
    width: 16,
    layers: 2,
    fusionLayer: 1,
    heads: 2,
    intermediate: 32,
    maxPositions: 12,
    encoderWidth: 16,
    dropout: 0,
    eps: 1e-12,
    padId: tokenizer.padId,
    init: 0.1,
  },
  embedding: 8,
};

/** A setup of recipes for mini-batches of `batch` squares. */
export function setupOf(batch: number, change: Partial<RecipeSetup> = {}): RecipeSetup {
  return { config, batch, textLength: 8, view: { resolution: 8, transform: "eval" }, tokenizer, ...change };
}

/** The first mini-batches of `size` examples each, in order, again from the first example after the last. */
export async function batchesOf<E extends Example, B extends Tree>(
  examples: readonly E[],
  collate: Collate<E, B>,
  size: number,
  count = 1,
): Promise<B[]> {
  await using loader = new Loader(listDataset(examples), collate);
  const order = (batch: number): Int32Array | undefined =>
    batch < count ? Int32Array.from({ length: size }, (_, i) => (batch * size + i) % examples.length) : undefined;
  return (await Array.fromAsync(loader.batches(order, { epoch: 0 }))).map(({ input }) => input);
}

/** Asserts that mini-batches of both sizes are as the collate function without a tokenizer says. */
export async function assertShapes<E extends Example, B extends Tree>(
  examples: readonly E[],
  of: (setup: RecipeSetup) => { readonly collate: Collate<E, B> },
): Promise<void> {
  const { tokenizer: _, ...untold } = setupOf(3);
  for (const size of [1, 3]) {
    const [batch] = await batchesOf(examples, of(setupOf(size)).collate, size);
    assertEquals(signature(batch!), signature(placeholders<B>(of(untold).collate.shapes(size))));
  }
}

/** Loss, metrics and the state afterwards of one mini-batch, by name. */
export async function lossOf<E extends Example, S extends SpecTree, X extends Tree, B extends Tree>(
  objective: RecipeObjective<E, S, X, B>,
  params: ParametersOf<S>,
  extra: X,
  batch: B,
  step = 0,
): Promise<Map<string, Float32Array>> {
  return await valuesOf(
    (p: Tree, extra: Tree, batch: Tree, words: Tensor, step: Tensor) =>
      objective.loss(p as ParametersOf<S>, extra as X, batch as B, {
        key: randomKey(words),
        step,
        epoch: tensor(0),
      }) as unknown as Tree,
    [params as Tree, extra, batch, tensor(KEY), tensor(step)],
  );
}

/** The words of the key that {@linkcode lossOf} draws by. */
export const KEY: Uint32Array<ArrayBuffer> = Uint32Array.of(3, 5);

/** The results of a traced function by name. */
export async function valuesOf<A extends Tree[]>(
  run: (...args: A) => Tree,
  args: A,
): Promise<Map<string, Float32Array>> {
  const compiled = compile(run),
    found = entries(await compiled(...args)),
    values = await toHost(found.map(([, t]) => t));
  compiled.destroy();
  return new Map(found.map(([name], i) => [name, values[i] as Float32Array]));
}

/** Trains on mini-batches of the examples in turn. */
export async function trainOn<E extends Example, S extends SpecTree, X extends Tree, B extends Tree>(
  objective: RecipeObjective<E, S, X, B>,
  examples: readonly E[],
  { batch, steps, rate = 1e-2 }: { readonly batch: number; readonly steps: number; readonly rate?: number },
): Promise<TrainResult<S>> {
  const inputs = await batchesOf(examples, objective.collate, batch, examples.length);
  const next = ({ step }: { step: number }) =>
    Promise.resolve({ input: inputs[step % inputs.length]!, examples: batch, label: `${step}`, epoch: 0 });
  return await train({ ...objective, data: { next } }, { steps, learningRate: () => rate, progress: false });
}
