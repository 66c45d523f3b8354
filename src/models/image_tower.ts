/**
 * Vision transformers as image encoders of language models: the plain one (Dosovitskiy et al. 2021), SigLIP's (Zhai et al. 2023), which
 * has no class token, and DINOv2's (Oquab et al. 2023), which scales its branches and may have registers (Darcet et al. 2023).
 *
 * @module
 */
import { checkpoint } from "../autograd/grad.ts";
import { type AffineSpec, layerNorm, layerNormSpec } from "../nn/layers.ts";
import { type ParametersOf, Spec } from "../nn/spec.ts";
import { add } from "../ops/elementwise.ts";
import { broadcastTo } from "../ops/reduce.ts";
import { concat, slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { embedPatches, patchCount, tokenSpec, vitBlock, vitBody, type VitConfig, type VitSpec } from "./vit.ts";

/** Sizes of an encoder and what tells it from the plain ViT. */
export interface TowerConfig extends VitConfig {
  /** Whether a class token stands first. @default true */
  readonly classToken?: boolean;
  /** Register tokens behind it; they have no positions. @default 0 */
  readonly registers?: number;
  /** What the factors of the branches start as. Default: there are none */
  readonly layerScale?: number;
  /**
   * Whether a LayerNorm follows the last block. For the features of the last block but one, which Prismatic and LLaVA take, say `false` and
   * a depth of one less than the file's. @default true
   */
  readonly finalNorm?: boolean;
}

/** Parameters under timm's names. */
export type TowerSpec = Pick<VitSpec, "pos_embed" | "patch_embed" | "blocks"> & {
  cls_token?: Spec;
  reg_token?: Spec;
  norm?: AffineSpec;
};

/** Sizes of published encoders by timm's names; depths are those of the last block but one, without the norm behind it. */
export const towerConfigs: Readonly<
  Record<"siglip-base" | "siglip-so400m" | "dinov2-base" | "dinov2-large", TowerConfig>
> = {
  "siglip-base": { ...sizes(224, 16, 768, 11, 12), ...siglip() },
  "siglip-so400m": { ...sizes(224, 14, 1152, 26, 16), intermediate: 4304, ...siglip() },
  "dinov2-base": { ...sizes(518, 14, 768, 11, 12), layerScale: 1e-5 },
  "dinov2-large": { ...sizes(518, 14, 1024, 23, 16), layerScale: 1e-5 },
};

function sizes(resolution: number, patch: number, width: number, depth: number, heads: number): TowerConfig {
  return { resolution, patch, width, depth, heads, eps: 1e-6, finalNorm: false };
}

function siglip(): Partial<TowerConfig> {
  return { classToken: false, gelu: "tanh" };
}

/** Shapes and starting values. */
export function towerSpec(config: TowerConfig): TowerSpec {
  const { width, classToken = true, registers = 0, layerScale, finalNorm = true } = config, body = vitBody(config);
  const factors = (): { gamma: Spec } => ({ gamma: new Spec([width], { constant: layerScale! }) });
  return {
    ...(classToken ? { cls_token: tokenSpec(1, width) } : {}),
    ...(registers ? { reg_token: tokenSpec(registers, width) } : {}),
    pos_embed: tokenSpec(patchCount(config) + (classToken ? 1 : 0), width),
    patch_embed: body.patch_embed,
    blocks: body.blocks.map((block) => layerScale === undefined ? block : { ...block, ls1: factors(), ls2: factors() }),
    ...(finalNorm ? { norm: layerNormSpec(width) } : {}),
  };
}

/** States of the patches alone: [B, P, 3 * patch^2] (see `patchify`) -> [B, P, width]. */
export function tower(
  p: ParametersOf<TowerSpec>,
  patches: Tensor,
  config: TowerConfig,
  { remat }: { readonly remat?: boolean } = {},
): Tensor {
  const { width, eps } = config, [batch, count] = patches.shape as [number, number];
  const learned = (tokens: Tensor): Tensor => broadcastTo(tokens, [batch, tokens.shape[1]!, width]);
  let x = embedPatches(p, patches);
  if (p.cls_token) x = concat([learned(p.cls_token), x], 1);
  x = add(x, p.pos_embed);
  const classes = x.shape[1]! - count;
  if (p.reg_token) {
    x = concat([slice(x, 1, 0, classes), learned(p.reg_token), slice(x, 1, classes, classes + count)], 1);
  }
  const run = (block: typeof p.blocks[number], h: Tensor): Tensor => vitBlock(block, h, config);
  for (const block of p.blocks) x = (remat ? checkpoint(run) : run)(block, x);
  const states = slice(x, 1, x.shape[1]! - count, x.shape[1]!);
  return p.norm ? layerNorm(p.norm, states, eps) : states;
}
