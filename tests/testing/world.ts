/** The smallest of everything that a run from files needs. */
import { type Dataset, openDataset } from "../../src/data/datasets.ts";
import { Loader, type LoaderOptions } from "../../src/data/loader.ts";
import { sceneFiles, writeScenes } from "../../src/data/scenes/write.ts";
import { buildTokenizer, type Tokenizer } from "../../src/data/tokenizer.ts";
import type { AlbefConfig } from "../../src/models/config.ts";

/** Tokens per caption. */
export const TEXT_LENGTH = 12;

/** Scenes of 16 pixels on disk with two captions each, and what reads them. */
export class World implements AsyncDisposable {
  private constructor(
    /** A folder that is removed with the world. */
    readonly dir: string,
    /** One entry per image. */
    readonly dataset: Dataset,
    /** Knows the words of all captions. */
    readonly tokenizer: Tokenizer,
  ) {}

  /** Writes `examples` scenes to a folder of their own. */
  static async make(examples = 21): Promise<World> {
    const dir = await Deno.makeTempDir();
    await writeScenes(`${dir}/scenes`, { train: examples, val: 0, test: 0, size: 16, captions: 2 });
    const { captions, images } = sceneFiles(`${dir}/scenes`, "train");
    const dataset = await openDataset({ data: [captions], images, groupBy: "image" });
    const texts = Array.from({ length: dataset.length }, (_, i) => dataset.entry(i).captions).flat();
    return new World(dir, dataset, buildTokenizer(texts, { size: 120 }));
  }

  /** A model of one image layer, one text layer and one fusion layer. */
  config(dropout = 0): AlbefConfig {
    const size = { width: 16, heads: 2 };
    return {
      vision: { resolution: 16, patch: 8, depth: 1, eps: 1e-6, ...size },
      text: {
        vocabulary: Math.ceil(this.tokenizer.vocabularySize / 4) * 4,
        layers: 2,
        fusionLayer: 1,
        intermediate: 32,
        maxPositions: TEXT_LENGTH,
        encoderWidth: 16,
        padId: this.tokenizer.padId,
        dropout,
        eps: 1e-12,
        ...size,
      },
      embedding: 8,
    };
  }

  /** Mini-batches for that model, without augmentation. */
  loader(options: Partial<LoaderOptions> = {}): Loader {
    return new Loader(this.dataset, this.tokenizer, {
      resolution: 16,
      maxLength: TEXT_LENGTH,
      transform: "train",
      cropArea: null,
      randAugment: false,
      seed: 3,
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}
