import { assertEquals } from "@std/assert";
import {
  albefNames,
  albefSpec,
  bertNames,
  huggingFaceVitNames,
  loadParameters,
  type NameTable,
  openCheckpoint,
  specEntries,
  timmNames,
  writeSafetensors,
} from "../../mod.ts";
import { withFolder } from "../testing/folders.ts";
import { albefShapes, huggingFaceBertShapes, huggingFaceVitShapes, TINY, vitShapes } from "./shapes.ts";
import { counting } from "./testing.ts";

const width = TINY.text, heads = 2;
const spec = albefSpec({
  vision: { resolution: TINY.image, patch: TINY.patch, width: TINY.vision, depth: TINY.visionDepth, heads, eps: 1e-6 },
  text: {
    vocabulary: TINY.vocabulary,
    width,
    layers: TINY.textDepth,
    fusionLayer: TINY.fusion,
    heads,
    intermediate: TINY.ffn,
    maxPositions: TINY.positions,
    encoderWidth: TINY.vision,
    dropout: 0,
    eps: 1e-12,
    padId: 0,
  },
  embedding: TINY.embed,
});

interface Case {
  readonly table: NameTable;
  /** What the checkpoint holds. */
  readonly shapes: Iterable<readonly [name: string, shape: readonly number[]]>;
  /** What the names of the parameters to be loaded start with. */
  readonly ours: string;
  /** Parameters of the cross-attention, which a text encoder by itself does not have. */
  readonly missing: number;
  /** Which of ours is looked at, and the tensors of the checkpoint that it is made of. */
  readonly look: readonly [ours: string, ...theirs: string[]];
}

const cases: readonly Case[] = [
  {
    table: albefNames(),
    shapes: albefShapes(TINY),
    ours: "",
    missing: 0,
    look: ["text_encoder.bert.embeddings.LayerNorm.bias", "text_encoder.bert.embeddings.LayerNorm.bias"],
  },
  {
    table: bertNames(),
    shapes: huggingFaceBertShapes(TINY).filter(([name]) => !name.includes("decoder")),
    ours: "text_encoder.",
    missing: 20,
    look: [
      "text_encoder.bert.encoder.layer.1.output.dense.bias",
      "bert.encoder.layer.1.output.dense.bias",
    ],
  },
  {
    table: timmNames(),
    shapes: vitShapes(TINY),
    ours: "visual_encoder.",
    missing: 0,
    look: ["visual_encoder.blocks.1.mlp.fc1.bias", "blocks.1.mlp.fc1.bias"],
  },
  {
    table: huggingFaceVitNames(),
    shapes: huggingFaceVitShapes(TINY),
    ours: "visual_encoder.",
    missing: 0,
    look: [
      "visual_encoder.blocks.1.attn.qkv.bias",
      ...["query", "key", "value"].map((part) => `vit.encoder.layer.1.attention.attention.${part}.bias`),
    ],
  },
];

for (const { table, shapes, ours, missing, look: [name, ...theirs] } of cases) {
  Deno.test(`a checkpoint with the names of ${table.title} loads through mod.ts`, async () => {
    await withFolder(async (folder) => {
      const stored = new Map(Array.from(shapes, ([name, shape], at) => [name, counting(name, shape, 100 * at)]));
      await writeSafetensors(`${folder}/model.safetensors`, stored.values());
      const archive = await openCheckpoint(`${folder}/model.safetensors`);
      const target = specEntries(spec).filter(([name]) => name.startsWith(ours));
      const { tensors, report } = await loadParameters(target.map(([name, { shape }]) => [name, shape]), archive, {
        table,
        allowMissing: ["*crossattention*"],
      });
      archive.close();
      assertEquals(report.missing.length, missing);
      assertEquals([...tensors.get(name)!.data], theirs.flatMap((part) => [...stored.get(part)!.data]));
    });
  });
}
