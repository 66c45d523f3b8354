/**
 * A ViT that sees some patches of an image only, and a light decoder that paints the others (MAE: He et al. 2022, section 3).
 *
 * @module
 */
import { type AffineSpec, layerNorm, layerNormSpec, linear, linearSpec } from "../nn/layers.ts";
import type { ParametersOf, Spec } from "../nn/spec.ts";
import { add, cast, less } from "../ops/elementwise.ts";
import { type Key, uniform } from "../ops/random.ts";
import { broadcastTo } from "../ops/reduce.ts";
import { concat, reshape, slice } from "../ops/shape.ts";
import { argsort } from "../ops/sort.ts";
import { takeAlongAxis } from "../ops/take.ts";
import type { Tensor } from "../program/graph.ts";
import {
  embedPatches,
  patchCount,
  tokenSpec,
  vitBlocks,
  type VitBlockSpec,
  vitBody,
  type VitConfig,
  type VitSpec,
} from "./vit.ts";

/** Sizes of the decoder. */
export interface PixelDecoderConfig {
  /** Width of its tokens; MAE's is 512. */
  readonly width: number;
  /** Number of blocks; MAE's is 8. */
  readonly depth: number;
  /** Attention heads; MAE's are 16. */
  readonly heads: number;
}

/** Parameters of the decoder under MAE's names. Positions are learned (MAE: fixed sines). */
export type PixelDecoderSpec = {
  decoder_embed: AffineSpec;
  mask_token: Spec;
  decoder_pos_embed: Spec;
  decoder_blocks: VitBlockSpec[];
  decoder_norm: AffineSpec;
  decoder_pred: AffineSpec;
};

/** Shapes and starting values. */
export function pixelDecoderSpec(vision: VitConfig, decoder: PixelDecoderConfig): PixelDecoderSpec {
  const { width } = decoder, { patch, init = 0.02 } = vision, weights = { normal: init, truncated: true };
  return {
    decoder_embed: linearSpec(vision.width, width, weights),
    mask_token: tokenSpec(1, width),
    decoder_pos_embed: tokenSpec(patchCount(vision) + 1, width),
    decoder_blocks: vitBody({ ...vision, intermediate: 4 * width, ...decoder }).blocks,
    decoder_norm: layerNormSpec(width),
    decoder_pred: linearSpec(width, 3 * patch * patch, weights),
  };
}

/** Which patches of B images are seen. */
export type SeenOfImages = {
  /** u32 [B, P]: all patches in a random order; the first K are seen. */
  readonly order: Tensor;
  /** K. */
  readonly count: number;
  /** f32 [B, P]: 1 at patches that are hidden. */
  readonly hidden: Tensor;
};

/** Number of patches that stay visible: the whole part of P (1 - share), at least one, as in MAE. */
export function seenCount(patches: number, share: number): number {
  return Math.max(1, Math.floor(patches * (1 - share) + 1e-9));
}

/** Hides a share of the patches of each image. */
export function hidePatches(key: Key, batch: number, patches: number, share: number): SeenOfImages {
  const order = argsort(uniform(key, [batch, patches])), count = seenCount(patches, share);
  const place = argsort(order); // of each patch in the order
  return { order, count, hidden: less(count - 1, cast(place, "f32")) };
}

/** States of [CLS] and the K patches that are seen, in their order: [B, P, 3 * patch^2] -> [B, K + 1, D]. */
export function encodeSeen(
  p: ParametersOf<VitSpec>,
  patches: Tensor,
  { order, count }: SeenOfImages,
  config: VitConfig,
  { remat = false }: { readonly remat?: boolean } = {},
): Tensor {
  const [batch, all] = patches.shape as [number, number], { width, eps } = config;
  const seen = reshape(slice(order, 1, 0, count), [batch, count, 1]);
  const positions = broadcastTo(slice(p.pos_embed, 1, 1, all + 1), [batch, all, width]);
  const tokens = add(embedPatches(p, takeAlongAxis(patches, seen, 1)), takeAlongAxis(positions, seen, 1));
  const cls = broadcastTo(add(p.cls_token, slice(p.pos_embed, 1, 0, 1)), [batch, 1, width]);
  return layerNorm(p.norm, vitBlocks(p.blocks, concat([cls, tokens], 1), config, { remat }), eps);
}

/** The pixels of all patches that the decoder paints: [B, K + 1, D] -> [B, P, 3 * patch^2]. */
export function paintPatches(
  p: ParametersOf<PixelDecoderSpec>,
  states: Tensor,
  { order, count }: SeenOfImages,
  { eps }: Pick<VitConfig, "eps">,
  { width, heads }: PixelDecoderConfig,
  { remat = false }: { readonly remat?: boolean } = {},
): Tensor {
  const [batch, all] = order.shape as [number, number], x = linear(p.decoder_embed, states);
  const places = reshape(argsort(order), [batch, all, 1]), seen = slice(x, 1, 1, count + 1);
  const masks = all > count ? [broadcastTo(p.mask_token, [batch, all - count, width])] : [];
  const tokens = takeAlongAxis(concat([seen, ...masks], 1), places, 1);
  const whole = add(concat([slice(x, 1, 0, 1), tokens], 1), p.decoder_pos_embed);
  const painted = layerNorm(p.decoder_norm, vitBlocks(p.decoder_blocks, whole, { heads, eps }, { remat }), eps);
  return linear(p.decoder_pred, slice(painted, 1, 1, all + 1));
}
