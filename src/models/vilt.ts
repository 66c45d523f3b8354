/**
 * ViLT (Kim et al. 2021, section 3): one stream. Words and image patches, which no encoder has seen, go through one transformer
 * together, so that a text meets its image from the first layer on. There are no features of a text or an image alone: to rank N
 * texts for M images takes N * M passes.
 *
 * @module
 */
import { checkpoint } from "../autograd/grad.ts";
import { type AffineSpec, layerNorm, layerNormSpec, linear, linearSpec } from "../nn/layers.ts";
import { type ParametersOf, Spec } from "../nn/spec.ts";
import { add, multiply, subtract, tanh } from "../ops/elementwise.ts";
import { foldIn, type Key } from "../ops/random.ts";
import { broadcastTo } from "../ops/reduce.ts";
import { concat, reshape, slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { firstToken, type Tokens } from "./albef.ts";
import { bertEmbed, type BertSpec, mlmTransform } from "./bert.ts";
import type { BertConfig } from "./bert_layer.ts";
import {
  type CanvasImages,
  type Grid,
  ownPatches,
  type PatchRule,
  resizedPositions,
  seePatches,
} from "./vilt_patches.ts";
import { embedPatches, patchCount, vitBlock, type VitConfig, type VitSpec, vitSpec } from "./vit.ts";

/** Sizes of a ViLT; those of an ALBEF will do. */
export interface ViltConfig {
  /** The transformer; `resolution` is the side of the position table in pixels. */
  readonly vision: VitConfig;
  /** The embeddings of words. They are as wide as the transformer. */
  readonly text: Pick<BertConfig, "vocabulary" | "maxPositions" | "dropout" | "eps" | "padId">;
}

/** Parameters under their official names. */
export type ViltSpec = {
  text_embeddings: BertSpec["bert"]["embeddings"];
  /** Row 0 is added to words, row 1 to patches. */
  token_type_embeddings: { weight: Spec };
  transformer: VitSpec;
  pooler: { dense: AffineSpec };
  mlm_score: BertSpec["cls"]["predictions"] & { decoder: { weight: Spec } };
  itm_score: { fc: AffineSpec };
};

/** Taken from the scores of tokens that must not be seen: `attention` counts -Infinity as minus this. */
const UNSEEN = 1e38;

/** Parameters as tensors. */
export type Vilt = ParametersOf<ViltSpec>;

/** Shapes and starting values. */
export function viltSpec({ vision, text: { vocabulary, maxPositions } }: ViltConfig): ViltSpec {
  const { width, init = 0.02 } = vision, weights = { normal: init }, embedding = { normal: 0.02 };
  const table = (rows: number): { weight: Spec } => ({ weight: new Spec([rows, width], embedding) });
  return {
    text_embeddings: {
      word_embeddings: table(vocabulary),
      position_embeddings: table(maxPositions),
      token_type_embeddings: table(2),
      LayerNorm: layerNormSpec(width),
    },
    token_type_embeddings: table(2),
    transformer: vitSpec(vision),
    pooler: { dense: linearSpec(width, width, weights) },
    mlm_score: {
      bias: new Spec([vocabulary], { constant: 0 }),
      transform: { dense: linearSpec(width, width, weights), LayerNorm: layerNormSpec(width) },
      decoder: { weight: new Spec([vocabulary, width], weights) },
    },
    itm_score: { fc: linearSpec(width, 2, weights) },
  };
}

/** How a ViLT runs. */
export interface ViltContext {
  /** Sizes of the model. */
  readonly config: ViltConfig;
  /** Rows and columns of the canvases, in patches. Default: those of the position table. */
  readonly grid?: Grid;
  /** Which patches of a canvas are an image's. @default "size" */
  readonly rule?: PatchRule;
  /** Patches of an image that are seen at most. Default: all of a canvas. */
  readonly mostPatches?: number;
  /** Randomness of the dropout of word embeddings; without it there is none. */
  readonly key?: Key | undefined;
  /** Compute the blocks' intermediates again in the backward pass instead of keeping them. @default false */
  readonly remat?: boolean;
}

/** Words and patches that have met. */
export interface ViltStates {
  /** Words, [B, L, D]. */
  readonly text: Tensor;
  /** Image [CLS] and patches, [B, 1 + P, D]. */
  readonly image: Tensor;
  /** f32 [B, 1 + P]: 1 at [CLS] and an image's own patches. */
  readonly imageMask: Tensor;
  /** tanh(dense) of the first word, [B, D]. */
  readonly pooled: Tensor;
}

/** Image [CLS] and patches with their positions, before any layer: f32 [B, 1 + P, D], and which of them count, f32 [B, 1 + P]. */
export function viltImageEmbed(
  p: Pick<Vilt, "transformer">,
  images: CanvasImages,
  { config: { vision }, grid, rule, mostPatches }: ViltContext,
): { embeddings: Tensor; mask: Tensor; row: Tensor; column: Tensor } {
  const side = Math.sqrt(patchCount(vision)), { cls_token, pos_embed } = p.transformer;
  const canvas = grid ?? [side, side],
    own = ownPatches(images, canvas, rule),
    [batch] = images.patches.shape;
  const seen = seePatches(images.patches, own, canvas, mostPatches ?? canvas[0] * canvas[1]);
  const table = reshape(slice(pos_embed, 1, 1, side * side + 1), [side * side, vision.width]);
  const tokens = embedPatches(p.transformer, seen.patches);
  const cls = broadcastTo(add(cls_token, slice(pos_embed, 1, 0, 1)), [batch!, 1, vision.width]);
  return {
    embeddings: concat([cls, add(tokens, resizedPositions(table, seen))], 1),
    mask: concat([broadcastTo(slice(seen.mask, 1, 0, 1), [batch!, 1]), seen.mask], 1),
    row: seen.row,
    column: seen.column,
  };
}

/** Texts with their images through all blocks and the last LayerNorm. */
export function viltStates(p: Vilt, { ids, mask }: Tokens, images: CanvasImages, context: ViltContext): ViltStates {
  const { config: { vision, text }, key, remat } = context, length = ids.shape[1]!;
  const words = bertEmbed({ bert: { embeddings: p.text_embeddings } }, ids, { key: key && foldIn(key, 0) }, text);
  const image = viltImageEmbed(p, images, context), types = p.token_type_embeddings.weight;
  const typed = (x: Tensor, type: number): Tensor => add(x, slice(types, 0, type, type + 1));
  let x = concat([typed(words, 0), typed(image.embeddings, 1)], 1);
  const unseen = multiply(subtract(concat([mask, image.mask], 1), 1), UNSEEN);
  const run = (block: Vilt["transformer"]["blocks"][number], h: Tensor, unseen: Tensor): Tensor =>
    vitBlock(block, h, vision, { mask: unseen });
  for (const block of p.transformer.blocks) x = (remat ? checkpoint(run) : run)(block, x, unseen);
  x = layerNorm(p.transformer.norm, x, vision.eps);
  const states = slice(x, 1, 0, length);
  return {
    text: states,
    image: slice(x, 1, length, x.shape[1]!),
    imageMask: image.mask,
    pooled: tanh(linear(p.pooler.dense, firstToken(states))),
  };
}

/** Logits of (no match, match), [B, 2]. */
export function viltMatchLogits(p: Pick<Vilt, "itm_score">, { pooled }: Pick<ViltStates, "pooled">): Tensor {
  return linear(p.itm_score.fc, pooled);
}

/** Logits of words for MLM, in parts: the decoder is a matrix of its own. */
export function viltVocabularyLogits(
  p: Pick<Vilt, "mlm_score">,
  { text }: Pick<ViltStates, "text">,
  { config }: Pick<ViltContext, "config">,
): { queries: Tensor; keys: Tensor; bias: Tensor } {
  const { bias, decoder } = p.mlm_score;
  return {
    queries: mlmTransform({ cls: { predictions: p.mlm_score } }, text, config.text),
    keys: decoder.weight,
    bias,
  };
}
