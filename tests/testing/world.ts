/** A world that is learned in seconds: scenes of 16 pixels on disk, what reads them, and a model of that size. */
import type { CaptionDataset, CaptionPair } from "../../src/data/caption_pairs.ts";
import type { Collate } from "../../src/data/collate.ts";
import { openDataset } from "../../src/data/datasets.ts";
import { Loader } from "../../src/data/loader.ts";
import { sceneFiles, writeScenes } from "../../src/data/scenes/write.ts";
import { buildTokenizer, type Tokenizer } from "../../src/data/tokenizer.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import type { Tree } from "../../src/program/tree.ts";
import type { RecipeSetup } from "../../src/recipes/recipe.ts";

/** Examples: images of two captions each. */
export const EXAMPLES = 21;

/** Tokens per caption. */
export const LENGTH = 12;

/** Scenes and what reads them; its folder may be written into. */
export class World implements AsyncDisposable {
  private constructor(readonly dir: string, readonly dataset: CaptionDataset, readonly tokenizer: Tokenizer) {}

  /** Draws the scenes. */
  static async make(examples: number = EXAMPLES): Promise<World> {
    const dir = await Deno.makeTempDir();
    await writeScenes(`${dir}/scenes`, { train: examples, val: 0, test: 0, size: 16, captions: 2 });
    const { captions, images } = sceneFiles(`${dir}/scenes`, "train");
    const dataset = await openDataset({ data: [captions], images, groupBy: "image" });
    const texts = Array.from({ length: dataset.length }, (_, i) => dataset.entry(i).captions).flat();
    return new World(dir, dataset, buildTokenizer(texts, { size: 120 }));
  }

  /** Two layers of 16 numbers. */
  config(dropout: number): AlbefConfig {
    const size = { width: 16, heads: 2 };
    const vocabulary = Math.ceil(this.tokenizer.vocabularySize / 4) * 4;
    return {
      vision: { resolution: 16, patch: 8, depth: 1, eps: 1e-6, ...size },
      text: {
        vocabulary,
        layers: 2,
        fusionLayer: 1,
        intermediate: 32,
        maxPositions: LENGTH,
        encoderWidth: 16,
        padId: this.tokenizer.padId,
        dropout,
        eps: 1e-12,
        ...size,
      },
      embedding: 8,
    };
  }

  /** What a recipe is told. */
  setup(batch: number, dropout: number): RecipeSetup {
    const view = { resolution: 16, transform: "train", cropArea: null, randAugment: false } as const;
    return { config: this.config(dropout), batch, textLength: LENGTH, view, tokenizer: this.tokenizer };
  }

  /** Gives mini-batches of the scenes. */
  loader<B extends Tree>(collate: Collate<CaptionPair, B>): Loader<CaptionPair, B> {
    return new Loader(this.dataset, collate, { seed: 3 });
  }

  /** Removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}
