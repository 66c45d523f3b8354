/**
 * One stream of words and detected regions (UNITER: Chen et al. 2020; OSCAR: Li et al. 2020, which puts the names of the regions' classes
 * behind the caption): a BERT whose tokens are both.
 *
 * @module
 */
import { perturb } from "../nn/attack.ts";
import { type AffineSpec, layerNorm, layerNormSpec, linear, linearSpec } from "../nn/layers.ts";
import { type ParametersOf, Spec } from "../nn/spec.ts";
import { gelu } from "../ops/activations.ts";
import { add, multiply, subtract, tanh } from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { dropout, foldIn, type Key } from "../ops/random.ts";
import { concat, reshape, slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { firstToken, type Tokens } from "./albef.ts";
import { bertLayers, type BertSpec, bertSpec, embedAt, mlmTransform } from "./bert.ts";
import type { BertConfig } from "./bert_layer.ts";

/** Sizes of the model. */
export interface RegionConfig {
  /** The transformer; all of its layers see words and regions. */
  readonly text: BertConfig;
  /** Numbers of a region's feature. */
  readonly width: number;
  /** Classes of the detector; 0: there is no head for them. */
  readonly classes: number;
}

/** Numbers that say where a region is. */
const PLACE = 7;

/** Parameters under UNITER's names. */
export type RegionSpec = {
  uniter: Pick<BertSpec["bert"], "embeddings" | "encoder"> & {
    img_embeddings: {
      img_linear: AffineSpec;
      img_layer_norm: AffineSpec;
      pos_linear: AffineSpec;
      pos_layer_norm: AffineSpec;
      /** Row 1 is the feature of a masked region. */
      mask_embedding: { weight: Spec };
      LayerNorm: AffineSpec;
    };
    pooler: { dense: AffineSpec };
  };
  cls: BertSpec["cls"];
  /** Its last product is with the matrix of `img_linear`. */
  feat_regress: { net: { 0: AffineSpec; 2: AffineSpec }; bias: Spec };
  region_classifier?: { net: { 0: AffineSpec; 2: AffineSpec; 3: AffineSpec } };
  itm_output: AffineSpec;
};

/** Parameters as tensors. */
export type RegionModel = ParametersOf<RegionSpec>;

/** Shapes and starting values. */
export function regionSpec({ text, width, classes }: RegionConfig): RegionSpec {
  const { width: hidden, init = 0.02 } = text, weights = { normal: init };
  const { bert: { embeddings, encoder }, cls } = bertSpec({ ...text, fusionLayer: text.layers });
  const dense = (): AffineSpec => linearSpec(hidden, hidden, weights), norm = (): AffineSpec => layerNormSpec(hidden);
  return {
    uniter: {
      embeddings,
      img_embeddings: {
        img_linear: linearSpec(width, hidden, weights),
        img_layer_norm: norm(),
        pos_linear: linearSpec(PLACE, hidden, weights),
        pos_layer_norm: norm(),
        mask_embedding: { weight: new Spec([2, width], { normal: 0.02 }) },
        LayerNorm: norm(),
      },
      encoder,
      pooler: { dense: dense() },
    },
    cls,
    feat_regress: { net: { 0: dense(), 2: norm() }, bias: new Spec([width], { constant: 0 }) },
    ...(classes
      ? { region_classifier: { net: { 0: dense(), 2: norm(), 3: linearSpec(hidden, classes, weights) } } }
      : {}),
    itm_output: linearSpec(hidden, 2, weights),
  };
}

/** Words: a caption and perhaps tags behind it, which have the other segment and their own padding. */
export interface RegionWords extends Tokens {
  /** Names of classes. */
  readonly tags?: Tokens | undefined;
}

/** Regions of B images. */
export interface SeenRegions {
  /** f32 [B, R, width]. */
  readonly features: Tensor;
  /** f32 [B, R, 7]: where they are. */
  readonly places: Tensor;
  /** f32 [B, R]: 1 at regions. */
  readonly regionMask: Tensor;
  /** f32 [B, R]: 1 at regions whose feature must not be seen. Default: none. */
  readonly hidden?: Tensor;
}

/** How the model runs. */
export interface RegionContext {
  /** Sizes of the model. */
  readonly config: RegionConfig;
  /** Dropout's randomness; without it there is none. */
  readonly key?: Key | undefined;
  /** Compute the layers' intermediates again in the backward pass instead of keeping them. @default false */
  readonly remat?: boolean;
}

/** Words and regions that have met. */
export interface RegionStates {
  /** Captions, then tags, [B, L + T, D]. */
  readonly text: Tensor;
  /** f32 [B, L + T]: 1 at tokens. */
  readonly textMask: Tensor;
  /** Regions, [B, R, D]. */
  readonly image: Tensor;
  /** tanh(dense) of the first word, [B, D]. */
  readonly pooled: Tensor;
}

/** Words before any layer, [B, L + T, D]. */
export function regionWordEmbed(
  p: Pick<RegionModel, "uniter">,
  { ids, tags }: RegionWords,
  { config: { text }, key }: RegionContext,
): Tensor {
  const length = ids.shape[1]!, tagged = tags?.ids.shape[1] ?? 0;
  if (length + tagged > text.maxPositions) {
    throw new RangeError(
      `Cannot embed ${length} tokens and ${tagged} of tags: the position table holds at most ${text.maxPositions}`,
    );
  }
  const { position_embeddings, token_type_embeddings: { weight: types } } = p.uniter.embeddings;
  const own = { bert: { embeddings: p.uniter.embeddings } };
  const embed = (tokens: Tensor, from: number, segment: number, stream: number): Tensor => {
    const places = slice(position_embeddings.weight, 0, from, from + tokens.shape[1]!);
    // embedAt adds the type of row 0.
    const shift = subtract(slice(types, 0, segment, segment + 1), slice(types, 0, 0, 1));
    return embedAt(own, tokens, segment ? add(places, shift) : places, key && foldIn(key, stream), text);
  };
  const words = embed(ids, 0, 0, 0);
  return tags ? concat([words, embed(tags.ids, length, 1, 1)], 1) : words;
}

/** Regions before any layer: what they look like and where they are, each made even, [B, R, D]. */
export function regionEmbed(
  p: Pick<RegionModel, "uniter">,
  { features, places, hidden }: SeenRegions,
  { config: { text: { eps, dropout: rate } }, key }: RegionContext,
): Tensor {
  const { img_linear, img_layer_norm, pos_linear, pos_layer_norm, mask_embedding, LayerNorm } = p.uniter.img_embeddings;
  let seen = features;
  if (hidden) {
    const [batch, count] = hidden.shape as [number, number], at = reshape(hidden, [batch, count, 1]);
    seen = add(multiply(features, subtract(1, at)), multiply(at, slice(mask_embedding.weight, 0, 1, 2)));
  }
  const looks = layerNorm(img_layer_norm, linear(img_linear, perturb("image", seen)), eps);
  const where = layerNorm(pos_layer_norm, linear(pos_linear, places), eps);
  const type = slice(p.uniter.embeddings.token_type_embeddings.weight, 0, 1, 2);
  return dropout(layerNorm(LayerNorm, add(add(looks, where), type), eps), rate, key && foldIn(key, 2));
}

/** Embeddings of words and regions through all layers. */
export function regionLayers(
  p: Pick<RegionModel, "uniter">,
  { words, regions }: { readonly words: Tensor; readonly regions: Tensor },
  { text: { mask, tags }, regionMask }: { readonly text: RegionWords; readonly regionMask: Tensor },
  { config: { text }, key, remat }: RegionContext,
): RegionStates {
  const textMask = tags ? concat([mask, tags.mask], 1) : mask, length = textMask.shape[1]!;
  const x = bertLayers(
    { bert: p.uniter },
    concat([words, regions], 1),
    { mask: concat([textMask, regionMask], 1), key: key && foldIn(key, 3), remat },
    { ...text, fusionLayer: text.layers },
    0,
    text.layers,
  );
  const states = slice(x, 1, 0, length);
  return {
    text: states,
    textMask,
    image: slice(x, 1, length, x.shape[1]!),
    pooled: tanh(linear(p.uniter.pooler.dense, firstToken(states))),
  };
}

/** Words and regions through the model. */
export function regionStates(
  p: Pick<RegionModel, "uniter">,
  text: RegionWords,
  regions: SeenRegions,
  context: RegionContext,
): RegionStates {
  const embedded = { words: regionWordEmbed(p, text, context), regions: regionEmbed(p, regions, context) };
  return regionLayers(p, embedded, { text, regionMask: regions.regionMask }, context);
}

/** Logits of (no match, match), [B, 2]. */
export function regionMatchLogits(
  p: Pick<RegionModel, "itm_output">,
  { pooled }: Pick<RegionStates, "pooled">,
): Tensor {
  return linear(p.itm_output, pooled);
}

/** Logits of words, in parts, for `mlmLoss`. */
export function regionVocabularyLogits(
  p: Pick<RegionModel, "uniter" | "cls">,
  { text }: Pick<RegionStates, "text">,
  { config }: Pick<RegionContext, "config">,
): { queries: Tensor; keys: Tensor; bias: Tensor } {
  return {
    queries: mlmTransform(p, text, config.text),
    keys: p.uniter.embeddings.word_embeddings.weight,
    bias: p.cls.predictions.bias,
  };
}

/** The features that states of regions stand for, [B, R, width]. */
export function predictedFeatures(
  p: RegionModel,
  { image }: Pick<RegionStates, "image">,
  { config }: RegionContext,
): Tensor {
  const { net, bias } = p.feat_regress;
  const states = layerNorm(net[2], gelu(linear(net[0], image)), config.text.eps);
  return add(matmul(states, p.uniter.img_embeddings.img_linear.weight), bias);
}

/** Logits of the classes of regions, [B, R, classes]. @throws {RangeError} If the model has no classes. */
export function regionClassLogits(
  p: RegionModel,
  { image }: Pick<RegionStates, "image">,
  { config }: RegionContext,
): Tensor {
  if (!p.region_classifier) throw new RangeError("Cannot tell what regions are: the model must have classes: it has 0");
  const { net } = p.region_classifier;
  return linear(net[3], layerNorm(net[2], gelu(linear(net[0], image)), config.text.eps));
}
