import { assert, assertEquals, assertRejects } from "@std/assert";
import type { NamedTensor } from "../../src/io/dtype.ts";
import { loadParameters, planLoad } from "../../src/io/load.ts";
import { formatLoadReport } from "../../src/io/load_report.ts";
import { albefNames, albefNamesForAnswers, albefNamesForTwoImages } from "../../src/io/names_albef.ts";
import { bertNames } from "../../src/io/names_bert.ts";
import { huggingFaceVitNames, timmNames } from "../../src/io/names_vit.ts";
import { type Archive, lazyTensors } from "../../src/io/archive.ts";
import { openSafetensors } from "../../src/io/safetensors.ts";
import { exportParameters } from "../../src/io/export.ts";
import {
  albefShapes,
  bertShapes,
  huggingFaceBertShapes,
  huggingFaceVitShapes,
  mlmShapes,
  prefixed,
  type Shapes,
  TINY,
  vitShapes,
} from "./shapes.ts";
import { withFolder } from "../testing/folders.ts";
import { archiveOf, counting, filled } from "./testing.ts";

const OFFICIAL: Record<string, Record<string, [dtype: string, ...shape: number[]]>> = JSON.parse(
  Deno.readTextFileSync(new URL("./fixtures/official_names.json", import.meta.url)),
);

/** The official state dict of a set, with made-up numbers and tied copies that are equal. */
function official(set: string): Archive {
  const tensors = Object.entries(OFFICIAL[set]!).map(([name, [dtype, ...shape]], at): NamedTensor => {
    if (dtype !== "F32") {
      return {
        name,
        dtype: "I64",
        shape,
        data: new Uint8Array(8 * shape.reduce((a, b) => a * b, 1)),
      };
    }
    return counting(
      name,
      shape,
      name.includes("predictions.decoder") || name.includes("word_embeddings") || name.endsWith("predictions.bias")
        ? 5
        : at,
    );
  });
  return archiveOf(tensors, `${set}.pth`);
}

function data(tensors: Map<string, NamedTensor>, name: string): number[] {
  return [...tensors.get(name)!.data];
}

const VIT: Shapes = new Map(prefixed("visual_encoder.", vitShapes(TINY)));
const BERT: Shapes = new Map([
  ...prefixed("text_encoder.bert.", bertShapes(TINY)),
  ...prefixed("text_encoder.cls.", mlmShapes(TINY)),
]);

Deno.test("our names are those of the official state dict, without buffers and tied copies", () => {
  const parameters = Object.keys(OFFICIAL["core_eq"]!).filter((name) =>
    !/position_ids|predictions\.decoder/.test(name)
  );
  assertEquals([...albefShapes(TINY).keys()].sort(), parameters.sort());
  for (const [name, shape] of albefShapes(TINY)) assertEquals(shape, OFFICIAL["core_eq"]![name]!.slice(1), name);
});

Deno.test("planLoad() takes a GRIT-VLP state dict whole and says what it ignored", async () => {
  const { report } = await planLoad(albefShapes(TINY), official("core_eq"));
  assertEquals(report.loaded.length, albefShapes(TINY).size);
  assertEquals([report.missing, report.leftOver, report.resized], [[], [], []]);
  assertEquals(report.ignored, [
    { name: "text_encoder.bert.embeddings.position_ids", reason: "the numbers 0, 1, 2, ... are no parameter" },
    {
      name: "text_encoder.cls.predictions.decoder.weight",
      reason: "it equals text_encoder.bert.embeddings.word_embeddings.weight",
    },
    { name: "text_encoder.cls.predictions.decoder.bias", reason: "it equals text_encoder.cls.predictions.bias" },
  ]);
});

Deno.test("planLoad() ignores queues and momentum copies of ALBEF, or takes them when the model has them", async () => {
  const all = official("albef"), names = [...all.tensors.values()].filter(({ dtype }) => dtype === "F32");
  const online = names.filter(({ name }) => !/_m\.|_queue|predictions\.decoder/.test(name));
  const { report } = await planLoad(online.map(({ name, shape }) => [name, shape]), all);
  assertEquals([report.missing, report.leftOver], [[], []]);
  assert(report.ignored.some(({ name, reason }) => name === "image_queue" && reason.startsWith("queues")));
  assert(report.ignored.some(({ name }) => name === "text_encoder_m.bert.embeddings.LayerNorm.weight"));
  const momentum = names.filter(({ name }) => !name.includes("predictions.decoder"));
  const full = await planLoad(momentum.map(({ name, shape }) => [name, shape]), all);
  assertEquals(full.report.loaded.length, momentum.length);
  assertEquals(full.report.leftOver, []);
});

Deno.test("planLoad() loads a pre-training checkpoint into a fine-tuning model and back", async () => {
  const tuned = new Map([...albefShapes(TINY)].map(([name, shape]) => [name.replace("bert.", ""), shape] as const));
  const down = await loadParameters(tuned, official("core_eq"));
  assertEquals(down.report.leftOver, []);
  const up = await loadParameters(albefShapes(TINY), archiveOf(down.tensors.values()));
  const direct = await loadParameters(albefShapes(TINY), official("core_eq"));
  assertEquals(up.tensors, direct.tensors);
});

Deno.test("albefNamesForAnswers() starts the answer decoder as the fusion layers", async () => {
  const target = Object.entries(OFFICIAL["vqa"]!).filter(([name, [dtype]]) =>
    dtype === "F32" && !/_m\.|decoder\.(weight|bias)$/.test(name)
  );
  const { tensors, report } = await loadParameters(
    target.map(([name, [, ...shape]]) => [name, shape as number[]]),
    official("albef"),
    { table: albefNamesForAnswers(2) },
  );
  assertEquals(report.loaded.length, target.length);
  const fused = await official("albef").read("text_encoder.bert.encoder.layer.3.crossattention.self.key.weight");
  assertEquals(data(tensors, "text_decoder.bert.encoder.layer.1.crossattention.self.key.weight"), [...fused.data]);
});

Deno.test("albefNamesForTwoImages() makes two layers of each fusion layer", async () => {
  const target = Object.entries(OFFICIAL["nlvr"]!).filter(([, [dtype]]) => dtype === "F32");
  const { tensors, report } = await loadParameters(
    target.map(([name, [, ...shape]]) => [name, shape as number[]]),
    official("albef"),
    { table: albefNamesForTwoImages(2), allowMissing: ["cls_head.*"] },
  );
  assertEquals(report.missing.length, 4);
  const fused = await official("albef").read("text_encoder.bert.encoder.layer.3.output.dense.bias");
  assertEquals(data(tensors, "text_encoder.encoder.layer.4.output.dense.bias"), [...fused.data]);
  assertEquals(data(tensors, "text_encoder.encoder.layer.5.output.dense.bias"), [...fused.data]);
});

Deno.test("bertNames() reads today's and old names, and leaves pooler and next sentence head over", async () => {
  const shapes = huggingFaceBertShapes(TINY).filter(([name]) => name !== "cls.predictions.decoder.weight");
  const old = filled(new Map(shapes)).map((tensor) => {
    return {
      ...tensor,
      name: tensor.name.replace(/(LayerNorm\.)weight$/, "$1gamma").replace(/(LayerNorm\.)bias$/, "$1beta"),
    };
  });
  const options = { table: bertNames(), allowMissing: ["*crossattention*"] };
  const today = await loadParameters(BERT, archiveOf(filled(new Map(shapes))), options);
  const before = await loadParameters(BERT, archiveOf(old), options);
  assertEquals(today.tensors, before.tensors);
  assertEquals(today.report.leftOver, [
    "bert.pooler.dense.weight",
    "bert.pooler.dense.bias",
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
  ]);
  assertEquals(today.report.missing.length, 20);
  const bare = filled(new Map(shapes)).map((tensor) => ({ ...tensor, name: tensor.name.replace(/^bert\./, "") }));
  assertEquals((await loadParameters(BERT, archiveOf(bare), options)).tensors, today.tensors);
});

Deno.test("timmNames() drops the classifier and resizes the position table when asked", async () => {
  const large = [...vitShapes({ ...TINY, image: 48 }), ...prefixed("head.", [["weight", [10, 32]], ["bias", [10]]])];
  const archive = archiveOf(filled(new Map(large)), "deit.pth"), table = timmNames();
  await assertRejects(
    () => planLoad(VIT, archive, { table }),
    RangeError,
    'Cannot load the parameters from "deit.pth" by the names of timm and DeiT; 1 that do not fit: visual_encoder.pos_embed is [1, 37, 32], must be [1, 17, 32]',
  );
  const { tensors, report } = await loadParameters(VIT, archive, { table, resizePositions: true });
  assertEquals(report.resized, [{ name: "visual_encoder.pos_embed", from: [1, 37, 32], to: [1, 17, 32] }]);
  assertEquals(report.ignored.map(({ name }) => name), ["head.weight", "head.bias"]);
  const table1 = await archive.read("pos_embed");
  assertEquals(data(tensors, "visual_encoder.pos_embed").slice(0, 32), [...table1.data.slice(0, 32)]);
  assertEquals(
    formatLoadReport(report),
    `${VIT.size} parameters loaded\nvisual_encoder.pos_embed resized from [1, 37, 32] to [1, 17, 32]\n` +
      "2 ignored (the encoder has no classifier): head.weight, head.bias",
  );
});

Deno.test("planLoad() refuses a table with a distillation token even when it may resize", async () => {
  const shapes = new Map(vitShapes(TINY)).set("pos_embed", [1, 18, 32]);
  const options = { table: timmNames(), resizePositions: true };
  await assertRejects(
    () => planLoad(VIT, archiveOf(filled(shapes)), options),
    RangeError,
    "is [1, 18, 32], must be [1, 17, 32]",
  );
});

Deno.test("huggingFaceVitNames() stacks query, key and value, with and without vit. in front", async () => {
  const theirs = filled(new Map(huggingFaceVitShapes(TINY))), table = huggingFaceVitNames();
  const { tensors, report } = await loadParameters(VIT, archiveOf(theirs), { table });
  assertEquals(report.leftOver, ["vit.pooler.dense.weight", "vit.pooler.dense.bias"]);
  const parts = ["query", "key", "value"].map((part) => {
    return theirs.find(({ name }) => name === `vit.encoder.layer.1.attention.attention.${part}.weight`)!;
  });
  assertEquals(data(tensors, "visual_encoder.blocks.1.attn.qkv.weight"), parts.flatMap((part) => [...part.data]));
  const bare = theirs.map((tensor) => ({ ...tensor, name: tensor.name.replace(/^vit\./, "") }));
  assertEquals((await loadParameters(VIT, archiveOf(bare), { table })).tensors, tensors);
});

for (
  const [table, shapes] of [[timmNames(), VIT], [huggingFaceVitNames(), VIT], [bertNames(), BERT], [
    albefNames(),
    albefShapes(TINY),
  ]] as const
) {
  Deno.test(`exportParameters() and loadParameters() are inverse for ${table.title}`, async () => {
    await withFolder(async (folder) => {
      const ours = filled(shapes);
      await exportParameters(`${folder}/a`, ours, { table, tied: true });
      const archive = await openSafetensors(`${folder}/a`);
      const { tensors, report } = await loadParameters(shapes, archive, { table });
      assertEquals([...tensors.values()], ours);
      assertEquals(report.leftOver, []);
      await exportParameters(`${folder}/b`, tensors.values(), { table, tied: true });
      archive.close();
      assertEquals(await Deno.readFile(`${folder}/b`), await Deno.readFile(`${folder}/a`));
    });
  });
}

Deno.test("the names of Hugging Face go to ours and back unchanged", async () => {
  await withFolder(async (folder) => {
    const vit = filled(new Map(huggingFaceVitShapes(TINY).filter(([name]) => !/pooler|classifier/.test(name))));
    const { tensors } = await loadParameters(VIT, archiveOf(vit), { table: huggingFaceVitNames() });
    await exportParameters(`${folder}/vit`, tensors.values(), { table: huggingFaceVitNames() });
    const archive = await openSafetensors(`${folder}/vit`);
    assertEquals([...archive.tensors.keys()].sort(), vit.map(({ name }) => name).sort());
    for (const tensor of vit) assertEquals(await archive.read(tensor.name), tensor);
    archive.close();
  });
});

Deno.test("saving, loading and saving again gives the same bytes", async () => {
  await withFolder(async (folder) => {
    const target = albefShapes(TINY);
    for (const tied of [false, true]) {
      await exportParameters(`${folder}/a`, filled(target), { tied });
      const archive = await openSafetensors(`${folder}/a`);
      const { tensors } = await loadParameters(target, archive);
      await exportParameters(`${folder}/b`, tensors.values(), { tied });
      await exportParameters(`${folder}/c`, lazyTensors(archive));
      assertEquals(archive.tensors.has("text_encoder.cls.predictions.decoder.weight"), tied);
      archive.close();
      const bytes = await Deno.readFile(`${folder}/a`);
      assertEquals(await Deno.readFile(`${folder}/b`), bytes);
      assertEquals(await Deno.readFile(`${folder}/c`), bytes);
    }
  });
});

Deno.test("planLoad() lists what is missing and what does not fit, ten at most", async () => {
  const target: Shapes = new Map(Array.from({ length: 14 }, (_, at) => [`w${at}`, [2]]));
  const archive = archiveOf([counting("w0", [3]), counting("w1", [2]), counting("other", [1])], "a.pth");
  await assertRejects(
    () => planLoad(target, archive),
    RangeError,
    'Cannot load the parameters from "a.pth" by the names of ALBEF; 12 missing: w2, w3, w4, w5, w6, w7, w8, w9, w10, w11 and 2 more; ' +
      "1 that do not fit: w0 is [3], must be [2]; left over in the file: w0, other",
  );
  await assertRejects(
    () => planLoad(target, archive, { allowMissing: ["w*"] }),
    RangeError,
    "; 1 that do not fit: w0 is [3]",
  );
});

Deno.test("planLoad() treats the dots of an allowMissing pattern as dots", async () => {
  const archive = archiveOf([]);
  await assertRejects(() => planLoad([["axb", [1]]], archive, { allowMissing: ["a.b"] }), RangeError, "1 missing: axb");
  const { report } = await planLoad([["a.b", [1]]], archive, { allowMissing: ["a.b"] });
  assertEquals(report.missing, ["a.b"]);
});

Deno.test("planLoad() refuses integers in the place of a parameter", async () => {
  const ids: NamedTensor = { name: "w", dtype: "I32", shape: [1], data: Int32Array.of(1) };
  await assertRejects(() => planLoad([["w", [1]]], archiveOf([ids])), RangeError, "w is I32, must be of floats");
});

Deno.test("planLoad() refuses a tied decoder that differs from the word embeddings", async () => {
  const all = official("core_eq"), name = "text_encoder.cls.predictions.decoder.weight";
  const tensors = await Promise.all([...all.tensors.keys()].map((name) => all.read(name)));
  const changed = tensors.map((tensor) => tensor.name === name ? counting(name, tensor.shape, 6) : tensor);
  await assertRejects(() => planLoad(albefShapes(TINY), archiveOf(changed)), RangeError, `${name} differs from`);
});
