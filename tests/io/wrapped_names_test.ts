/** Checkpoints as Lightning and parallel training save them: right names and shapes, random values. */
import { assertEquals, assertRejects } from "@std/assert";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { type LoadOptions, planLoad } from "../../src/io/load.ts";
import { albefNames } from "../../src/io/names_albef.ts";
import { viltNames } from "../../src/io/names_vilt.ts";
import { loadOfficial } from "../../src/models/official.ts";
import { viltSpec } from "../../src/models/vilt.ts";
import { specEntries } from "../../src/nn/spec.ts";
import { toHost } from "../../src/program/compile.ts";
import { officialConfig } from "../bench/official.ts";
import { testInFolder } from "../testing/folders.ts";
import { Call, makePth, Name, tensor } from "./make_pth.ts";
import { albefShapes, type Shapes, TINY, vitShapes } from "./shapes.ts";

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** A file with tensors of some names in its member `key`, beside what else there is. */
async function write(path: string, shapes: Shapes, key: string, others: Record<string, unknown> = {}): Promise<void> {
  const storages: Record<string, Float32Array> = {};
  const state = [...shapes].map(([name, shape], at): [string, unknown] => {
    storages[at] = Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(at + i));
    const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
    return [name, tensor(String(at), sizeOf(shape), shape, strides)];
  });
  await Deno.writeFile(path, makePth({ ...others, [key]: new Map(state) }, storages));
}

async function plan(path: string, target: Iterable<readonly [string, readonly number[]]>, options: LoadOptions) {
  const archive = await openCheckpoint(path);
  try {
    const { tensors, report } = await planLoad(target, archive, options);
    return { report, first: [...(await tensors[0]!.read()).data] };
  } finally {
    archive.close();
  }
}

/** Names and shapes of ViLT's Lightning module, pre-trained: `text_embeddings` is BERT's, `transformer` timm's. */
function viltShapes(): Shapes {
  const { vocabulary, positions, vision: width } = TINY,
    affine = (name: string, rows: number): [string, number[]][] => [
      [`${name}.weight`, [rows, width]],
      [`${name}.bias`, [rows]],
    ];
  const norm = (name: string): [string, number[]][] => [[`${name}.weight`, [width]], [`${name}.bias`, [width]]];
  return new Map<string, readonly number[]>([
    ["text_embeddings.position_ids", [1, positions]],
    ["text_embeddings.word_embeddings.weight", [vocabulary, width]],
    ["text_embeddings.position_embeddings.weight", [positions, width]],
    ["text_embeddings.token_type_embeddings.weight", [2, width]],
    ...norm("text_embeddings.LayerNorm"),
    ["token_type_embeddings.weight", [2, width]],
    ...[...vitShapes(TINY)].map(([name, shape]) => [`transformer.${name}`, shape] as const),
    ...affine("pooler.dense", width),
    ["mlm_score.bias", [vocabulary]],
    ...affine("mlm_score.transform.dense", width),
    ...norm("mlm_score.transform.LayerNorm"),
    ["mlm_score.decoder.weight", [vocabulary, width]],
    ...affine("itm_score.fc", 2),
    ...affine("rank_output", 1),
  ]);
}

const viltTarget = specEntries(viltSpec({
  vision: { resolution: 48, patch: 8, width: 32, depth: TINY.visionDepth, heads: 2, eps: 1e-6 },
  text: { vocabulary: TINY.vocabulary, maxPositions: TINY.positions, dropout: 0, eps: 1e-12, padId: 0 },
})).map(([name, { shape }]) => [name, shape] as const);

/** What Lightning saves beside a model; callbacks go by their classes. */
const lightning = {
  epoch: 9,
  global_step: 100000,
  "pytorch-lightning_version": "1.1.4",
  callbacks: new Map([[new Name("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"), {
    best_model_score: null,
    best_model_path: "epoch=9.ckpt",
  }]]),
  optimizer_states: [{ state: {}, param_groups: [{ lr: 1e-4 }] }],
  hyper_parameters: { config: { exp_name: "mlm_itm", max_text_len: 40 } },
};

testInFolder("a .ckpt of ViLT loads by its names, at a larger resolution", async (dir) => {
  const path = `${dir}/vilt_200k_mlm_itm.ckpt`;
  await write(path, viltShapes(), "state_dict", lightning);
  const { report } = await plan(path, viltTarget, { table: viltNames(), resizePositions: true });
  assertEquals([report.loaded.length, report.missing, report.leftOver], [viltTarget.length, [], []]);
  assertEquals(report.resized, [{ name: "transformer.pos_embed", from: [1, 17, 32], to: [1, 37, 32] }]);
  assertEquals(report.ignored.map(({ name }) => name), [
    "text_embeddings.position_ids",
    "rank_output.weight",
    "rank_output.bias",
  ]);
});

testInFolder("names that are wrapped are found, and those that are missing or left over are listed", async (dir) => {
  const path = `${dir}/a.pth`, options = { table: viltNames(), resizePositions: true };
  const wrapped = (prefix: string, shapes: Shapes) =>
    new Map([...shapes].map(([name, shape]) => [prefix + name, shape]));
  await write(path, viltShapes(), "model");
  const { first } = await plan(path, viltTarget, options);
  for (const prefix of ["module.", "state_dict.", "state_dict.module."]) {
    await write(path, wrapped(prefix, viltShapes()), "model");
    const wrappedPlan = await plan(path, viltTarget, options);
    assertEquals([wrappedPlan.first, wrappedPlan.report.leftOver], [first, []]);
    assertEquals(wrappedPlan.report.ignored[0]!.name, `${prefix}text_embeddings.position_ids`);
  }
  const shapes = viltShapes();
  shapes.delete("pooler.dense.bias");
  shapes.set("pooler.other", [3]);
  shapes.set("itm_score.fc.bias", [3]);
  await write(path, wrapped("module.", shapes), "model");
  await assertRejects(
    () => plan(path, viltTarget, options),
    RangeError,
    `Cannot load the parameters from "${path}" by the names of ViLT; 1 missing: pooler.dense.bias; ` +
      "1 that do not fit: itm_score.fc.bias is [3], must be [2]; left over in the file: ",
  );
  // One name that is not wrapped: then nothing is.
  await write(path, new Map([...wrapped("module.", viltShapes()), ["temp", []]]), "model");
  await assertRejects(() => plan(path, viltTarget, options), RangeError, `${viltTarget.length} missing: `);
});

testInFolder("a checkpoint of TCL loads by ALBEF's names; momentum copies and queues are ignored", async (dir) => {
  const path = `${dir}/TCL_4M.pth`, own = albefShapes(TINY);
  const copies = [...own].filter(([name]) => !/^(temp|itm_head)/.test(name))
    .map(([name, shape]) => [name.replace(/^(\w+)\./, "$1_m."), shape] as const);
  const queues = [["image_queue", [16, 8]], ["text_queue", [16, 8]], ["queue_ptr", [1]]] as const;
  await write(path, new Map([...own, ...copies, ...queues]), "model", { optimizer: { state: {} }, epoch: 29 });
  const { report } = await plan(path, own, { table: albefNames() });
  assertEquals([report.missing, report.leftOver, report.loaded.length], [[], [], own.size]);
  assertEquals(report.ignored.length, copies.length + queues.length);
  const { params, report: loaded } = await loadOfficial(path, "pretraining", officialConfig(TINY, 32));
  assertEquals([loaded.missing, loaded.leftOver], [[], []]);
  assertEquals((await toHost(params.itm_head.weight)).length, sizeOf(own.get("itm_head.weight")!));

  // For a task whose head the file lacks, also where the names are wrapped.
  await write(path, new Map([...own].map(([name, shape]) => [`module.${name}`, shape])), "model");
  const { report: nlvr } = await loadOfficial(path, "nlvr", officialConfig(TINY, 32));
  assertEquals(nlvr.missing.every((name) => name.startsWith("cls_head.")), true);
});

testInFolder("a class of Lightning is a name: calling it is refused", async (dir) => {
  await Deno.writeFile(`${dir}/a.ckpt`, makePth({ state_dict: {}, x: new Call("pytorch_lightning.Trainer", []) }));
  await assertRejects(
    () => openCheckpoint(`${dir}/a.ckpt`),
    SyntaxError,
    'calls "pytorch_lightning.Trainer", which is no function',
  );
});
