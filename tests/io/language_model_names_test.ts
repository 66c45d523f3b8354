import { assertEquals } from "@std/assert";
import { loadParameters } from "../../src/io/load.ts";
import type { NameTable } from "../../src/io/names.ts";
import { dinov2Names, openLmNames, siglipNames } from "../../src/io/names_language_model.ts";
import { towerSpec } from "../../src/models/image_tower.ts";
import { visionLanguageSpec } from "../../src/models/vision_language.ts";
import { specEntries, type SpecTree } from "../../src/nn/spec.ts";
import { archiveOf, counting } from "./testing.ts";

type Entry = [name: string, shape: readonly number[]];

const sizes = { resolution: 12, patch: 4, width: 8, depth: 2, heads: 2, intermediate: 12, eps: 1e-6 };
const pair = (name: string, shape: readonly number[]): Entry[] => [
  [`${name}.weight`, shape],
  [`${name}.bias`, shape.slice(0, 1)],
];
const blocks = (count: number, make: (at: number) => Entry[]): Entry[] =>
  Array.from({ length: count }, (_, at) => make(at)).flat();

/** Names and shapes of `SiglipModel`'s image side, of 3 layers, the last of which is not taken. */
const siglip: Entry[] = [
  ...pair("vision_model.embeddings.patch_embedding", [8, 3, 4, 4]),
  ["vision_model.embeddings.position_embedding.weight", [9, 8]],
  ...blocks(3, (at) => {
    const layer = `vision_model.encoder.layers.${at}`;
    return [
      ...pair(`${layer}.layer_norm1`, [8]),
      ...["k", "v", "q", "out"].flatMap((part) => pair(`${layer}.self_attn.${part}_proj`, [8, 8])),
      ...pair(`${layer}.layer_norm2`, [8]),
      ...pair(`${layer}.mlp.fc1`, [12, 8]),
      ...pair(`${layer}.mlp.fc2`, [8, 12]),
    ];
  }),
  ...pair("vision_model.post_layernorm", [8]),
  ["vision_model.head.probe", [1, 1, 8]],
  ["text_model.embeddings.token_embedding.weight", [5, 8]],
  ["logit_scale", [1]],
];

/** Names and shapes of `Dinov2WithRegistersModel`. */
const dinov2: Entry[] = [
  ["embeddings.cls_token", [1, 1, 8]],
  ["embeddings.mask_token", [1, 8]],
  ["embeddings.register_tokens", [1, 4, 8]],
  ["embeddings.position_embeddings", [1, 10, 8]],
  ...pair("embeddings.patch_embeddings.projection", [8, 3, 4, 4]),
  ...blocks(2, (at) => {
    const layer = `encoder.layer.${at}`;
    return [
      ...pair(`${layer}.norm1`, [8]),
      ...["query", "key", "value"].flatMap((part) => pair(`${layer}.attention.attention.${part}`, [8, 8])),
      ...pair(`${layer}.attention.output.dense`, [8, 8]),
      [`${layer}.layer_scale1.lambda1`, [8]],
      ...pair(`${layer}.norm2`, [8]),
      ...pair(`${layer}.mlp.fc1`, [12, 8]),
      ...pair(`${layer}.mlp.fc2`, [8, 12]),
      [`${layer}.layer_scale2.lambda1`, [8]],
    ] as Entry[];
  }),
  ...pair("layernorm", [8]),
];

/** The same as its authors write it. */
const dinov2Official: Entry[] = [
  ["cls_token", [1, 1, 8]],
  ["pos_embed", [1, 10, 8]],
  ["register_tokens", [1, 4, 8]],
  ["mask_token", [1, 8]],
  ...pair("patch_embed.proj", [8, 3, 4, 4]),
  ...blocks(2, (at) =>
    [
      ...pair(`blocks.${at}.norm1`, [8]),
      ...pair(`blocks.${at}.attn.qkv`, [24, 8]),
      ...pair(`blocks.${at}.attn.proj`, [8, 8]),
      [`blocks.${at}.ls1.gamma`, [8]],
      ...pair(`blocks.${at}.norm2`, [8]),
      ...pair(`blocks.${at}.mlp.fc1`, [12, 8]),
      ...pair(`blocks.${at}.mlp.fc2`, [8, 12]),
      [`blocks.${at}.ls2.gamma`, [8]],
    ] as Entry[]),
  ...pair("norm", [8]),
];

/** Names and shapes of OpenLM's `Transformer`, one layer. */
const openLm: Entry[] = [
  ["tok_embeddings.weight", [6, 4]],
  ["layers.0.attention.in_proj.weight", [12, 4]],
  ["layers.0.attention.out_proj.weight", [4, 4]],
  ["layers.0.attention.pos_embed.inv_freq", [1]],
  ["layers.0.attention.q_norm.weight", [4]],
  ["layers.0.attention.k_norm.weight", [4]],
  ["layers.0.feed_forward.w12.weight", [10, 4]],
  ["layers.0.feed_forward.w3.weight", [4, 5]],
  ["layers.0.attention_norm.weight", [4]],
  ["layers.0.ffn_norm.weight", [4]],
  ["norm.weight", [4]],
  ["output.weight", [6, 4]],
];

async function load(spec: SpecTree, entries: readonly Entry[], table: NameTable, resizePositions = false) {
  const archive = archiveOf(entries.map(([name, shape], at) => counting(name, shape, 100 * at)));
  const target = specEntries(spec).map(([name, { shape }]): Entry => [name, shape]);
  const { tensors, report } = await loadParameters(target, archive, { table, resizePositions });
  assertEquals([...tensors.keys()], target.map(([name]) => name));
  return { of: (name: string) => [...tensors.get(name)!.data], their: archive, report };
}

const within = (featurizer: SpecTree): SpecTree => ({ vision_backbone: { featurizer } });

Deno.test("an image encoder loads by the names of SigLIP, its last layer left out", async () => {
  const spec = within(towerSpec({ ...sizes, classToken: false, finalNorm: false, gelu: "tanh" }));
  const { of, their, report } = await load(spec, siglip, siglipNames());
  const layer = "vision_model.encoder.layers.1.self_attn", name = "vision_backbone.featurizer.blocks.1.attn.qkv.weight";
  const parts = await Promise.all(["q", "k", "v"].map((part) => their.read(`${layer}.${part}_proj.weight`)));
  assertEquals(of(name), parts.flatMap(({ data }) => [...data]));
  assertEquals(report.leftOver.length, 16 + 2);
  assertEquals(report.ignored.map(({ name }) => name), siglip.slice(-3).map(([name]) => name));
});

Deno.test("SigLIP's position table, which has no class token, is resized", async () => {
  const spec = within(towerSpec({ ...sizes, resolution: 20, classToken: false }));
  const { report } = await load(spec, siglip, siglipNames(), true);
  assertEquals(report.resized.map(({ to }) => to), [[1, 25, 8]]);
});

for (const [writer, entries] of Object.entries({ "the transformers library": dinov2, "its authors": dinov2Official })) {
  Deno.test(`an image encoder loads by the names of DINOv2 as ${writer} write them`, async () => {
    const spec = within(towerSpec({ ...sizes, registers: 4, layerScale: 1 }));
    const { of, their, report } = await load(spec, entries, dinov2Names());
    const scale = writer === "its authors" ? "blocks.1.ls2.gamma" : "encoder.layer.1.layer_scale2.lambda1";
    assertEquals(of("vision_backbone.featurizer.blocks.1.ls2.gamma"), [...(await their.read(scale)).data]);
    assertEquals([report.leftOver, report.ignored.length], [[], 1]);
  });
}

for (const prefix of ["", "model.", "module.", "llm_backbone.llm.model."]) {
  Deno.test(`a decoder loads by OpenLM's names behind "${prefix}"`, async () => {
    const decoder = { vocabulary: 6, width: 4, layers: 1, heads: 2, hidden: 5, maxPositions: 8 };
    const spec = visionLanguageSpec({ decoder: { ...decoder, normBias: false, qkNorm: true } });
    const theirs = openLm.map(([name, shape]): Entry => [prefix + name, shape]);
    const { of, their, report } = await load(spec, theirs, openLmNames());
    const name = "layers.0.feed_forward.w12.weight";
    assertEquals(of(`llm_backbone.llm.model.${name}`), [...(await their.read(prefix + name)).data]);
    assertEquals([report.leftOver, report.ignored.length], [[], 1]);
  });
}
