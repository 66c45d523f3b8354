/**
 * A layer of a BERT: self-attention, cross-attention and MLP, each with its residual and a LayerNorm behind it (Devlin et al. 2019).
 *
 * @module
 */
import { type Affine, type AffineSpec, layerNorm, layerNormSpec, linear, linearSpec } from "../nn/layers.ts";
import type { Init } from "../nn/init.ts";
import type { ParametersOf } from "../nn/spec.ts";
import { attention } from "../ops/attention.ts";
import { gelu } from "../ops/activations.ts";
import { add, multiply, subtract } from "../ops/elementwise.ts";
import { gather } from "../ops/gather.ts";
import { dropout, foldIn, type Key } from "../ops/random.ts";
import { reshape, slice } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { type AttentionTap, shownAttention } from "./attention_tap.ts";

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

/** Parameters of a layer as tensors. */
export type BertLayer = ParametersOf<BertLayerSpec>;
type BertAttention = ParametersOf<BertAttentionSpec>;

/** The tokens that attention sees, as values and as keys. */
export interface Seen {
  /** f32 [I, T, width of the tokens]. */
  readonly values: Tensor;
  /** The same. */
  readonly keys: Tensor;
  /** Whether they are the attention's values and keys already. */
  readonly projected?: boolean;
}

/** What a layer reads besides the hidden states. */
export interface LayerContext {
  /** f32 [B, L]: 1 at tokens, 0 at padding. */
  readonly mask: Tensor;
  /** What cross-attention sees; without it there is none. */
  readonly image: Seen | undefined;
  /** f32 [I, T]: 1 at what cross-attention may see. Default: all. */
  readonly imageMask?: Tensor | undefined;
  /** Dropout's randomness; without it there is none. */
  readonly key?: Key | undefined;
  /** Each token sees only itself and those before. */
  readonly causal?: boolean;
  /** Only the state of the first token is computed. */
  readonly first: boolean;
  /** Is shown the cross-attention. */
  readonly attentionTap: AttentionTap | undefined;
}

/** Self-attention, cross-attention where the layer has it, MLP: [B, L, D] -> [B, L, D]. */
export function bertLayer(p: BertLayer, x: Tensor, context: LayerContext, config: BertConfig): Tensor {
  const { mask, image, imageMask, key, causal = false, first, attentionTap } = context;
  const keyAt = (n: number): Key | undefined => key && foldIn(key, n);
  const own = keysAndValues(p.attention, { values: x, keys: x });
  x = attend(p.attention, first ? slice(x, 1, 0, 1) : x, own, { mask: hidden(mask), causal, key: keyAt(0) }, config);
  if (p.crossattention && image) {
    const seen = keysAndValues(p.crossattention, image), mask = imageMask && unseen(imageMask);
    x = attend(p.crossattention, x, seen, { mask, key: keyAt(1), attentionTap }, config);
  }
  return feedForward(p, x, keyAt(2), config);
}

/** What is added to the scores of padded keys in self-attention; `mask` is 1 at tokens. */
export function hidden(mask: Tensor): Tensor {
  return multiply(subtract(1, mask), PADDED);
}

/** What is added to the scores of states that cross-attention must not see; `mask` is 1 at the others. */
export function unseen(mask: Tensor): Tensor {
  return multiply(subtract(1, mask), UNSEEN);
}

/** Keys and values of an attention, [I, T, D] each. */
export type KeysAndValues = {
  /** What queries are compared with. */
  readonly keys: Tensor;
  /** What is read. */
  readonly values: Tensor;
};

/** The keys and values of each layer for texts that go on from these rows, u32 [N]. */
export function reorderCache(cache: readonly KeysAndValues[], rows: Tensor): KeysAndValues[] {
  return cache.map(({ keys, values }) => ({ keys: gather(keys, rows), values: gather(values, rows) }));
}

/** What an attention makes of the tokens that it sees. */
export function keysAndValues(p: BertAttention, { keys, values, projected }: Seen): KeysAndValues {
  return projected ? { keys, values } : { keys: linear(p.self.key, keys), values: linear(p.self.value, values) };
}

/** How {@linkcode attend} looks. */
export interface Attend {
  /** Added to the scores, [I, T], or as `attention` takes it. Default: nothing. */
  readonly mask?: Tensor | undefined;
  /** Row i sees keys 0..i only. */
  readonly causal?: boolean;
  /** Dropout's randomness; without it there is none. */
  readonly key?: Key | undefined;
  /** Is shown the attention. */
  readonly attentionTap?: AttentionTap | undefined;
}

/**
 * One attention with its output map, residual and LayerNorm: x [B, L, D] looks at keys and values [I, T, D]. I divides B: neighbours
 * share keys.
 */
export function attend(
  p: BertAttention,
  x: Tensor,
  { keys, values }: KeysAndValues,
  { mask, causal = false, key, attentionTap }: Attend,
  config: BertConfig,
): Tensor {
  const inner = key && foldIn(key, 0), q = shareKeys(linear(p.self.query, x), keys);
  const options = {
    heads: config.heads,
    causal,
    ...(mask ? { mask } : {}),
    ...(inner && config.dropout > 0
      ? { dropout: { probability: config.dropout, key: inner.words, stream: inner.stream } }
      : {}),
  };
  const context = attentionTap
    ? shownAttention(q, keys, values, options, attentionTap)
    : attention(q, keys, values, options);
  return addNorm(p.output, linear(p.output.dense, reshape(context, x.shape)), x, key && foldIn(key, 1), config);
}

/** Queries [B, L, D] of which B / I neighbours share keys, as rows of one: [I, B / I * L, D]. Nothing is copied. */
function shareKeys(queries: Tensor, keys: Tensor): Tensor {
  const [texts, length, width] = queries.shape as [number, number, number], images = keys.shape[0]!;
  if (texts % images === 0) return reshape(queries, [images, texts / images * length, width]);
  throw new RangeError(
    `Cannot attend: ${images} images must be shared by a multiple of ${images} texts: there are ${texts}`,
  );
}

/** The MLP of a layer with residual and LayerNorm. */
export function feedForward(
  p: Pick<BertLayer, "intermediate" | "output">,
  x: Tensor,
  key: Key | undefined,
  config: BertConfig,
): Tensor {
  const wide = gelu(linear(p.intermediate.dense, x));
  return addNorm(p.output, linear(p.output.dense, wide), x, key, config);
}

/** LN(dropout(y) + x). */
function addNorm(p: { LayerNorm: Affine }, y: Tensor, x: Tensor, key: Key | undefined, config: BertConfig): Tensor {
  return layerNorm(p.LayerNorm, add(dropout(y, config.dropout, key), x), config.eps);
}
