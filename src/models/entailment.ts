/**
 * Visual entailment: does an image entail a sentence, contradict it, or neither (Li et al. 2021, section 5).
 *
 * @module
 */
import type { ParametersOf } from "../nn/spec.ts";
import type { Tensor } from "../program/graph.ts";
import type { ModelContext, PatchedPairs } from "./albef.ts";
import { bertMultimodal, type BertSpec, bertSpec } from "./bert.ts";
import { classHead, type ClassHeadSpec, classHeadSpec } from "./class_head.ts";
import type { AlbefConfig } from "./config.ts";
import { vit, type VitSpec, vitSpec } from "./vit.ts";

/** Parameters under their official names. */
export type EntailmentSpec = {
  visual_encoder: VitSpec;
  text_encoder: BertSpec["bert"];
  cls_head: ClassHeadSpec;
};

/** Parameters as tensors. */
export type Entailment = ParametersOf<EntailmentSpec>;

/** Shapes and starting values. */
export function entailmentSpec({ vision, text }: AlbefConfig): EntailmentSpec {
  return {
    visual_encoder: vitSpec(vision),
    text_encoder: bertSpec(text).bert,
    cls_head: classHeadSpec(text.width, 3),
  };
}

/** Logits of (contradiction, neutral, entailment) for sentences with their images: [B, 3]. */
export function entailmentLogits(p: Entailment, { patches, ...tokens }: PatchedPairs, context: ModelContext): Tensor {
  const { config, key, remat = false } = context;
  const image = vit(p.visual_encoder, patches, config.vision, { remat });
  const seen = { mask: tokens.mask, image, key, remat };
  return classHead(p.cls_head, bertMultimodal({ bert: p.text_encoder }, tokens.ids, seen, config.text));
}
