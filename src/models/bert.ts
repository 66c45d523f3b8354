/**
 * The text encoder and the multimodal encoder: one BERT with post-norm layers, of which the upper ones also attend to the image
 * (Devlin et al. 2019; Li et al. 2021, section 3.1).
 *
 * @module
 */
import { checkpoint } from "../autograd/grad.ts";
import { perturb } from "../nn/attack.ts";
import { type AffineSpec, layerNorm, layerNormSpec, linear, linearSpec } from "../nn/layers.ts";
import { type ParametersOf, Spec } from "../nn/spec.ts";
import { gelu } from "../ops/activations.ts";
import { add } from "../ops/elementwise.ts";
import { gather } from "../ops/gather.ts";
import { dropout, foldIn, type Key } from "../ops/random.ts";
import { slice } from "../ops/shape.ts";
import { Tensor } from "../program/graph.ts";
import type { AttentionTap } from "./attention_tap.ts";
import {
  type BertConfig,
  type BertLayer,
  bertLayer,
  type BertLayerSpec,
  bertLayerSpec,
  type KeysAndValues,
  keysAndValues,
} from "./bert_layer.ts";
import type { ActivationTap } from "./vit.ts";

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
/** The embeddings of a BERT alone. */
export type Embedder = { readonly bert: Pick<BertEncoder["bert"], "embeddings"> };

/** What a run of layers reads besides the hidden states. */
export interface BertContext {
  /** f32 [B, L]: 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
  /**
   * Image tokens [I, P, encoderWidth] for cross-attention, or what {@linkcode crossKeys} makes of them; all of them are attended to.
   * Without them it is left out. I divides B: each image is for B / I texts in a row.
   */
  readonly image?: Tensor | CrossKeys | undefined;
  /** f32 [I, P]: 1 at states that cross-attention may see. Default: all. */
  readonly imageMask?: Tensor;
  /** Dropout's randomness; without it there is no dropout. */
  readonly key?: Key | undefined;
  /** Each token sees only itself and those before (a decoder). */
  readonly causal?: boolean;
  /** Of the last layer only the state of the first token is computed, [B, 1, D]; not with `causal`. */
  readonly first?: boolean;
  /** Compute intermediates again in the backward pass instead of keeping them. */
  readonly remat?: boolean | undefined;
  /** Is shown the input of each layer, as "hidden0", "hidden1", ... from the first layer that runs. */
  readonly tap?: ActivationTap;
  /** Is shown the cross-attention of a layer, which counts from the lowest unimodal one. Not together with `remat`. */
  readonly attentionTap?: AttentionTap;
}

/** Keys and values of cross-attention for every fusion layer, [I, P, D] of I images. */
export type CrossKeys = readonly KeysAndValues[];

/** What the fusion layers make of image tokens [I, P, encoderWidth]: made once, it serves all texts that meet the images. */
export function crossKeys(p: BertEncoder, image: Tensor, { fusionLayer }: BertConfig): CrossKeys {
  const seen = { values: image, keys: image };
  return p.bert.encoder.layer.slice(fusionLayer).map((layer) => keysAndValues(layer.crossattention!, seen));
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
  p: Embedder,
  ids: Tensor,
  { key }: Pick<BertContext, "key">,
  config: Pick<BertConfig, "eps" | "padId" | "dropout" | "maxPositions">,
): Tensor {
  const length = ids.shape[1]!, { maxPositions } = config;
  if (length > maxPositions) {
    throw new RangeError(
      `Cannot embed ${length} tokens: the position table holds at most ${maxPositions}; truncate the text`,
    );
  }
  return embedAt(p, ids, slice(p.bert.embeddings.position_embeddings.weight, 0, 0, length), key, config);
}

/** The same at other places: rows of the position table [L, D], one for each token. */
export function embedAt(
  p: Embedder,
  ids: Tensor,
  positions: Tensor,
  key: Key | undefined,
  { eps, padId, dropout: rate }: Pick<BertConfig, "eps" | "padId" | "dropout">,
): Tensor {
  const { word_embeddings, token_type_embeddings, LayerNorm } = p.bert.embeddings;
  const words = perturb("text", gather(word_embeddings.weight, ids, { paddingIndex: padId }));
  const places = add(positions, slice(token_type_embeddings.weight, 0, 0, 1));
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
    const { image, tap } = context, attentionTap = tapOf(context, i);
    tap?.(`hidden${i - from}`, x);
    const seen = image instanceof Tensor ? { values: image, keys: image } : image?.[i - config.fusionLayer];
    const projected = !(image instanceof Tensor), first = context.first === true && i === to - 1;
    const run = (layer: BertLayer, h: Tensor, ...[values, keys]: Tensor[]): Tensor =>
      bertLayer(
        layer,
        h,
        { ...context, key, first, attentionTap, image: values && { values, keys: keys!, projected } },
        config,
      );
    // An image twice: a layer that is computed again then adds to its gradient in the order of one that is kept, to the same bits.
    const tokens = seen ? [seen.values, seen.keys] : [];
    x = (context.remat ? checkpoint(run) : run)(p.bert.encoder.layer[i]!, x, ...tokens);
  }
  return x;
}

/** Who is shown the cross-attention of this layer. */
function tapOf({ attentionTap }: BertContext, layer: number): AttentionTap | undefined {
  return attentionTap?.layer === layer ? attentionTap : undefined;
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
