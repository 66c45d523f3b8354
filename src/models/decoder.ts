/**
 * A decoder language model: pre-norm layers of causal attention with rotary positions (Su et al. 2021) and SwiGLU (Shazeer 2020). Names
 * of the parameters are OpenLM's.
 *
 * @module
 */
import { checkpoint } from "../autograd/grad.ts";
import { type ParametersOf, Spec } from "../nn/spec.ts";
import { silu } from "../ops/activations.ts";
import { attention } from "../ops/attention.ts";
import { lessEqual } from "../ops/comparisons.ts";
import { add, equal, less, maximum, multiply } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { gather } from "../ops/gather.ts";
import { layerNorm } from "../ops/layer_norm.ts";
import { matmul } from "../ops/matmul.ts";
import { rmsNorm } from "../ops/norms.ts";
import { rotate, type Rotations, rotations } from "../ops/rotary_embedding.ts";
import { reshape, split } from "../ops/shape.ts";
import type { Tensor } from "../program/graph.ts";
import { unseen } from "./bert_layer.ts";
import type { DecoderRows } from "../data/sequences/decoder_batch.ts";
import { type DecoderConfig, swigluWidth } from "./decoder_config.ts";

/** A matrix without bias, [out, in]. */
export type WeightSpec = { weight: Spec };
/** A norm; there is a bias in LayerNorms that have one. */
export type NormSpec = { weight: Spec; bias?: Spec };

/** Parameters of one layer. */
export type DecoderLayerSpec = {
  attention_norm: NormSpec;
  attention: {
    /** Rows of the queries, then the keys, then the values. */
    in_proj: WeightSpec;
    out_proj: WeightSpec;
    q_norm?: NormSpec;
    k_norm?: NormSpec;
  };
  ffn_norm: NormSpec;
  feed_forward: {
    /** Rows of the gates, then of what is gated. */
    w12: WeightSpec;
    w3: WeightSpec;
  };
};

/** Parameters of a decoder under OpenLM's names. */
export type DecoderSpec = {
  tok_embeddings: WeightSpec;
  layers: DecoderLayerSpec[];
  norm: NormSpec;
  /** The head, where it is not tied to the tokens. */
  output?: WeightSpec;
};

/** Parameters as tensors. */
export type Decoder = ParametersOf<DecoderSpec>;
/** Parameters of a layer as tensors. */
export type DecoderLayer = ParametersOf<DecoderLayerSpec>;

/**
 * Shapes and starting values: truncated normals of deviation 1 / sqrt(inputs), those that end a branch of layer l (from 0 on) divided
 * by sqrt(2 (l + 1)) (Zhang et al. 2019), as in OpenLM (which cuts at 3 deviations where we cut at 2).
 */
export function decoderSpec(config: DecoderConfig): DecoderSpec {
  const { vocabulary, width, layers, hidden = swigluWidth(width), norm = "layer", qkNorm, tied } = config;
  const bias = norm === "layer" && (config.normBias ?? true);
  const normed = (): NormSpec => ({
    weight: new Spec([width], { constant: 1 }),
    ...(bias ? { bias: new Spec([width], { constant: 0 }) } : {}),
  });
  const matrix = (outputs: number, inputs: number, share = 1): WeightSpec => ({
    weight: new Spec([outputs, inputs], { normal: share / Math.sqrt(inputs), truncated: true }),
  });
  return {
    tok_embeddings: matrix(vocabulary, width),
    layers: Array.from({ length: layers }, (_, layer): DecoderLayerSpec => {
      const share = 1 / Math.sqrt(2 * (layer + 1));
      return {
        attention_norm: normed(),
        attention: {
          in_proj: matrix(3 * width, width),
          out_proj: matrix(width, width, share),
          ...(qkNorm ? { q_norm: normed(), k_norm: normed() } : {}),
        },
        ffn_norm: normed(),
        feed_forward: { w12: matrix(2 * hidden, width), w3: matrix(width, hidden, share) },
      };
    }),
    norm: normed(),
    ...(tied ? {} : { output: matrix(vocabulary, width) }),
  };
}

/** How a decoder runs. */
export interface DecoderContext {
  /** Sizes of the model. */
  readonly config: DecoderConfig;
  /** Compute the layers' intermediates again in the backward pass instead of keeping them. @default false */
  readonly remat?: boolean;
}

/** Embeddings of tokens, i32 or u32 [...] -> [..., width]. */
export function embedTokens(p: Decoder, tokens: Tensor): Tensor {
  return gather(p.tok_embeddings.weight, tokens);
}

/**
 * States of rows of documents after the last norm, [B, T, width]. A token sees those of its own document up to itself; padding, whose
 * states nobody needs, sees all documents before it.
 *
 * @param x [B, T, width]: embeddings of tokens, or what stands in their places.
 */
export function decoderStates(
  p: Decoder,
  x: Tensor,
  { documents, positions }: Pick<DecoderRows, "documents" | "positions">,
  { config, remat }: DecoderContext,
): Tensor {
  const mask = documentMask(documents), turns = decoderRotations(positions, config);
  const run = (layer: DecoderLayer, h: Tensor, mask: Tensor, cos: Tensor, sin: Tensor): Tensor =>
    decoderLayer(
      layer,
      h,
      { cos, sin },
      config,
      ({ q, k, v }) => attention(q, k, v, { heads: config.heads, causal: true, mask }),
    );
  for (const layer of p.layers) x = (remat ? checkpoint(run) : run)(layer, x, mask, turns.cos, turns.sin);
  return decoderNorm(p.norm, x, config);
}

/** What is added to the scores of rows i32 [B, T] of documents, [B, T, T]: 0 where a row's token may see a key's, else a huge negative number. */
export function documentMask(documents: Tensor): Tensor {
  const [batch, length] = documents.shape as [number, number];
  const rows = reshape(documents, [batch, length, 1]), keys = reshape(documents, [batch, 1, length]);
  const seen = multiply(maximum(equal(rows, keys), less(rows, 0)), lessEqual(0, keys));
  return unseen(seen);
}

/** The rotations of all heads of tokens at these positions, i32 [B, T]. */
export function decoderRotations(positions: Tensor, config: DecoderConfig): Rotations {
  const { width, heads, maxPositions, rotaryBase } = config;
  const base = rotaryBase === undefined ? {} : { base: rotaryBase };
  return rotations(positions.shape, width / heads, { positions, length: maxPositions, ...base });
}

/** Queries, keys and values of all heads, [B, T, width]; the former two are turned. */
export interface Attended {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

/**
 * x + out(attend(norm(x))), then x + w3(silu(gate) * up) of norm(x): [B, T, width] -> [B, T, width].
 *
 * @param attend Attention, to the layer's own keys and values or to some that were kept.
 */
export function decoderLayer(
  p: DecoderLayer,
  x: Tensor,
  turns: Rotations,
  config: DecoderConfig,
  attend: (own: Attended) => Tensor,
): Tensor {
  const { in_proj, out_proj, q_norm, k_norm } = p.attention, { heads } = config;
  const h = decoderNorm(p.attention_norm, x, config);
  const [q, k, v] = split(in_proj.weight, 3).map((w) => project(w, h)) as [Tensor, Tensor, Tensor];
  const turned = (x: Tensor, norm: typeof q_norm): Tensor =>
    rotate(norm ? decoderNorm(norm, x, config) : x, turns, { heads });
  x = add(x, project(out_proj.weight, attend({ q: turned(q, q_norm), k: turned(k, k_norm), v })));
  const normed = decoderNorm(p.ffn_norm, x, config);
  const [gate, up] = split(p.feed_forward.w12.weight, 2).map((w) => project(w, normed)) as [Tensor, Tensor];
  return add(x, project(p.feed_forward.w3.weight, multiply(silu(gate), up)));
}

/** The norm of the model. */
export function decoderNorm({ weight, bias }: ParametersOf<NormSpec>, x: Tensor, config: DecoderConfig): Tensor {
  const { norm = "layer", eps = 1e-5 } = config;
  return norm === "rms" ? rmsNorm(x, weight, eps) : layerNorm(x, weight, bias ?? full(weight.shape, 0), eps);
}

/** x W^T. */
function project(weight: Tensor, x: Tensor): Tensor {
  return matmul(x, weight, { transposeB: true });
}

/** The matrix of the head, [vocabulary, width]. */
export function decoderHead(p: Decoder): Tensor {
  return (p.output ?? p.tok_embeddings).weight;
}

/** Logits of the next token of states [..., width], whole: [..., vocabulary]. */
export function decoderLogits(p: Decoder, states: Tensor): Tensor {
  return project(decoderHead(p), states);
}
