/**
 * Names of the vision transformer in timm (and DeiT, which took them over) and in Hugging Face's transformers library.
 *
 * @module
 */

import type { NameRule, NameTable } from "./names.ts";

/**
 * The vision transformer of timm and of DeiT. The classifier is dropped.
 *
 * @param options.encoder What our names of the encoder start with.
 */
export function timmNames({ encoder = "visual_encoder." }: { readonly encoder?: string } = {}): NameTable {
  return {
    title: "timm and DeiT",
    rules: [{ ours: `${encoder}*`, theirs: "*" }],
    ignored: [{ theirs: "head.*", reason: "the encoder has no classifier" }],
    tied: [],
  };
}

/** Our names without prefix, and those of the transformers library without `vit.`. */
const TRANSFORMERS: readonly NameRule[] = [
  { ours: "cls_token", theirs: "embeddings.cls_token" },
  { ours: "pos_embed", theirs: "embeddings.position_embeddings" },
  { ours: "patch_embed.proj.*", theirs: "embeddings.patch_embeddings.projection.*" },
  { ours: "blocks.*.norm1.*", theirs: "encoder.layer.*.layernorm_before.*" },
  {
    ours: "blocks.*.attn.qkv.*",
    theirs: ["query", "key", "value"].map((part) => `encoder.layer.*.attention.attention.${part}.*`),
  },
  { ours: "blocks.*.attn.proj.*", theirs: "encoder.layer.*.attention.output.dense.*" },
  { ours: "blocks.*.norm2.*", theirs: "encoder.layer.*.layernorm_after.*" },
  { ours: "blocks.*.mlp.fc1.*", theirs: "encoder.layer.*.intermediate.dense.*" },
  { ours: "blocks.*.mlp.fc2.*", theirs: "encoder.layer.*.output.dense.*" },
  { ours: "norm.*", theirs: "layernorm.*" },
];

/**
 * The vision transformer of the transformers library, with or without `vit.` in front. Query, key and value are three tensors
 * there and one with us. The classifier is dropped, the pooler left over.
 *
 * @param options.encoder What our names of the encoder start with.
 */
export function huggingFaceVitNames({ encoder = "visual_encoder." }: { readonly encoder?: string } = {}): NameTable {
  const prefixed = (prefix: string) =>
    TRANSFORMERS.map(({ ours, theirs }): NameRule => {
      return { ours: encoder + ours, theirs: [theirs].flat().map((name) => prefix + name) };
    });
  return {
    title: "Hugging Face ViT",
    rules: [...prefixed("vit."), ...prefixed("")],
    ignored: [{ theirs: "classifier.*", reason: "the encoder has no classifier" }],
    tied: [],
  };
}
