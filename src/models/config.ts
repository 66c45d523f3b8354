/**
 * Sizes of the model: `base` is ALBEF_Base of the papers, `small` and `tiny` are for laptops and tests.
 *
 * @module
 */
import type { BertConfig } from "./bert_layer.ts";
import type { VitConfig } from "./vit.ts";

/** Sizes of ALBEF. */
export interface AlbefConfig {
  /** The vision encoder. */
  readonly vision: VitConfig;
  /** The text and multimodal encoder. */
  readonly text: BertConfig;
  /** Width of the contrastive features. */
  readonly embedding: number;
}

/** Deviation of starting weights of a model 64 wide: BERT's 0.02 of width 768 grown by the root of the ratio of the widths. */
const NARROW_INIT = 0.07;

const text = { dropout: 0.1, eps: 1e-12, padId: 0 } as const;

/** Named sizes. `small` is the size of the benchmarks, `tiny` of the demo:
 * it starts with larger weights, for its width, and has no dropout, so that it learns something in a few hundred steps. */
export const configs: Readonly<Record<"tiny" | "small" | "base", AlbefConfig>> = {
  tiny: {
    vision: { resolution: 64, patch: 8, width: 64, depth: 3, heads: 4, eps: 1e-6, init: NARROW_INIT },
    text: {
      vocabulary: 256,
      width: 64,
      layers: 4,
      fusionLayer: 2,
      heads: 4,
      intermediate: 256,
      maxPositions: 64,
      encoderWidth: 64,
      ...text,
      dropout: 0,
      init: NARROW_INIT,
    },
    embedding: 64,
  },
  small: {
    vision: { resolution: 64, patch: 8, width: 128, depth: 4, heads: 4, eps: 1e-6 },
    text: {
      vocabulary: 512,
      width: 128,
      layers: 4,
      fusionLayer: 2,
      heads: 4,
      intermediate: 512,
      maxPositions: 64,
      encoderWidth: 128,
      ...text,
    },
    embedding: 64,
  },
  base: {
    vision: { resolution: 256, patch: 16, width: 768, depth: 12, heads: 12, eps: 1e-6 },
    text: {
      vocabulary: 30522,
      width: 768,
      layers: 12,
      fusionLayer: 6,
      heads: 12,
      intermediate: 3072,
      maxPositions: 512,
      encoderWidth: 768,
      ...text,
    },
    embedding: 256,
  },
};
