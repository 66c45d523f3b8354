/** Small models with unequal widths, and inputs for them. */
import type { AlbefConfig } from "../../src/models/config.ts";
import { tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { randomIds, randomTensor } from "../testing/reference.ts";

/** Nothing is as wide as anything else. */
export const config: AlbefConfig = {
  vision: { resolution: 12, patch: 4, width: 24, depth: 1, heads: 3, eps: 1e-6 },
  text: {
    vocabulary: 40,
    width: 16,
    layers: 3,
    fusionLayer: 1,
    heads: 2,
    intermediate: 20,
    maxPositions: 12,
    encoderWidth: 24,
    dropout: 0,
    eps: 1e-12,
    padId: 0,
  },
  embedding: 8,
};

/** Numbers as a tensor. */
export function randoms(shape: readonly number[], seed: number): Tensor {
  return tensor(randomTensor(shape, seed).data, shape);
}

/** `count` images as patches. */
export function patches(count: number, seed: number): Tensor {
  return randoms([count, 9, 48], seed);
}

/** Token ids that begin with [CLS] (2) and end with [SEP] (3) at different lengths, and their mask. */
export function texts(count: number, length: number, seed: number): { ids: Tensor; mask: Tensor } {
  const words = randomIds([count, length], seed, 5, config.text.vocabulary, "u32").data;
  const ids = new Uint32Array(count * length), mask = new Float32Array(count * length);
  for (let row = 0; row < count; row++) {
    const end = length - 1 - row % (length - 2);
    for (let at = 0; at <= end; at++) {
      ids[row * length + at] = at === 0 ? 2 : at === end ? 3 : words[row * length + at]!;
      mask[row * length + at] = 1;
    }
  }
  return { ids: tensor(ids, [count, length]), mask: tensor(mask, [count, length]) };
}
