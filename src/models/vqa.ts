/**
 * Visual question answering: the question with its image is encoded by all layers, and a decoder writes the answer (Li et al. 2021,
 * section 5).
 *
 * @module
 */
import type { ParametersOf } from "../nn/spec.ts";
import type { Tensor } from "../program/graph.ts";
import type { ModelContext, PatchedPairs } from "./albef.ts";
import { bertMultimodal, type BertSpec, bertSpec, mlmTransform } from "./bert.ts";
import type { BertConfig } from "./bert_layer.ts";
import type { AlbefConfig } from "./config.ts";
import { vit, type VitSpec, vitSpec } from "./vit.ts";

/** Parameters under their official names. */
export type VqaSpec = {
  visual_encoder: VitSpec;
  text_encoder: BertSpec["bert"];
  text_decoder: BertSpec;
};

/** Parameters as tensors. */
export type Vqa = ParametersOf<VqaSpec>;

/** The decoder: as many layers as the fusion has, each with self-attention to earlier tokens and cross-attention to the question. */
export function decoderConfig({ text }: AlbefConfig): BertConfig {
  return { ...text, layers: text.layers - text.fusionLayer, fusionLayer: 0, encoderWidth: text.width };
}

/** Shapes and starting values. */
export function vqaSpec(config: AlbefConfig): VqaSpec {
  return {
    visual_encoder: vitSpec(config.vision),
    text_encoder: bertSpec(config.text).bert,
    text_decoder: bertSpec(decoderConfig(config)),
  };
}

/** States of questions with their images: [B, L, D]. */
export function encodeQuestions(
  p: Vqa,
  { patches, ids, mask }: PatchedPairs,
  { config, key, remat = false }: ModelContext,
): Tensor {
  const image = vit(p.visual_encoder, patches, config.vision, { remat });
  return bertMultimodal({ bert: p.text_encoder }, ids, { mask, image, key, remat }, config.text);
}

/** What the decoder reads: answers so far, A rows of K tokens, and the question of each. */
export interface Decoding {
  /** u32 [A, K]. */
  readonly ids: Tensor;
  /** f32 [A, K]. */
  readonly mask: Tensor;
  /** States [A, L, D] and mask [A, L] of the question of each row. */
  readonly question: Tensor;
  /** Mask of the questions. */
  readonly questionMask: Tensor;
}

/** Decoder states before the vocabulary product, for the tokens that come next: [A, K, D]. */
export function decodeAnswers(
  p: Vqa,
  { ids, mask, question, questionMask }: Decoding,
  { config, key, remat }: ModelContext,
): Tensor {
  const own = decoderConfig(config);
  const seen = { mask, image: question, imageMask: questionMask, causal: true, key, remat };
  return mlmTransform(p.text_decoder, bertMultimodal(p.text_decoder, ids, seen, own), own);
}

/** The vocabulary product of decoder states: matrix [V, D] and bias [V] are the decoder's own. */
export function answerVocabulary(p: Pick<Vqa, "text_decoder">): { keys: Tensor; bias: Tensor } {
  return { keys: p.text_decoder.bert.embeddings.word_embeddings.weight, bias: p.text_decoder.cls.predictions.bias };
}
