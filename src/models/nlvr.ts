/**
 * Reasoning over two images (NLVR2): each fusion layer is doubled, the first of a pair looks at one image and the second at the
 * other (Li et al. 2021, section 5); and its pre-training by assigning texts to images.
 *
 * @module
 */
import { type AffineSpec, defaultLinearSpec, linear } from "../nn/layers.ts";
import type { ParametersOf } from "../nn/spec.ts";
import { add, cast, equal, greaterEqual, iota, less, multiply, relu, subtract, where } from "../ops/elementwise.ts";
import { crossEntropy } from "../ops/cross_entropy.ts";
import { gather } from "../ops/gather.ts";
import { matmul } from "../ops/matmul.ts";
import { foldIn, gumbel, type Key, uniform } from "../ops/random.ts";
import { mean } from "../ops/reduce.ts";
import { reshape, slice, stopGradient } from "../ops/shape.ts";
import { topK } from "../ops/top_k.ts";
import type { Tensor } from "../program/graph.ts";
import { encodeImage, firstToken } from "./albef.ts";
import {
  type BertAttentionSpec,
  type BertContext,
  type BertEncoder,
  bertLayers,
  type BertLayerSpec,
  type BertSpec,
  bertSpec,
  bertText,
} from "./bert.ts";
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
  cls_head: { 0: AffineSpec; 2: AffineSpec };
};

/** Parameters as tensors. */
export type Nlvr = ParametersOf<NlvrSpec>;

/** Shapes and starting values. `config.text.layers` counts fusion layers once, as in pre-training. */
export function nlvrSpec({ vision, text }: AlbefConfig): NlvrSpec {
  return {
    visual_encoder: vitSpec(vision),
    text_encoder: twoImageBertSpec(text),
    cls_head: { 0: defaultLinearSpec(text.width, text.width), 2: defaultLinearSpec(text.width, 2) },
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

/** Token states of texts with two images each, [B, P + 1, D]: ids u32 [B, L] -> [B, L, D]. */
export function encodeTwoImages(
  p: ParametersOf<TwoImageBertSpec>,
  ids: Tensor,
  images: readonly [Tensor, Tensor],
  context: BertContext,
  { text }: AlbefConfig,
): Tensor {
  const bert = { bert: { embeddings: p.embeddings, encoder: wholeLayers(p) } };
  let x = bertText(bert, ids, context, text);
  for (let i = text.fusionLayer; i < p.encoder.layer.length; i++) {
    const image = images[(i - text.fusionLayer) % 2 as 0 | 1];
    x = bertLayers(bert, x, { ...context, image }, text, i, i + 1);
  }
  return x;
}

/** Sentences about pairs of images: B of them. */
export type NlvrBatch = {
  /** f32 [2B, P, 3 * patch^2]: all left images, then all right ones. */
  readonly patches: Tensor;
  /** u32 [B, L]. */
  readonly ids: Tensor;
  /** f32 [B, L]: 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
};

/** Logits of (false, true): [B, 2]. */
export function nlvrLogits(
  p: Nlvr,
  { patches, ids, mask }: NlvrBatch,
  config: AlbefConfig,
  context: Pick<BertContext, "key" | "remat"> = {},
): Tensor {
  const images = vit(p.visual_encoder, patches, config.vision, { remat: context.remat ?? false }),
    count = ids.shape[0]!;
  const pair = [slice(images, 0, 0, count), slice(images, 0, count, 2 * count)] as const;
  const states = encodeTwoImages(p.text_encoder, ids, pair, { ...context, mask }, config);
  return linear(p.cls_head[2], relu(linear(p.cls_head[0], firstToken(states))));
}

/** Mean cross-entropy; labels i32 [B]: 1 if the sentence is true. */
export function nlvrLoss(
  p: Nlvr,
  batch: NlvrBatch,
  labels: Tensor,
  config: AlbefConfig,
  context: Pick<BertContext, "key" | "remat"> = {},
): Tensor {
  return mean(crossEntropy(nlvrLogits(p, batch, config, context), labels)[0]);
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

/** Two images for each text and what is to be said of them, [B] each. */
export type Assignment = {
  /** u32: numbers of images in the batch. */
  readonly first: Tensor;
  readonly second: Tensor;
  /** i32: 0 the text's own image comes first, 1 it comes second, 2 it is neither. */
  readonly labels: Tensor;
};

/** Similarities between the images of a batch, [B, B], at the fixed temperature 0.07; without gradient. */
export function imageSimilarities(features: Tensor): Tensor {
  const own = stopGradient(features);
  return multiply(matmul(own, own, { transposeB: true }), 1 / 0.07);
}

/**
 * Draws the images of each text: with probability 2/3 its own and one other in either order, else two others. Others are drawn
 * by the softmax of their similarity to the text's own image.
 *
 * @param similarities f32 [B, B], B at least 3.
 */
export function drawAssignment(similarities: Tensor, key: Key): Assignment {
  const count = similarities.shape[0]!;
  if (count < 3) throw new RangeError(`Cannot assign texts: a batch must hold at least 3 images: it holds ${count}`);
  const self = equal(iota([count, 1], 0), iota([1, count], 1));
  const noisy = add(subtract(similarities, multiply(self, 1e30)), gumbel(foldIn(key, 0), [count, count]));
  const drawn = cast(topK(noisy, 2)[1], "f32"); // without replacement: the Gumbel trick for the two largest
  const [one, two] = [0, 1].map((i) => reshape(slice(drawn, 1, i, i + 1), [count])) as [Tensor, Tensor];
  const neither = less(uniform(foldIn(key, 1), [count]), 1 / 3);
  const ownFirst = greaterEqual(uniform(foldIn(key, 2), [count]), 0.5);
  const own = cast(iota([count], 0), "f32");
  return {
    first: cast(where(neither, one, where(ownFirst, own, one)), "u32"),
    second: cast(where(neither, two, where(ownFirst, one, own)), "u32"),
    labels: cast(where(neither, 2, subtract(1, ownFirst)), "i32"),
  };
}

/** Logits of {@linkcode Assignment.labels}, [B, 3], and the assignment. `batch.patches` holds B images. */
export function textAssignmentLogits(
  p: TextAssignment,
  { patches, ids, mask }: NlvrBatch,
  choose: (similarities: Tensor) => Assignment,
  config: AlbefConfig,
  context: Pick<BertContext, "key" | "remat"> = {},
): { logits: Tensor; similarities: Tensor; assignment: Assignment } {
  const { states, features } = encodeImage(p, patches, config, context.remat);
  const similarities = imageSimilarities(features), assignment = choose(similarities);
  const pair = [gather(states, assignment.first), gather(states, assignment.second)] as const;
  const fused = encodeTwoImages(p.text_encoder, ids, pair, { ...context, mask }, config);
  return { logits: linear(p.ta_head, firstToken(fused)), similarities, assignment };
}

/** Mean cross-entropy of assigning each text to one of two images or to none. */
export function textAssignmentLoss(
  p: TextAssignment,
  batch: NlvrBatch,
  key: Key,
  config: AlbefConfig,
  remat = false,
): Tensor {
  const choose = (similarities: Tensor): Assignment => drawAssignment(similarities, foldIn(key, 1));
  const context = { key: config.text.dropout > 0 ? foldIn(key, 2) : undefined, remat };
  const { logits, assignment } = textAssignmentLogits(p, batch, choose, config, context);
  return mean(crossEntropy(logits, assignment.labels)[0]);
}
