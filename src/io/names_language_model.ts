/**
 * Names of decoder language models and of the image encoders that go with them.
 *
 * @module
 */
import type { NameRule, NameTable } from "./names.ts";

/** Rules for all parameters that begin with `ours`, whatever of these prefixes the tool writes. */
function prefixed(ours: string, prefixes: readonly string[], rules: readonly NameRule[]): NameRule[] {
  return prefixes.flatMap((prefix) =>
    rules.map((rule): NameRule => ({
      ours: ours + rule.ours,
      theirs: [rule.theirs].flat().map((name) => prefix + name),
    }))
  );
}

/**
 * OpenLM: our own names, with or without what its wrappers put in front. Files of Prismatic VLMs, which hold the projector and the encoder
 * too, load by the same table.
 *
 * @param options.decoder What our names of the decoder start with.
 */
export function openLmNames({ decoder = "llm_backbone.llm.model." }: { readonly decoder?: string } = {}): NameTable {
  return {
    title: "OpenLM and Prismatic",
    rules: [
      ...prefixed(decoder, ["", "model.", "module.", "module.model."], [{ ours: "*", theirs: "*" }]),
      { ours: "*", theirs: "*" },
    ],
    ignored: [{ theirs: "*pos_embed.inv_freq", reason: "the angles of the rotations are no parameter" }],
    tied: [],
  };
}

/** One prefix of three parts for another: query, key and value are stacked in ours. */
function stacked(ours: string, theirs: (part: "q" | "k" | "v") => string): NameRule {
  return { ours, theirs: (["q", "k", "v"] as const).map(theirs) };
}

/**
 * SigLIP of the transformers library, or timm's (whose names are ours): the image side alone. Its pooling head is not needed.
 *
 * @param options.encoder What our names of the encoder start with.
 */
export function siglipNames(
  { encoder = "vision_backbone.featurizer." }: { readonly encoder?: string } = {},
): NameTable {
  const block = "encoder.layers.*";
  const rules: NameRule[] = [
    { ours: "pos_embed", theirs: "embeddings.position_embedding.weight" },
    { ours: "patch_embed.proj.*", theirs: "embeddings.patch_embedding.*" },
    { ours: "blocks.*.norm1.*", theirs: `${block}.layer_norm1.*` },
    stacked("blocks.*.attn.qkv.*", (part) => `${block}.self_attn.${part}_proj.*`),
    { ours: "blocks.*.attn.proj.*", theirs: `${block}.self_attn.out_proj.*` },
    { ours: "blocks.*.norm2.*", theirs: `${block}.layer_norm2.*` },
    { ours: "blocks.*.mlp.fc1.*", theirs: `${block}.mlp.fc1.*` },
    { ours: "blocks.*.mlp.fc2.*", theirs: `${block}.mlp.fc2.*` },
    { ours: "norm.*", theirs: "post_layernorm.*" },
  ];
  return {
    title: "SigLIP",
    rules: [...prefixed(encoder, ["vision_model.", ""], rules), { ours: `${encoder}*`, theirs: "*" }],
    ignored: [
      { theirs: "text_model.*", reason: "the language model is another" },
      { theirs: "*vision_model.head.*", reason: "the encoder's states are not pooled" },
      { theirs: "attn_pool.*", reason: "the encoder's states are not pooled" },
      { theirs: "logit_*", reason: "nothing is contrasted" },
      { theirs: "*position_ids", reason: "the numbers 0, 1, 2, ... are no parameter" },
    ],
    tied: [],
  };
}

/**
 * DINOv2 as its authors, timm or the transformers library write it, with registers or without.
 *
 * @param options.encoder What our names of the encoder start with.
 */
export function dinov2Names(
  { encoder = "vision_backbone.featurizer." }: { readonly encoder?: string } = {},
): NameTable {
  const block = "encoder.layer.*", parts = { q: "query", k: "key", v: "value" };
  const rules: NameRule[] = [
    { ours: "cls_token", theirs: "embeddings.cls_token" },
    { ours: "reg_token", theirs: "embeddings.register_tokens" },
    { ours: "pos_embed", theirs: "embeddings.position_embeddings" },
    { ours: "patch_embed.proj.*", theirs: "embeddings.patch_embeddings.projection.*" },
    { ours: "blocks.*.norm1.*", theirs: `${block}.norm1.*` },
    stacked("blocks.*.attn.qkv.*", (part) => `${block}.attention.attention.${parts[part]}.*`),
    { ours: "blocks.*.attn.proj.*", theirs: `${block}.attention.output.dense.*` },
    { ours: "blocks.*.ls1.gamma", theirs: `${block}.layer_scale1.lambda1` },
    { ours: "blocks.*.norm2.*", theirs: `${block}.norm2.*` },
    { ours: "blocks.*.mlp.fc1.*", theirs: `${block}.mlp.fc1.*` },
    { ours: "blocks.*.mlp.fc2.*", theirs: `${block}.mlp.fc2.*` },
    { ours: "blocks.*.ls2.gamma", theirs: `${block}.layer_scale2.lambda1` },
    { ours: "norm.*", theirs: "layernorm.*" },
  ];
  return {
    title: "DINOv2",
    rules: [
      { ours: `${encoder}reg_token`, theirs: "register_tokens" },
      { ours: `${encoder}*`, theirs: "*" },
      ...prefixed(encoder, ["", "dinov2."], rules),
    ],
    ignored: [{ theirs: "*mask_token", reason: "no patch is masked" }],
    tied: [],
  };
}
