/**
 * The text encoder and the multimodal encoder: one BERT with post-norm layers, of which the upper ones also attend to the image
 * (Devlin et al. 2019; Li et al. 2021, section 3.1).
 *
 * @module
 */
import { checkpoint } from "../autograd/grad.ts";
import { type Affine, type AffineSpec, layerNorm, layerNormSpec, linear, linearSpec } from "../nn/layers.ts";
import { type Init, type ParametersOf, Spec } from "../nn/spec.ts";
import { attention } from "../ops/attention.ts";
import { gelu } from "../ops/activations.ts";
import { add, multiply, subtract } from "../ops/elementwise.ts";
import { gather } from "../ops/gather.ts";
import { dropout, foldIn, type Key } from "../ops/random.ts";
import { slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { type AttentionTap, shownAttention } from "./attention_tap.ts";
import type { ActivationTap } from "./vit.ts";

/** Sizes of a BERT. */
export interface BertConfig {
  /** Number of token ids. */
  readonly vocabulary: number;
  /** Width of the hidden states; a multiple of `heads`. */
  readonly width: number;
  /** Number of layers in all. */
  readonly layers: number;
  /** The first layer with cross-attention; the layers below are the unimodal text encoder. */
  readonly fusionLayer: number;
  /** Attention heads of each layer. */
  readonly heads: number;
  /** Width of the hidden layer of the MLPs. */
  readonly intermediate: number;
  /** Rows of the position table: the longest text. */
  readonly maxPositions: number;
  /** Width of the image tokens, read by the keys and values of cross-attention. */
  readonly encoderWidth: number;
  /** Of hidden states and of attention probabilities. @default 0.1 */
  readonly dropout: number;
  /** LayerNorm epsilon. @default 1e-12 */
  readonly eps: number;
  /** Id of padding, whose embedding gets no gradient from look-ups. */
  readonly padId: number;
  /** Standard deviation of the linear maps' starting weights. The 0.02 of width 768 is small for narrow models. @default 0.02 */
  readonly init?: number;
}

/** Parameters of an attention with its output map. */
export type BertAttentionSpec = {
  self: { query: AffineSpec; key: AffineSpec; value: AffineSpec };
  output: { dense: AffineSpec; LayerNorm: AffineSpec };
};

/** Parameters of a layer; `crossattention` only from the fusion layer on. */
export type BertLayerSpec = {
  attention: BertAttentionSpec;
  crossattention?: BertAttentionSpec;
  intermediate: { dense: AffineSpec };
  output: { dense: AffineSpec; LayerNorm: AffineSpec };
};

/** Parameters of a BERT with its MLM head; the head's matrix is the word embedding. */
export type BertSpec = {
  bert: {
    embeddings: {
      word_embeddings: { weight: Spec };
      position_embeddings: { weight: Spec };
      token_type_embeddings: { weight: Spec };
      LayerNorm: AffineSpec;
    };
    encoder: { layer: BertLayerSpec[] };
  };
  cls: { predictions: { bias: Spec; transform: { dense: AffineSpec; LayerNorm: AffineSpec } } };
};

const embedding = { normal: 0.02 } as const;

/** Added to the scores of padded keys in self-attention: -10000 as in the official code (BERT's), which a softmax takes to 0. */
const PADDED = -10000;
/** Added to the scores of image tokens that cross-attention must not see: as in the official code, -1e9. */
const UNSEEN = -1e9;

function attentionSpec(width: number, keys: number, weights: Init): BertAttentionSpec {
  return {
    self: {
      query: linearSpec(width, width, weights),
      key: linearSpec(keys, width, weights),
      value: linearSpec(keys, width, weights),
    },
    output: { dense: linearSpec(width, width, weights), LayerNorm: layerNormSpec(width) },
  };
}

/** Shapes and starting values of one layer. */
export function bertLayerSpec(
  { width, intermediate, encoderWidth, init = 0.02 }: BertConfig,
  cross: boolean,
): BertLayerSpec {
  const weights = { normal: init };
  return {
    attention: attentionSpec(width, width, weights),
    ...(cross ? { crossattention: attentionSpec(width, encoderWidth, weights) } : {}),
    intermediate: { dense: linearSpec(width, intermediate, weights) },
    output: { dense: linearSpec(intermediate, width, weights), LayerNorm: layerNormSpec(width) },
  };
}

/** Shapes and starting values. */
export function bertSpec(config: BertConfig): BertSpec {
  const { vocabulary, width, layers, fusionLayer, maxPositions, init = 0.02 } = config;
  return {
    bert: {
      embeddings: {
        word_embeddings: { weight: new Spec([vocabulary, width], embedding) },
        position_embeddings: { weight: new Spec([maxPositions, width], embedding) },
        token_type_embeddings: { weight: new Spec([2, width], embedding) },
        LayerNorm: layerNormSpec(width),
      },
      encoder: { layer: Array.from({ length: layers }, (_, i) => bertLayerSpec(config, i >= fusionLayer)) },
    },
    cls: {
      predictions: {
        bias: new Spec([vocabulary], { constant: 0 }),
        transform: { dense: linearSpec(width, width, { normal: init }), LayerNorm: layerNormSpec(width) },
      },
    },
  };
}

/** A BERT with its MLM head. */
export type Bert = ParametersOf<BertSpec>;
/** A BERT without its MLM head. */
export type BertEncoder = Pick<Bert, "bert">;
type Layer = ParametersOf<BertLayerSpec>;

/** What a run of layers reads besides the hidden states. */
export interface BertContext {
  /** f32 [B, L]: 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
  /** Image tokens [B, P, encoderWidth] for cross-attention; all of them are attended to. Without them it is left out. */
  readonly image?: Tensor | undefined;
  /** f32 [B, P]: 1 at states that cross-attention may see. Default: all. */
  readonly imageMask?: Tensor;
  /** Dropout's randomness; without it there is no dropout. */
  readonly key?: Key | undefined;
  /** Each token sees only itself and those before (a decoder). */
  readonly causal?: boolean;
  /** Compute intermediates again in the backward pass instead of keeping them. */
  readonly remat?: boolean | undefined;
  /** Is shown the input of each layer, as "hidden0", "hidden1", ... from the first layer that runs. */
  readonly tap?: ActivationTap;
  /** Is shown the cross-attention of a layer, which counts from the lowest unimodal one. Not together with `remat`. */
  readonly attentionTap?: AttentionTap | undefined;
}

/** Only the unimodal layers on token ids: [B, L] -> [B, L, D]. */
export function bertText(p: BertEncoder, ids: Tensor, context: BertContext, config: BertConfig): Tensor {
  return bertLayers(p, bertEmbed(p, ids, context, config), context, config, 0, config.fusionLayer);
}

/** Only the multimodal layers, on states of the unimodal ones: [B, L, D] -> [B, L, D]. */
export function bertFusion(p: BertEncoder, states: Tensor, context: BertContext, config: BertConfig): Tensor {
  return bertLayers(p, states, context, config, config.fusionLayer, config.layers);
}

/** All layers on token ids: [B, L] -> [B, L, D]. */
export function bertMultimodal(p: BertEncoder, ids: Tensor, context: BertContext, config: BertConfig): Tensor {
  return bertLayers(p, bertEmbed(p, ids, context, config), context, config, 0, config.layers);
}

/** Word + position + segment 0, LayerNorm, dropout: u32 [B, L] -> [B, L, D]. */
export function bertEmbed(
  p: { readonly bert: Pick<BertEncoder["bert"], "embeddings"> },
  ids: Tensor,
  { key }: Pick<BertContext, "key">,
  { eps, padId, dropout: rate, maxPositions }: Pick<BertConfig, "eps" | "padId" | "dropout" | "maxPositions">,
): Tensor {
  const { word_embeddings, position_embeddings, token_type_embeddings, LayerNorm } = p.bert.embeddings;
  const length = ids.shape[1]!;
  if (length > maxPositions) {
    throw new RangeError(
      `Cannot embed ${length} tokens: the position table holds at most ${maxPositions}; truncate the text`,
    );
  }
  const words = gather(word_embeddings.weight, ids, { paddingIndex: padId });
  const places = add(slice(position_embeddings.weight, 0, 0, length), slice(token_type_embeddings.weight, 0, 0, 1));
  return dropout(layerNorm(LayerNorm, add(words, places), eps), rate, key && foldIn(key, 0));
}

/** Layers [from, to). */
export function bertLayers(
  p: BertEncoder,
  x: Tensor,
  context: BertContext,
  config: BertConfig,
  from: number,
  to: number,
): Tensor {
  for (let i = from; i < to; i++) {
    const key = context.key && foldIn(context.key, i + 1);
    const { image, tap } = context;
    const attentionTap = context.attentionTap?.layer === i ? context.attentionTap : undefined;
    tap?.(`hidden${i - from}`, x);
    const run = (layer: Layer, h: Tensor, ...[values, keys]: Tensor[]): Tensor =>
      bertLayer(layer, h, { ...context, key, attentionTap, image: values && { values, keys: keys! } }, config);
    // The image twice: a layer that is computed again then adds to its gradient in the order of one that is kept, to the same bits.
    const tokens = image ? [image, image] : [];
    x = (context.remat ? checkpoint(run) : run)(p.bert.encoder.layer[i]!, x, ...tokens);
  }
  return x;
}

/** The tokens that attention sees, as values and as keys. */
interface Seen {
  readonly values: Tensor;
  readonly keys: Tensor;
}

/** What one layer reads besides the hidden states. */
type LayerContext = Omit<BertContext, "image"> & { readonly image: Seen | undefined };

/** Self-attention, cross-attention where the layer has it, MLP; each with residual and LayerNorm after it. */
function bertLayer(p: Layer, x: Tensor, context: LayerContext, config: BertConfig): Tensor {
  const { mask, image, imageMask, key, causal, attentionTap } = context;
  const keyAt = (n: number): Key | undefined => key && foldIn(key, n);
  const hidden = (mask: Tensor): Tensor => multiply(subtract(1, mask), PADDED);
  x = attend(
    p.attention,
    x,
    { values: x, keys: x },
    { mask: hidden(mask), causal: causal ?? false, key: keyAt(0) },
    config,
  );
  if (p.crossattention && image) {
    const unseen = imageMask && multiply(subtract(1, imageMask), UNSEEN);
    x = attend(p.crossattention, x, image, { mask: unseen, causal: false, key: keyAt(1), attentionTap }, config);
  }
  const wide = gelu(linear(p.intermediate.dense, x));
  return addNorm(p.output, linear(p.output.dense, wide), x, keyAt(2), config);
}

interface Attend {
  readonly mask: Tensor | undefined;
  readonly causal: boolean;
  readonly key: Key | undefined;
  readonly attentionTap?: AttentionTap | undefined;
}

function attend(
  p: ParametersOf<BertAttentionSpec>,
  x: Tensor,
  seen: Seen,
  { mask, causal, key, attentionTap }: Attend,
  config: BertConfig,
): Tensor {
  const { query, value, key: keys } = p.self;
  const inner = key && foldIn(key, 0);
  const q = linear(query, x), k = linear(keys, seen.keys), v = linear(value, seen.values);
  const options = {
    heads: config.heads,
    causal,
    ...(mask ? { mask } : {}),
    ...(inner && config.dropout > 0
      ? { dropout: { probability: config.dropout, key: inner.words, stream: inner.stream } }
      : {}),
  };
  const context = attentionTap ? shownAttention(q, k, v, options, attentionTap) : attention(q, k, v, options);
  return addNorm(p.output, linear(p.output.dense, context), x, key && foldIn(key, 1), config);
}

/** LN(dropout(y) + x). */
function addNorm(p: { LayerNorm: Affine }, y: Tensor, x: Tensor, key: Key | undefined, config: BertConfig): Tensor {
  return layerNorm(p.LayerNorm, add(dropout(y, config.dropout, key), x), config.eps);
}

/** States before the vocabulary product of the MLM head: dense, GELU, LayerNorm; [..., D] -> [..., D]. */
export function mlmTransform(
  p: { readonly cls: { readonly predictions: Pick<Bert["cls"]["predictions"], "transform"> } },
  states: Tensor,
  { eps }: Pick<BertConfig, "eps">,
): Tensor {
  const { dense, LayerNorm } = p.cls.predictions.transform;
  return layerNorm(LayerNorm, gelu(linear(dense, states)), eps);
}
