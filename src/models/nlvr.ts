/**
 * Reasoning over two images (NLVR2): each fusion layer is doubled, the first of a pair looks at one image and the second at the
 * other (Li et al. 2021, section 5).
 *
 * @module
 */
import { type AffineSpec, defaultLinearSpec } from "../nn/layers.ts";
import type { ParametersOf } from "../nn/spec.ts";
import { slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import type { ModelContext, PatchedPairs, Tokens } from "./albef.ts";
import { type BertEncoder, bertLayers, type BertSpec, bertSpec, bertText } from "./bert.ts";
import type { BertAttentionSpec, BertLayerSpec } from "./bert_layer.ts";
import { classHead, type ClassHeadSpec, classHeadSpec } from "./class_head.ts";
import type { AlbefConfig } from "./config.ts";
import { vit, type VitSpec, vitSpec } from "./vit.ts";

/** A layer whose cross-attention may have its query only: key and value are those of the layer before. */
export type PairedLayerSpec = Omit<BertLayerSpec, "crossattention"> & {
  crossattention?: {
    self: { query: AffineSpec; key?: AffineSpec; value?: AffineSpec };
    output: BertAttentionSpec["output"];
  };
};

/** A text encoder with doubled fusion layers. */
export type TwoImageBertSpec = {
  embeddings: BertSpec["bert"]["embeddings"];
  encoder: { layer: PairedLayerSpec[] };
};

/** Parameters under their official names; of names that the official code shares the first is kept. */
export type NlvrSpec = {
  visual_encoder: VitSpec;
  text_encoder: TwoImageBertSpec;
  cls_head: ClassHeadSpec;
};

/** Parameters as tensors. */
export type Nlvr = ParametersOf<NlvrSpec>;

/** Shapes and starting values. `config.text.layers` counts fusion layers once, as in pre-training. */
export function nlvrSpec({ vision, text }: AlbefConfig): NlvrSpec {
  return {
    visual_encoder: vitSpec(vision),
    text_encoder: twoImageBertSpec(text),
    cls_head: classHeadSpec(text.width, 2),
  };
}

function twoImageBertSpec(text: AlbefConfig["text"]): TwoImageBertSpec {
  const { fusionLayer, layers } = text;
  const { embeddings, encoder } = bertSpec({ ...text, layers: 2 * layers - fusionLayer }).bert;
  return {
    embeddings,
    encoder: { layer: encoder.layer.map((layer, i) => isSecond(i, fusionLayer) ? shared(layer) : layer) },
  };
}

function isSecond(layer: number, fusionLayer: number): boolean {
  return layer >= fusionLayer && (layer - fusionLayer) % 2 === 1;
}

function shared(layer: BertLayerSpec): PairedLayerSpec {
  const { self: { query }, output } = layer.crossattention!;
  return { ...layer, crossattention: { self: { query }, output } };
}

/** The layers with the shared keys and values filled in. */
function wholeLayers({ encoder: { layer } }: ParametersOf<TwoImageBertSpec>): BertEncoder["bert"]["encoder"] {
  return {
    layer: layer.map((own, i) => {
      if (!own.crossattention || own.crossattention.self.key) {
        return own as BertEncoder["bert"]["encoder"]["layer"][number];
      }
      const { key, value } = layer[i - 1]!.crossattention!.self as Required<ParametersOf<BertAttentionSpec>["self"]>;
      return { ...own, crossattention: { ...own.crossattention, self: { ...own.crossattention.self, key, value } } };
    }),
  };
}

/** Token states of texts with two images each, [B, P + 1, D]: [B, L, D]. */
export function encodeTwoImages(
  p: ParametersOf<TwoImageBertSpec>,
  { ids, mask }: Tokens,
  images: readonly [Tensor, Tensor],
  { config: { text }, key, remat }: ModelContext,
): Tensor {
  const bert = { bert: { embeddings: p.embeddings, encoder: wholeLayers(p) } }, context = { mask, key, remat };
  let x = bertText(bert, ids, context, text);
  for (let i = text.fusionLayer; i < p.encoder.layer.length; i++) {
    const image = images[(i - text.fusionLayer) % 2 as 0 | 1];
    x = bertLayers(bert, x, { ...context, image }, text, i, i + 1);
  }
  return x;
}

/**
 * Logits of (false, true), [B, 2], of sentences about two images each: `patches` is f32 [2B, P, 3 * patch^2], all left images, then
 * all right ones.
 */
export function nlvrLogits(p: Nlvr, { patches, ...tokens }: PatchedPairs, context: ModelContext): Tensor {
  const { config, remat = false } = context, count = tokens.ids.shape[0]!;
  const images = vit(p.visual_encoder, patches, config.vision, { remat });
  const pair = [slice(images, 0, 0, count), slice(images, 0, count, 2 * count)] as const;
  return classHead(p.cls_head, encodeTwoImages(p.text_encoder, tokens, pair, context));
}

/** Parameters of the pre-training by text assignment. */
export type TextAssignmentSpec = Omit<NlvrSpec, "cls_head"> & { vision_proj: AffineSpec; ta_head: AffineSpec };

/** Parameters as tensors. */
export type TextAssignment = ParametersOf<TextAssignmentSpec>;

/** Shapes and starting values. */
export function textAssignmentSpec(config: AlbefConfig): TextAssignmentSpec {
  const { visual_encoder, text_encoder } = nlvrSpec(config);
  return {
    visual_encoder,
    text_encoder,
    vision_proj: defaultLinearSpec(config.vision.width, config.embedding),
    ta_head: defaultLinearSpec(config.text.width, 3),
  };
}
