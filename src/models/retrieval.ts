/**
 * Retrieval fine-tuning: ITC with all pairs of one image as positives, and ITM (Li et al. 2021, section 5).
 *
 * @module
 */
import { type AffineSpec, defaultLinearSpec } from "../nn/layers.ts";
import { type ParametersOf, Spec } from "../nn/spec.ts";
import type { Matcher } from "./albef.ts";
import { type BertSpec, bertSpec } from "./bert.ts";
import type { AlbefConfig } from "./config.ts";
import { type VitSpec, vitSpec } from "./vit.ts";

/** Parameters of the retrieval model under their official names: the text encoder has no MLM head and no `bert.` in its names. */
export type RetrievalSpec = {
  visual_encoder: VitSpec;
  text_encoder: BertSpec["bert"];
  vision_proj: AffineSpec;
  text_proj: AffineSpec;
  temp: Spec;
  itm_head: AffineSpec;
};

/** Parameters as tensors. */
export type Retrieval = ParametersOf<RetrievalSpec>;

/** Shapes and starting values. */
export function retrievalSpec({ vision, text, embedding }: AlbefConfig): RetrievalSpec {
  return {
    visual_encoder: vitSpec(vision),
    text_encoder: bertSpec(text).bert,
    vision_proj: defaultLinearSpec(vision.width, embedding),
    text_proj: defaultLinearSpec(text.width, embedding),
    temp: new Spec([], { constant: 0.07 }),
    itm_head: defaultLinearSpec(text.width, 2),
  };
}

/** The same parameters as the functions of ALBEF take them. */
export function asMatcher(p: Retrieval): Matcher {
  return { ...p, text_encoder: { bert: p.text_encoder } };
}
