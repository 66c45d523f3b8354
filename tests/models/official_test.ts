import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { defaultDevice, Device } from "../../src/gpu/device.ts";
import { UnsupportedError } from "../../src/gpu/errors.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { writeSafetensors } from "../../src/io/safetensors.ts";
import { loadOfficial } from "../../src/models/official.ts";
import { toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { entries, type Tree } from "../../src/program/tree.ts";
import { answerFrom, officialConfig } from "../bench/official.ts";
import { type OfficialFile, officialShapes, writeOfficialPth } from "../io/official_pth.ts";
import { TINY } from "../io/shapes.ts";
import { filled } from "../io/testing.ts";
import { withFolder } from "../testing/folders.ts";

const config = officialConfig(TINY, 48), layer = "encoder.layer";
const queues = ["image_queue", "text_queue"];

/** A file with momentum copies, and how to read one of its tensors. */
async function withOfficial(
  file: OfficialFile,
  use: (path: string, read: (name: string) => Promise<number[]>) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/${file}.pth`;
    await writeOfficialPth(path, file, TINY, { momentum: true });
    const archive = await openCheckpoint(path);
    await use(path, async (name) => [...(await archive.read(name)).data]);
    archive.close();
  });
}

const valuesOf = async (t: Tensor): Promise<number[]> => [...await toHost(t)];

Deno.test("loadOfficial() starts every task from a pre-trained file, at a larger resolution", async () => {
  await withOfficial("pretrained", async (path, read) => {
    const key = (at: number): string => `${layer}.${at}.crossattention.self.key.weight`;
    const fused = await read(`text_encoder.bert.${key(3)}`), table = "visual_encoder.pos_embed";

    const vqa = await loadOfficial(path, "vqa", config);
    assertEquals(await valuesOf(vqa.params.text_decoder.bert.encoder.layer[1]!.crossattention!.self.key.weight), fused);
    assertEquals(vqa.report.resized, [{ name: table, from: [1, 17, 32], to: [1, 37, 32] }]);
    assertEquals(vqa.report.missing, []);
    assertEquals(vqa.report.leftOver.filter((name) => !/^(text_proj|vision_proj|itm_head|temp)/.test(name)), []);
    const ignored = vqa.report.ignored.map(({ name }) => name);
    assert([...queues, `text_encoder_m.bert.${key(3)}`].every((name) => ignored.includes(name)));

    const { params: nlvr, report } = await loadOfficial(path, "nlvr", config, { seed: 3 });
    const [, , , , first, second] = nlvr.text_encoder.encoder.layer;
    assertEquals(await valuesOf(first!.crossattention!.self.key!.weight), fused);
    assertEquals(second!.crossattention!.self.key, undefined, "it is the first one's");
    assertEquals(
      await valuesOf(second!.crossattention!.self.query.weight),
      await read(`text_encoder.bert.${layer}.3.crossattention.self.query.weight`),
    );
    assertEquals(report.missing, ["cls_head.0.weight", "cls_head.0.bias", "cls_head.2.weight", "cls_head.2.bias"]);
    const head = await valuesOf(nlvr.cls_head[0].weight);
    assert(new Set(head).size > 1000, "the head is drawn");

    for (const task of ["retrieval", "grounding", "pretraining", "entailment"] as const) {
      const { missing } = (await loadOfficial(path, task, config)).report;
      assertEquals(missing, task === "entailment" ? report.missing : [], task);
    }
  });
});

for (const [file, task] of [["vqa", "vqa"], ["retrieval", "grounding"], ["nlvr", "nlvr"]] as const) {
  Deno.test(`loadOfficial() loads all of a file fine-tuned for ${file}`, async () => {
    await withOfficial(file, async (path, read) => {
      const { params, report } = await loadOfficial(path, task, config), tree = params as Tree;
      assertEquals(report.missing, []);
      assertEquals(report.leftOver, []);
      const second = report.ignored.filter(({ reason }) => /it equals .*layer\.[24]\.crossattention/.test(reason));
      assertEquals(second.length, file === "nlvr" ? 8 : 0);
      for (const [name, t] of entries(tree)) {
        if (name.includes("layer.2.") || name.includes("layer.4.")) assertEquals(await valuesOf(t), await read(name));
      }
    });
  });
}

Deno.test("loadOfficial() keeps matrices in f16, and says what does not fit", async () => {
  await withOfficial("vqa", async (path) => {
    const { params } = await loadOfficial(path, "vqa", config, { precision: "f16" });
    for (const [name, { shape, dtype }] of entries(params as Tree)) {
      assertEquals(dtype, shape.length > 1 && !name.endsWith("cls_token") ? "f16" : "f32", name);
    }
    const { gpu, adapter, profile } = await defaultDevice(),
      device = new Device(gpu, adapter, { ...profile, f16: false });
    await assertRejects(
      () => loadOfficial(path, "vqa", config, { precision: "f16", device }),
      UnsupportedError,
      `Cannot keep parameters in half precision: the adapter "${adapter}" has no 16-bit floats (shader-f16): load them in f32`,
    );
    const large = path.replace("vqa.pth", "large.safetensors"), shapes = officialShapes("vqa", TINY);
    await writeSafetensors(
      large,
      filled(shapes).map((t) => ({ ...t, data: t.data.map((x) => x % 70000) as Float32Array<ArrayBuffer> })),
    );
    await assertRejects(
      () => loadOfficial(large, "vqa", officialConfig(TINY, TINY.image), { precision: "f16" }),
      RangeError,
      "in half precision: f16 holds numbers up to 65504: one is 67000; load it in f32",
    );
    await assertRejects(() => loadOfficial(path, "retrieval", config), RangeError, "missing: vision_proj.weight");
    await assertRejects(
      () => loadOfficial(path, "captions" as "vqa", config),
      RangeError,
      'the task must be one of pretraining, retrieval, grounding, vqa, nlvr, entailment: it is "captions"',
    );
  });
});

for (const task of ["vqa", "retrieval", "nlvr", "grounding"] as const) {
  Deno.test(`a pre-trained file answers (${task}), in f32 and with matrices in f16 alike`, async () => {
    await withOfficial("pretrained", async (path) => {
      const single = await answerFrom(path, task, { config, precision: "f32", candidates: 8 });
      const half = await answerFrom(path, task, { config, precision: "f16", candidates: 8 });
      assert(half.line.parameter_bytes < 0.6 * single.line.parameter_bytes);
      for (const [name, values] of Object.entries(single.answers)) {
        const tolerance = 0.01 * Math.max(...values.map(Math.abs));
        assertEquals(half.answers[name]!.length, values.length);
        values.forEach((value, i) => assertAlmostEquals(half.answers[name]![i]!, value, tolerance, name));
      }
    });
  });
}
