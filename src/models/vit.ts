/**
 * The vision encoder: a ViT with pre-norm blocks (Dosovitskiy et al. 2021; DeiT-B/16 in ALBEF).
 *
 * @module
 */
import { checkpoint } from "../autograd/grad.ts";
import { perturb } from "../nn/attack.ts";
import { type AffineSpec, layerNorm, layerNormSpec, linear, linearSpec } from "../nn/layers.ts";
import { type ParametersOf, Spec } from "../nn/spec.ts";
import { attention } from "../ops/attention.ts";
import { gelu } from "../ops/activations.ts";
import { add, multiply } from "../ops/elementwise.ts";
import { broadcastTo } from "../ops/reduce.ts";
import { concat, reshape, split } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { type AttentionTap, shownAttention } from "./attention_tap.ts";
import { positionsFor } from "./vit_positions.ts";

/** Sizes of a ViT. */
export interface VitConfig {
  /** Side of the square input, pixels; a multiple of `patch`. */
  readonly resolution: number;
  /** Side of a patch, pixels. */
  readonly patch: number;
  /** Width of the tokens; a multiple of `heads`. */
  readonly width: number;
  /** Number of blocks. */
  readonly depth: number;
  /** Attention heads of each block. */
  readonly heads: number;
  /** Width of the hidden layer of the MLPs. @default 4 * width */
  readonly intermediate?: number;
  /** LayerNorm epsilon. @default 1e-6 */
  readonly eps: number;
  /** Standard deviation of the linear maps' starting weights. The 0.02 of width 768 is small for narrow models. @default 0.02 */
  readonly init?: number;
  /** How the MLPs' GELU is computed; "tanh" in SigLIP. @default "none" */
  readonly gelu?: "none" | "tanh";
}

/** Parameters of one block. */
export type VitBlockSpec = {
  norm1: AffineSpec;
  attn: { qkv: AffineSpec; proj: AffineSpec };
  norm2: AffineSpec;
  mlp: { fc1: AffineSpec; fc2: AffineSpec };
  /** Factors of the attention's result (Touvron et al. 2021, LayerScale), where there are some. */
  ls1?: { gamma: Spec };
  /** Factors of the MLP's. */
  ls2?: { gamma: Spec };
};

/** Parameters of a ViT. */
export type VitSpec = {
  cls_token: Spec;
  pos_embed: Spec;
  patch_embed: { proj: AffineSpec };
  blocks: VitBlockSpec[];
  norm: AffineSpec;
};

/** Number of patches of an image. */
export function patchCount({ resolution, patch }: Pick<VitConfig, "resolution" | "patch">): number {
  if (resolution % patch !== 0) {
    throw new RangeError(
      `Cannot cut an image in patches: the resolution must be a multiple of ${patch}: it is ${resolution}`,
    );
  }
  return (resolution / patch) ** 2;
}

const tokens = { normal: 0.02, truncated: true } as const;

/** Shapes and starting values; the patch projection starts as PyTorch's convolution does. */
export function vitSpec(config: VitConfig): VitSpec {
  const { width } = config;
  return {
    cls_token: tokenSpec(1, width),
    pos_embed: tokenSpec(patchCount(config) + 1, width),
    ...vitBody(config),
    norm: layerNormSpec(width),
  };
}

/** Tokens that are learned: [1, count, width]. */
export function tokenSpec(count: number, width: number): Spec {
  return new Spec([1, count, width], tokens);
}

/** What all vision transformers have: the patch projection and the blocks. */
export function vitBody(config: VitConfig): Pick<VitSpec, "patch_embed" | "blocks"> {
  const { width, patch, depth, intermediate = 4 * width, init = 0.02 } = config;
  const features = 3 * patch * patch, uniform = 1 / Math.sqrt(features);
  const weights = { normal: init, truncated: true };
  return {
    patch_embed: {
      proj: { weight: new Spec([width, 3, patch, patch], { uniform }), bias: new Spec([width], { uniform }) },
    },
    blocks: Array.from({ length: depth }, () => ({
      norm1: layerNormSpec(width),
      attn: { qkv: linearSpec(width, 3 * width, weights), proj: linearSpec(width, width, weights) },
      norm2: layerNormSpec(width),
      mlp: { fc1: linearSpec(width, intermediate, weights), fc2: linearSpec(intermediate, width, weights) },
    })),
  };
}

/** Is shown intermediate values while a model is traced, under names such as "block0". */
export type ActivationTap = (name: string, value: Tensor) => void;

/** How a ViT runs. */
export interface VitContext {
  /** Compute the blocks' intermediates again in the backward pass instead of keeping them. @default false */
  readonly remat?: boolean;
  /** Is shown "patches", then "block0", "block1", ... */
  readonly tap?: ActivationTap;
  /** Is shown the attention of a block. Not together with `remat`. */
  readonly attentionTap?: AttentionTap;
}

/**
 * Image tokens: [B, P, 3 * patch^2] (see `patchify`) -> [B, P + 1, width], the [CLS] token first. The final LayerNorm is
 * applied to all tokens. Positions are resized where there is another number of patches than the table has.
 */
export function vit(
  p: ParametersOf<VitSpec>,
  patches: Tensor,
  config: VitConfig,
  context: VitContext = {},
): Tensor {
  const { width, eps } = config, [batch] = patches.shape;
  const tokens = embedPatches(p, patches); // [B, P, D]
  context.tap?.("patches", tokens);
  const cls = broadcastTo(p.cls_token, [batch!, 1, width]);
  const x = add(concat([cls, tokens], 1), positionsFor(p.pos_embed, patches.shape[1]!)); // [B, P + 1, D]
  return layerNorm(p.norm, vitBlocks(p.blocks, x, config, context), eps);
}

/** All blocks: [B, T, D] -> [B, T, D]. */
export function vitBlocks(
  blocks: ParametersOf<VitBlockSpec[]>,
  x: Tensor,
  config: Pick<VitConfig, "heads" | "eps" | "gelu">,
  { remat, tap, attentionTap }: VitContext = {},
): Tensor {
  for (const [i, block] of blocks.entries()) {
    const shown = attentionTap?.layer === i ? attentionTap : undefined;
    const run = (b: typeof block, h: Tensor): Tensor => vitBlock(b, h, config, { tap: shown });
    x = (remat ? checkpoint(run) : run)(block, x);
    tap?.(`block${i}`, x);
  }
  return x;
}

/** The patch projection: [B, P, 3 * patch^2] -> [B, P, width]. */
export function embedPatches(p: Pick<ParametersOf<VitSpec>, "patch_embed">, patches: Tensor): Tensor {
  const { weight, bias } = p.patch_embed.proj;
  return perturb("image", linear({ weight: reshape(weight, [weight.shape[0]!, patches.shape[2]!]), bias }, patches));
}

/** What a block does beside its arithmetic. */
export interface VitBlockContext {
  /** Is shown the attention, whatever its layer. */
  readonly tap?: AttentionTap | undefined;
  /** f32 [B, T], added to the scores: large negative numbers at tokens that must not be seen. Default: all are seen. */
  readonly mask?: Tensor | undefined;
}

/** x + attention(LN(x)), then x + MLP(LN(x)), both by their factors if there are some: [B, T, D] -> [B, T, D]. */
export function vitBlock(
  p: ParametersOf<VitBlockSpec>,
  x: Tensor,
  { heads, eps, gelu: approximate = "none" }: Pick<VitConfig, "heads" | "eps" | "gelu">,
  { tap, mask }: VitBlockContext = {},
): Tensor {
  const h = layerNorm(p.norm1, x, eps);
  const weights = split(p.attn.qkv.weight, 3), biases = split(p.attn.qkv.bias, 3);
  const [q, k, v] = weights.map((weight, i) => linear({ weight, bias: biases[i]! }, h)) as [Tensor, Tensor, Tensor];
  const context = tap ? shownAttention(q, k, v, { heads, mask }, tap) : attention(q, k, v, { heads, mask });
  const scaled = (y: Tensor, factors: typeof p.ls1): Tensor => factors ? multiply(y, factors.gamma) : y;
  x = add(x, scaled(linear(p.attn.proj, context), p.ls1));
  const hidden = gelu(linear(p.mlp.fc1, layerNorm(p.norm2, x, eps)), { approximate });
  return add(x, scaled(linear(p.mlp.fc2, hidden), p.ls2));
}
