/**
 * Grounding of many texts: their maps on the host, the boxes that they choose, and the accuracy.
 *
 * @module
 */
import { imagePatches, type Matcher, type Tokens } from "../models/albef.ts";
import type { AlbefConfig } from "../models/config.ts";
import { patchCount } from "../models/vit.ts";
import { compile, type Compiled, toDevice, toHost } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import type { Tree } from "../program/tree.ts";
import { indicesFrom, textRows } from "./_batches.ts";
import {
  type GroundedResult,
  type GroundedText,
  type GroundingAccuracy,
  groundingAccuracy,
  type HeatMap,
  judgeMap,
} from "./grounding.ts";
import { groundingMaps, type GroundingMapsOptions } from "./grounding_maps.ts";
import type { RetrievalSet } from "./retrieval.ts";

/** Texts about parts of images. */
export interface GroundingSet extends RetrievalSet {
  /** What is true of each text. */
  readonly grounded: readonly GroundedText[];
}

/** Maps of a text on the grid of patches. */
export interface TextMaps {
  /** The whole text's. */
  readonly map: HeatMap;
  /** Those of its tokens, [CLS] and padding included; only by `"itm"`. */
  readonly words?: readonly HeatMap[];
}

/** How texts are grounded. */
export interface GroundingOptions extends GroundingMapsOptions {
  /** Texts of a set that are taken at a time. @default 32 */
  readonly batch?: number;
}

/** Grounds texts by one model again and again; its program is made once. */
export class GroundingEvaluator {
  readonly #config: AlbefConfig;
  readonly #batch: number;
  readonly #maps: Compiled<[Tree, Tensor, Tokens], Tensor[]>;

  /** An evaluator of models of these sizes. */
  constructor(config: AlbefConfig, { batch = 32, ...options }: GroundingOptions = {}) {
    this.#config = config;
    this.#batch = batch;
    this.#maps = compile((p, images, tokens) => {
      const pairs = { patches: imagePatches(images, config.vision), ...tokens };
      const { map, words } = groundingMaps(p as Matcher, pairs, { config }, options);
      return words ? [map, words] : [map];
    });
  }

  /** Maps of texts over an image each: u32 [B, H * W * 3 / 4], packed RGB bytes. */
  async maps(params: Matcher, images: Tensor, tokens: Tokens): Promise<TextMaps[]> {
    const [map, words] = await toHost(await this.#maps(params as Tree, images, tokens)) as Float32Array[];
    const [count, length] = tokens.ids.shape as [number, number];
    return Array.from({ length: count }, (_, row) => ({
      map: this.#grid(map!, row),
      ...words ? { words: Array.from({ length }, (_, i) => this.#grid(words, row * length + i)) } : {},
    }));
  }

  /** The number-th grid of patches. */
  #grid(values: Float32Array, number: number): HeatMap {
    const size = patchCount(this.#config.vision), side = Math.sqrt(size);
    return { values: values.slice(number * size, (number + 1) * size), size: [side, side] };
  }

  /**
   * Accuracy of each split of a set. At a time the states and maps of one batch are in memory.
   *
   * @param each Is shown each text's maps and what came of them, in order, for instance to paint them.
   */
  async evaluate(
    params: Matcher,
    { images, texts, imageOf, grounded }: GroundingSet,
    each?: (text: number, maps: TextMaps, result: GroundedResult) => void | Promise<void>,
  ): Promise<Record<string, GroundingAccuracy>> {
    await toDevice(params as Tree);
    const results: GroundedResult[] = [];
    for (let from = 0; from < grounded.length; from += this.#batch) {
      const at = indicesFrom(from, this.#batch, grounded.length), [ids, mask] = textRows(texts, at);
      const loaded = await images.load(at.map((text) => imageOf[text]!));
      const maps = await this.maps(params, loaded, { ids, mask });
      for (const [row, own] of maps.slice(0, grounded.length - from).entries()) {
        const result = judgeMap(own.map, grounded[from + row]!);
        results.push(result);
        await each?.(from + row, own, result);
      }
    }
    return groundingAccuracy(grounded, results);
  }

  /** Frees the memory of the program. */
  destroy(): void {
    this.#maps.destroy();
  }
}
