/** Names and shapes of whole models, written down from the layers that they are made of, independently of the name tables. */

/** Shapes by name. */
export type Shapes = Map<string, readonly number[]>;

type Entry = [name: string, shape: readonly number[]];

/** Sizes of a model. */
export interface Sizes {
  readonly image: number;
  readonly patch: number;
  readonly vision: number;
  readonly visionDepth: number;
  readonly text: number;
  readonly textDepth: number;
  readonly fusion: number;
  readonly ffn: number;
  readonly vocabulary: number;
  readonly positions: number;
  readonly embed: number;
}

/** ALBEF_Base as published: ViT-B/16 at 256 pixels and BERT-base that is fused from layer 6 on. */
export const BASE: Sizes = {
  image: 256,
  patch: 16,
  vision: 768,
  visionDepth: 12,
  text: 768,
  textDepth: 12,
  fusion: 6,
  ffn: 3072,
  vocabulary: 30522,
  positions: 512,
  embed: 256,
};

/** The model behind `core_eq` of official_names.json. */
export const TINY: Sizes = {
  image: 32,
  patch: 8,
  vision: 32,
  visionDepth: 2,
  text: 32,
  textDepth: 4,
  fusion: 2,
  ffn: 64,
  vocabulary: 64,
  positions: 32,
  embed: 16,
};

const linear = (
  name: string,
  from: number,
  to: number,
): Entry[] => [[`${name}.weight`, [to, from]], [`${name}.bias`, [to]]];
const norm = (name: string, width: number): Entry[] => [[`${name}.weight`, [width]], [`${name}.bias`, [width]]];
const times = (count: number, make: (at: number) => Entry[]): Entry[] =>
  Array.from({ length: count }, (_, at) => make(at)).flat();

/** The vision transformer as timm names it. */
export function vitShapes({ image, patch, vision: width, visionDepth }: Sizes): Entry[] {
  return [
    ["cls_token", [1, 1, width]],
    ["pos_embed", [1, 1 + (image / patch) ** 2, width]],
    ["patch_embed.proj.weight", [width, 3, patch, patch]],
    ["patch_embed.proj.bias", [width]],
    ...times(visionDepth, (at) => [
      ...norm(`blocks.${at}.norm1`, width),
      ...linear(`blocks.${at}.attn.qkv`, width, 3 * width),
      ...linear(`blocks.${at}.attn.proj`, width, width),
      ...norm(`blocks.${at}.norm2`, width),
      ...linear(`blocks.${at}.mlp.fc1`, width, 4 * width),
      ...linear(`blocks.${at}.mlp.fc2`, 4 * width, width),
    ]),
    ...norm("norm", width),
  ];
}

/** The vision transformer as the transformers library names it, with pooler and classifier. */
export function huggingFaceVitShapes({ image, patch, vision: width, visionDepth }: Sizes): Entry[] {
  return [
    ["vit.embeddings.cls_token", [1, 1, width]],
    ["vit.embeddings.position_embeddings", [1, 1 + (image / patch) ** 2, width]],
    ["vit.embeddings.patch_embeddings.projection.weight", [width, 3, patch, patch]],
    ["vit.embeddings.patch_embeddings.projection.bias", [width]],
    ...times(visionDepth, (at) => {
      const layer = `vit.encoder.layer.${at}`;
      return [
        ...["query", "key", "value"].flatMap((part) => linear(`${layer}.attention.attention.${part}`, width, width)),
        ...linear(`${layer}.attention.output.dense`, width, width),
        ...linear(`${layer}.intermediate.dense`, width, 4 * width),
        ...linear(`${layer}.output.dense`, 4 * width, width),
        ...norm(`${layer}.layernorm_before`, width),
        ...norm(`${layer}.layernorm_after`, width),
      ];
    }),
    ...norm("vit.layernorm", width),
    ...linear("vit.pooler.dense", width, width),
    ...linear("classifier", width, 10),
  ];
}

function attention(name: string, width: number, keyWidth: number): Entry[] {
  return [
    ...linear(`${name}.self.query`, width, width),
    ...linear(`${name}.self.key`, keyWidth, width),
    ...linear(`${name}.self.value`, keyWidth, width),
    ...linear(`${name}.output.dense`, width, width),
    ...norm(`${name}.output.LayerNorm`, width),
  ];
}

/** BERT without its heads, with cross-attention from layer `fusion` on. */
export function bertShapes({ text: width, vision, textDepth, fusion, ffn, vocabulary, positions }: Sizes): Entry[] {
  return [
    ["embeddings.word_embeddings.weight", [vocabulary, width]],
    ["embeddings.position_embeddings.weight", [positions, width]],
    ["embeddings.token_type_embeddings.weight", [2, width]],
    ...norm("embeddings.LayerNorm", width),
    ...times(textDepth, (at) => [
      ...attention(`encoder.layer.${at}.attention`, width, width),
      ...(at < fusion ? [] : attention(`encoder.layer.${at}.crossattention`, width, vision)),
      ...linear(`encoder.layer.${at}.intermediate.dense`, width, ffn),
      ...linear(`encoder.layer.${at}.output.dense`, ffn, width),
      ...norm(`encoder.layer.${at}.output.LayerNorm`, width),
    ]),
  ];
}

/** The masked language head without the tied decoder. */
export function mlmShapes({ text: width, vocabulary }: Sizes): Entry[] {
  return [
    ["predictions.bias", [vocabulary]],
    ...linear("predictions.transform.dense", width, width),
    ...norm("predictions.transform.LayerNorm", width),
  ];
}

/** Entries with a prefix. */
export function prefixed(prefix: string, entries: readonly Entry[]): Entry[] {
  return entries.map(([name, shape]) => [prefix + name, shape]);
}

/** ALBEF for pre-training, as our parameter tree names it. */
export function albefShapes(sizes: Sizes): Shapes {
  return new Map([
    ["temp", []] as Entry,
    ...prefixed("visual_encoder.", vitShapes(sizes)),
    ...prefixed("text_encoder.bert.", bertShapes(sizes)),
    ...prefixed("text_encoder.cls.", mlmShapes(sizes)),
    ...linear("vision_proj", sizes.vision, sizes.embed),
    ...linear("text_proj", sizes.text, sizes.embed),
    ...linear("itm_head", sizes.text, 2),
  ]);
}

/** `BertForPreTraining` of the transformers library: no cross-attention, a pooler, two heads, the decoder tied. */
export function huggingFaceBertShapes(sizes: Sizes): Entry[] {
  return [
    ...prefixed("bert.", bertShapes({ ...sizes, fusion: sizes.textDepth })),
    ...linear("bert.pooler.dense", sizes.text, sizes.text),
    ...prefixed("cls.", mlmShapes(sizes)),
    ["cls.predictions.decoder.weight", [sizes.vocabulary, sizes.text]],
    ...linear("cls.seq_relationship", sizes.text, 2),
  ];
}
