/**
 * A decoder language model that sees images: states of an image encoder, or bare patches, go through an MLP into the place of
 * placeholder tokens (Liu et al. 2023, LLaVA; names as in Prismatic VLMs, Karamcheti et al. 2024).
 *
 * @module
 */
import { type Affine, type AffineSpec, linear, linearSpec } from "../nn/layers.ts";
import type { ParametersOf } from "../nn/spec.ts";
import { gelu } from "../ops/activations.ts";
import { cast, equal, maximum, subtract, where } from "../ops/elementwise.ts";
import { gather } from "../ops/gather.ts";
import { patchify } from "../ops/patchify.ts";
import { cumsum } from "../ops/scan.ts";
import { reshape } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import {
  type Decoder,
  type DecoderContext,
  type DecoderSpec,
  decoderSpec,
  decoderStates,
  embedTokens,
} from "./decoder.ts";
import type { DecoderRows } from "../data/sequences/decoder_batch.ts";
import type { DecoderConfig } from "./decoder_config.ts";
import { tower, type TowerConfig, type TowerSpec, towerSpec } from "./image_tower.ts";
import { patchCount } from "./vit.ts";

/** How images come into the sequence. */
export interface ImagePrefixConfig {
  /** The id that stands once for each token of an image. It needs no row in the table of tokens. */
  readonly imageToken: number;
  /** The encoder; or how images are cut in patches that go to the projector bare. */
  readonly encoder: TowerConfig | { readonly resolution: number; readonly patch: number };
  /**
   * "mlp": linear, GELU, linear; "fused-mlp": linear to 4 times the encoder's width, GELU, linear, GELU, linear; "linear": one alone.
   * @default "mlp"
   */
  readonly projector?: "mlp" | "fused-mlp" | "linear";
}

/** Sizes of the model; without `image` it reads text only. */
export interface VisionLanguageConfig {
  /** The decoder. */
  readonly decoder: DecoderConfig;
  /** How it sees images. */
  readonly image?: ImagePrefixConfig;
}

/** Linear maps by their place in a chain in which there is a GELU between two of them: 0, 2, 4. */
export type ProjectorSpec = { projector: Record<string, AffineSpec> };

/** Parameters. */
export type VisionLanguageSpec = {
  vision_backbone?: { featurizer: TowerSpec };
  projector?: ProjectorSpec;
  llm_backbone: { llm: { model: DecoderSpec } };
};

/** Parameters as tensors. */
export type VisionLanguage = ParametersOf<VisionLanguageSpec>;

/** The parts that a stage of training may leave as they are, and what the names of their parameters begin with. */
export const languageModelParts = {
  encoder: "vision_backbone.",
  projector: "projector.",
  decoder: "llm_backbone.",
} as const;

/** Shapes and starting values. */
export function visionLanguageSpec({ decoder, image }: VisionLanguageConfig): VisionLanguageSpec {
  const llm_backbone = { llm: { model: decoderSpec(decoder) } };
  if (!image) return { llm_backbone };
  const { encoder } = image;
  return {
    ...(isTower(encoder) ? { vision_backbone: { featurizer: towerSpec(encoder) } } : {}),
    projector: projectorSpec(isTower(encoder) ? encoder.width : 3 * encoder.patch ** 2, decoder.width, image.projector),
    llm_backbone,
  };
}

function isTower(encoder: ImagePrefixConfig["encoder"]): encoder is TowerConfig {
  return "width" in encoder;
}

/**
 * A projector of states of width `from`; each map starts as the decoder's matrices do, truncated normals of deviation 1 / sqrt(inputs), so
 * that tokens of images are no quieter than words. At a deviation of 0.02 those of a narrow encoder are, tenfold, and are learned last.
 */
export function projectorSpec(
  from: number,
  width: number,
  kind: NonNullable<ImagePrefixConfig["projector"]> = "mlp",
): ProjectorSpec {
  const between = { linear: [], mlp: [width], "fused-mlp": [4 * from, width] }[kind];
  const widths = [from, ...between, width];
  const maps = widths.slice(1).map((to, i) => {
    const inputs = widths[i]!;
    return [String(2 * i), linearSpec(inputs, to, { normal: 1 / Math.sqrt(inputs), truncated: true })] as const;
  });
  return { projector: Object.fromEntries(maps) };
}

/** Tokens of the sequence that an image takes. */
export function imageTokenCount({ encoder }: Pick<ImagePrefixConfig, "encoder">): number {
  return patchCount(encoder);
}

/** States of an image encoder, [N, P, E], in the decoder's space: [N, P, width]. */
export function projectImages({ projector }: ParametersOf<ProjectorSpec>, states: Tensor): Tensor {
  const maps = Object.values(projector) as Affine[];
  return maps.reduce((x, map, i) => linear(map, i ? gelu(x) : x), states);
}

/** Images f32 [N, 3, S, S], normalised as their encoder wants it, in the decoder's space: [N, P, width]. */
export function embedImages(
  p: Pick<VisionLanguage, "vision_backbone" | "projector">,
  images: Tensor,
  { encoder }: ImagePrefixConfig,
  options: { readonly remat?: boolean } = {},
): Tensor {
  const patches = patchify(images, encoder.patch);
  return projectImages(
    p.projector!,
    isTower(encoder) ? tower(p.vision_backbone!.featurizer, patches, encoder, options) : patches,
  );
}

/**
 * Embeddings of tokens i32 [B, T] in which the n-th placeholder, row after row, is the n-th token of the images [N, P, width]:
 * [B, T, width]. Tokens of images beyond the placeholders are not looked at; there must not be fewer.
 */
export function spliceImages(p: Decoder, tokens: Tensor, images: Tensor, imageToken: number): Tensor {
  const [batch, length] = tokens.shape as [number, number], [count, patches, width] = images.shape;
  const isImage = equal(tokens, imageToken), flat = reshape(isImage, [batch * length]);
  const number = reshape(maximum(subtract(cumsum(cast(flat, "i32")), 1), 0), [batch, length]);
  const seen = gather(reshape(images, [count! * patches!, width!]), number);
  const words = embedTokens(p, where(isImage, 0, tokens));
  return where(reshape(isImage, [batch, length, 1]), seen, words);
}

/** How a model runs. */
export interface VisionLanguageContext extends Omit<DecoderContext, "config"> {
  /** Sizes of the model. */
  readonly config: VisionLanguageConfig;
}

/** Embeddings of rows with their images if there are some: [B, T, width]. */
export function embedRows(
  p: VisionLanguage,
  tokens: Tensor,
  images: Tensor | undefined,
  { config: { image }, remat = false }: VisionLanguageContext,
): Tensor {
  const { model } = p.llm_backbone.llm;
  if (!images) return embedTokens(model, tokens);
  if (!image) throw new TypeError("Cannot read images: the model must have an image prefix: its config has no `image`");
  return spliceImages(model, tokens, embedImages(p, images, image, { remat }), image.imageToken);
}

/** States of rows of text and images after the last norm, [B, T, width]. */
export function visionLanguageStates(
  p: VisionLanguage,
  { tokens, images, ...places }: DecoderRows & { readonly images?: Tensor },
  context: VisionLanguageContext,
): Tensor {
  const { config: { decoder }, remat = false } = context;
  return decoderStates(p.llm_backbone.llm.model, embedRows(p, tokens, images, context), places, {
    config: decoder,
    remat,
  });
}
