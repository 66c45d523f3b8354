/**
 * The ALBEF model: a vision encoder, a text encoder whose upper layers also attend to the image, and a matching head
 * (Li et al. 2021, figure 1). ALBEF_Base of the GRIT-VLP paper is this.
 *
 * @module
 */
import { MEAN, STD } from "../data/transform.ts";
import { type AffineSpec, defaultLinearSpec, linear } from "../nn/layers.ts";
import { type ParametersOf, Spec } from "../nn/spec.ts";
import { divide, maximum, sqrt, square } from "../ops/elementwise.ts";
import { patchifyBytes } from "../ops/patchify.ts";
import { foldIn, type Key } from "../ops/random.ts";
import { sum } from "../ops/reduce.ts";
import { reshape, slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import {
  type BertEncoder,
  bertFusion,
  bertMultimodal,
  type BertSpec,
  bertSpec,
  bertText,
  type CrossKeys,
  crossKeys,
  mlmTransform,
} from "./bert.ts";
import type { AlbefConfig } from "./config.ts";
import { vit, type VitSpec, vitSpec } from "./vit.ts";

/** Parameters of ALBEF under their official names. */
export type AlbefSpec = {
  visual_encoder: VitSpec;
  text_encoder: BertSpec;
  vision_proj: AffineSpec;
  text_proj: AffineSpec;
  /** The learned temperature; kept in [0.001, 0.5] by the optimizer. */
  temp: Spec;
  itm_head: AffineSpec;
};

/** Parameters as tensors. */
export type Albef = ParametersOf<AlbefSpec>;

/** ALBEF without the MLM head: what retrieval needs. */
export type Matcher = Omit<Albef, "text_encoder"> & { text_encoder: BertEncoder };

/** Bounds of the temperature in the official code. */
export const TEMPERATURE_BOUNDS: readonly [number, number] = [0.001, 0.5];

/** The temperature at the start, in ALBEF as in CLIP. */
export const TEMPERATURE = 0.07;

/** The shortest length that a feature is divided by: `eps` of PyTorch's `F.normalize`. */
const SHORTEST = 1e-12;

/** Shapes and starting values. */
export function albefSpec({ vision, text, embedding }: AlbefConfig): AlbefSpec {
  return {
    visual_encoder: vitSpec(vision),
    text_encoder: bertSpec(text),
    vision_proj: defaultLinearSpec(vision.width, embedding),
    text_proj: defaultLinearSpec(text.width, embedding),
    temp: new Spec([], { constant: TEMPERATURE }),
    itm_head: defaultLinearSpec(text.width, 2),
  };
}

/** How a model runs. */
export interface ModelContext {
  /** Sizes of the model. */
  readonly config: AlbefConfig;
  /** Dropout's randomness; without it there is no dropout. */
  readonly key?: Key | undefined;
  /** Compute the layers' intermediates again in the backward pass instead of keeping them. @default false */
  readonly remat?: boolean;
}

/** A context with randomness of its own: each part of a model that draws takes another number. */
export function branch(context: ModelContext, number: number): ModelContext {
  return { ...context, key: context.key && foldIn(context.key, number) };
}

/** Token ids of texts and which of them are tokens. */
export type Tokens = {
  /** u32 [B, L]. */
  readonly ids: Tensor;
  /** f32 [B, L]: 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
};

/** Images and texts of B pairs. */
export type PatchedPairs = Tokens & {
  /** f32 [B, P, 3 * patch^2], see {@linkcode imagePatches}. */
  readonly patches: Tensor;
};

/** What an encoder makes of images or texts. */
export interface Encoded {
  /** Token states [B, T, D], [CLS] first. */
  readonly states: Tensor;
  /** Features [B, embedding] of length 1. */
  readonly features: Tensor;
}

/** Features of both sides of B pairs, [B, embedding] of length 1. */
export type PairFeatures = {
  readonly image: Tensor;
  readonly text: Tensor;
};

/** Both sides of B pairs. */
export interface EncodedPairs {
  /** The images. */
  readonly image: Encoded;
  /** The texts. */
  readonly text: Encoded;
  /** f32 [B, L]: the texts' tokens. */
  readonly mask: Tensor;
  /** The features of both. */
  readonly features: PairFeatures;
}

/** Patches [B, P, 3 * patch^2] of packed RGB bytes u32 [B, H * W * 3 / 4], normalised as the official code does. */
export function imagePatches(images: Tensor, { resolution, patch }: AlbefConfig["vision"]): Tensor {
  return patchifyBytes(images, { height: resolution, width: resolution, patch, mean: MEAN, std: STD });
}

/** Image tokens [B, P + 1, D] and features. */
export function encodeImage(
  p: Pick<Matcher, "visual_encoder" | "vision_proj">,
  patches: Tensor,
  { config, remat = false }: ModelContext,
): Encoded {
  const states = vit(p.visual_encoder, patches, config.vision, { remat });
  return { states, features: normalize(linear(p.vision_proj, firstToken(states))) };
}

/** Token states of the unimodal text encoder [B, L, D] and features. */
export function encodeText(
  p: Pick<Matcher, "text_encoder" | "text_proj">,
  { ids, mask }: Tokens,
  { config, key, remat }: ModelContext,
): Encoded {
  const states = bertText(p.text_encoder, ids, { mask, key, remat }, config.text);
  return { states, features: normalize(linear(p.text_proj, firstToken(states))) };
}

/** Both sides of a mini-batch, each by itself. Dropout of the texts is branch 0. */
export function encodePairs(
  p: Pick<Matcher, "visual_encoder" | "vision_proj" | "text_encoder" | "text_proj">,
  { patches, ...tokens }: PatchedPairs,
  context: ModelContext,
): EncodedPairs {
  const image = encodeImage(p, patches, context), text = encodeText(p, tokens, branch(context, 0));
  return { image, text, mask: tokens.mask, features: { image: image.features, text: text.features } };
}

/**
 * Logits of (no match, match) for texts and images that have met: text states, their mask and image tokens, or the keys and values
 * that {@linkcode crossKeys} makes of these -> [B, 2]. Of I images each meets B / I texts in a row.
 */
export function matchLogits(
  p: Pick<Matcher, "text_encoder" | "itm_head">,
  textStates: Tensor,
  { mask, image }: { readonly mask: Tensor; readonly image: Tensor | CrossKeys },
  { config, key, remat }: ModelContext,
): Tensor {
  const states = bertFusion(p.text_encoder, textStates, { mask, image, key, remat, first: true }, config.text);
  return linear(p.itm_head, firstToken(states));
}

/**
 * States of a text with its image, through all layers, before the vocabulary product: [B, L, D]. Without an image the fusion layers
 * leave out their cross-attention.
 */
export function vocabularyStates(
  p: Pick<Albef, "text_encoder">,
  { ids, mask }: Tokens,
  image: Tensor | undefined,
  { config, key, remat }: ModelContext,
): Tensor {
  const states = bertMultimodal(p.text_encoder, ids, { mask, key, remat, ...(image ? { image } : {}) }, config.text);
  return mlmTransform(p.text_encoder, states, config.text);
}

/** A model of images and texts whose features can be compared, and perhaps a head that looks at a pair. */
export interface PairModel<P> {
  /** Encodes images u32 [B, H * W * 3 / 4], packed RGB bytes. */
  image(p: P, images: Tensor): Encoded;
  /** Encodes texts. */
  text(p: P, tokens: Tokens): Encoded;
  /** Logits of (no match, match) of texts and images: states of B texts, their mask, and states of the B images -> [B, 2]. */
  match?(p: P, text: Tensor, mask: Tensor, image: Tensor | CrossKeys): Tensor;
  /**
   * What `match` reads of images, made once for all texts that meet them; then `match` takes it in the place of their states, and
   * with I images B / I texts in a row for each.
   */
  keys?(p: P, image: Tensor): CrossKeys;
  /** Temperature of the contrastive softmax, a scalar, where the matching head's negatives are drawn by it. */
  temperature?(p: P): Tensor;
}

/** ALBEF as a model of pairs, without dropout. */
export function albefPairs(config: AlbefConfig): Required<PairModel<Matcher>> {
  return {
    image: (p, images) => encodeImage(p, imagePatches(images, config.vision), { config }),
    text: (p, tokens) => encodeText(p, tokens, { config }),
    match: (p, text, mask, image) => matchLogits(p, text, { mask, image }, { config }),
    keys: (p, image) => crossKeys(p.text_encoder, image, config.text),
    temperature: (p) => p.temp,
  };
}

/** The [CLS] states: [B, T, D] -> [B, D]. */
export function firstToken(states: Tensor): Tensor {
  const [batch, , width] = states.shape;
  return reshape(slice(states, 1, 0, 1), [batch!, width!]);
}

/** Rows scaled to length 1. */
export function normalize(x: Tensor): Tensor {
  return divide(x, maximum(sqrt(sum(square(x), { axes: [-1], keepDims: true })), SHORTEST));
}
