/**
 * Names of BERT in Hugging Face's transformers library.
 *
 * @module
 */

import { type NameRule, type NameTable, POSITION_IDS, TIED_DECODER } from "./names.ts";

/** One prefix for another, with the names that LayerNorm had in files converted from TensorFlow as second choice. */
function withOldNorms(ours: string, theirs: string): NameRule[] {
  return [
    { ours: `${ours}*`, theirs: `${theirs}*` },
    { ours: `${ours}*LayerNorm.weight`, theirs: `${theirs}*LayerNorm.gamma` },
    { ours: `${ours}*LayerNorm.bias`, theirs: `${theirs}*LayerNorm.beta` },
  ];
}

/**
 * BERT with its masked language head, e.g. `bert-base-uncased`, or without (`BertModel`, whose names lack `bert.`). It has no
 * cross-attention: loading it into a multimodal encoder takes `allowMissing: ["*crossattention*"]`. The pooler and
 * the next sentence head are left over.
 *
 * @param options.encoder What our names of the encoder start with.
 * @param options.head What our names of the masked language head start with.
 */
export function bertNames(
  { encoder = "text_encoder.bert.", head = "text_encoder.cls." }: {
    readonly encoder?: string;
    readonly head?: string;
  } = {},
): NameTable {
  return {
    title: "Hugging Face BERT",
    rules: [...withOldNorms(head, "cls."), ...withOldNorms(encoder, "bert."), ...withOldNorms(encoder, "")],
    ignored: [POSITION_IDS],
    tied: TIED_DECODER,
  };
}
