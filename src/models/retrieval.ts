/**
 * The model of retrieval: ALBEF without its MLM head, under the names of the official fine-tuning (Li et al. 2021, section 5).
 *
 * @module
 */
import type { AffineSpec } from "../nn/layers.ts";
import type { ParametersOf, Spec } from "../nn/spec.ts";
import { albefSpec, type Matcher } from "./albef.ts";
import type { BertSpec } from "./bert.ts";
import type { AlbefConfig } from "./config.ts";
import type { VitSpec } from "./vit.ts";

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
export function retrievalSpec(config: AlbefConfig): RetrievalSpec {
  const spec = albefSpec(config);
  return { ...spec, text_encoder: spec.text_encoder.bert };
}

/** The same parameters as the functions of ALBEF take them. */
export function asMatcher(p: Retrieval): Matcher {
  return { ...p, text_encoder: { bert: p.text_encoder } };
}
