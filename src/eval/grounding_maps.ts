/**
 * Where in an image a text is: Grad-CAM on an attention of the model (Selvaraju et al. 2017), as Li et al. (2021), section 5 and
 * figure 4, do it for grounding without boxes. One layer's attention is written out; those of all others stay fused.
 *
 * @module
 */
import { backpropagate } from "../autograd/backpropagate.ts";
import { type Encoded, encodeText, firstToken, type Matcher, type ModelContext, normalize } from "../models/albef.ts";
import type { PatchedPairs } from "../models/albef.ts";
import type { AttentionTap } from "../models/attention_tap.ts";
import { bertMultimodal } from "../models/bert.ts";
import type { AlbefConfig } from "../models/config.ts";
import { patchCount, vit } from "../models/vit.ts";
import { linear } from "../nn/layers.ts";
import { divide, multiply, relu } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { mean, sum } from "../ops/reduce.ts";
import { reshape, slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";

/** How maps are made. */
export interface GroundingMapsOptions {
  /**
   * What is explained: `"itm"`, the matching head's logit of "match", by the cross-attention of a fusion layer; `"itc"`, the similarity
   * of the contrastive features, by the attention of the image's [CLS] in a block of the vision encoder. @default "itm"
   */
  readonly by?: "itm" | "itc";
  /**
   * `"itm"`: a layer of the text encoder from its first fusion layer on; by default the third fusion layer (8 of ALBEF's 12, counted
   * from 0) or the last if there are fewer. `"itc"`: a block of the vision encoder; by default the last. See {@linkcode groundingLayer}.
   */
  readonly layer?: number;
  /**
   * What a text's map is the mean over: its `"tokens"` ([CLS] is one), or all `"positions"` of the padded mini-batch, as in the official
   * code, where the size of a map depends on the other texts. Which place is the largest does not. @default "tokens"
   */
  readonly meanOver?: "tokens" | "positions";
}

/** Maps of B pairs on the grid of patches, S x S; all are at least 0. */
export type GroundingMaps = {
  /** f32 [B, S, S]: the whole text's. */
  readonly map: Tensor;
  /**
   * f32 [B, L, S, S]: each token's, 0 at padding; only by `"itm"`. Above the model's last layer nothing but [CLS] is read: by that layer
   * all other tokens' are 0.
   */
  readonly words?: Tensor;
  /** f32 [B]: what is explained: the logit of "match", or the cosine over the temperature. */
  readonly scores: Tensor;
  /** f32 [B, heads, L, P + 1], or [B, heads, 1, P + 1] by `"itc"`: the attention's probabilities. */
  readonly attention: Tensor;
  /** The gradient of the sum of the scores with respect to them. */
  readonly gradient: Tensor;
};

/**
 * The layer that {@linkcode groundingMaps} looks at by default; for `"words"` one below the last, where there is one, which has maps of
 * words too.
 */
export function groundingLayer({ vision, text }: AlbefConfig, by: "itm" | "itc" | "words" = "itm"): number {
  if (by === "itc") return vision.depth - 1;
  const third = Math.min(text.fusionLayer + 2, text.layers - 1);
  return by === "words" && third === text.layers - 1 ? Math.max(third - 1, text.fusionLayer) : third;
}

/**
 * Maps of texts over their images: the attention times its positive gradient, mean over heads. A function of tensors, to be compiled.
 *
 * @throws {RangeError} If the model has no such layer.
 */
export function groundingMaps(
  p: Matcher,
  pairs: PatchedPairs,
  { config }: Pick<ModelContext, "config">,
  { by = "itm", layer = groundingLayer(config, by), meanOver = "tokens" }: GroundingMapsOptions = {},
): GroundingMaps {
  checkLayer(config, by, layer);
  let attention: Tensor | undefined;
  const tap = { layer, show: (probabilities: Tensor): void => void (attention = probabilities) };
  const scores = by === "itm" ? matchScores(p, pairs, config, tap) : similarities(p, pairs, config, tap);
  const [gradient] = backpropagate([sum(scores)], [full([], 1)], [attention!]);
  const cam = mean(multiply(attention!, relu(gradient!)), { axes: [1] }); // [B, L or 1, P + 1]
  const [batch, length] = cam.shape as [number, number], side = Math.sqrt(patchCount(config.vision));
  const overPatches = slice(cam, 2, 1, 1 + side * side); // without the image's [CLS]
  const found = { scores, attention: attention!, gradient: gradient! };
  if (by === "itc") return { map: reshape(overPatches, [batch, side, side]), ...found };
  const words = multiply(overPatches, reshape(pairs.mask, [batch, length, 1])); // [B, L, P]
  const count = meanOver === "tokens" ? sum(pairs.mask, { axes: [1], keepDims: true }) : full([batch, 1], length);
  return {
    map: reshape(divide(sum(words, { axes: [1] }), count), [batch, side, side]),
    words: reshape(words, [batch, length, side, side]),
    ...found,
  };
}

/** Logits of "match", [B]. */
function matchScores(
  p: Matcher,
  { patches, ids, mask }: PatchedPairs,
  config: AlbefConfig,
  attentionTap: AttentionTap,
): Tensor {
  const image = vit(p.visual_encoder, patches, config.vision);
  const states = bertMultimodal(p.text_encoder, ids, { mask, image, attentionTap }, config.text);
  return reshape(slice(linear(p.itm_head, firstToken(states)), 1, 1, 2), [ids.shape[0]!]);
}

/** Cosines over the temperature of each image with its text, [B]. */
function similarities(
  p: Matcher,
  { patches, ...tokens }: PatchedPairs,
  config: AlbefConfig,
  tap: AttentionTap,
): Tensor {
  const states = vit(p.visual_encoder, patches, config.vision, { attentionTap: { ...tap, queries: 1 } });
  const image = normalize(linear(p.vision_proj, firstToken(states)));
  const { features: text }: Encoded = encodeText(p, tokens, { config });
  return divide(sum(multiply(image, text), { axes: [1] }), p.temp);
}

function checkLayer({ vision, text }: AlbefConfig, by: "itm" | "itc", layer: number): void {
  const [from, to, what] = by === "itm"
    ? [text.fusionLayer, text.layers, "a fusion layer"]
    : [0, vision.depth, "a block of the vision encoder"];
  if (Number.isInteger(layer) && layer >= from && layer < to) return;
  throw new RangeError(
    `Cannot make maps by "${by}": the layer must be ${what}, ${from} to ${to - 1}: it is ${layer}`,
  );
}
