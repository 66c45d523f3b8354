import { assert, assertEquals, assertMatch } from "@std/assert";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { UsageError } from "../../src/settings/errors.ts";
import { snapshot } from "../testing/folders.ts";
import { changed, inProcess } from "./pretrain.ts";
import { evaluate, FILES, finetune, SIZES, type Task, withTaskScenes } from "./finetune.ts";

/** What the result of a task says of a split. */
const FIGURES: Readonly<Record<Task, readonly string[]>> = {
  retrieval: ["images", "texts", "k", "chance", "cosine", "reranked", "joint"],
  vqa: ["questions", "metric", "accuracy", "perAnswerType", "majority"],
  nlvr2: ["sentences", "precision", "interval95", "consistency", "majority"],
  entailment: ["sentences", "accuracy", "interval95", "perClass", "majority"],
  grounding: ["expressions", "splits"],
};

for (const task of Object.keys(FILES) as Task[]) {
  Deno.test(`finetune.ts ${task} selects on val, tests at the end, and evaluate.ts finds the same`, async () => {
    await withTaskScenes(async (dir, files) => {
      const { images, detections } = files("train"), out = `${dir}/run`;
      const own: Partial<Record<Task, string[]>> = {
        retrieval: ["--k", "4"],
        vqa: ["--pretrain-steps", "1"],
        grounding: ["--detections", detections],
        nlvr2: ["--assignment-steps", "1", "--assignment-data", files("train").captions, "--assignment-images", images],
      };
      const data = (["train", "val", "test"] as const).flatMap((split) => {
        const flag = split === "train" ? "" : `${split}-`;
        return [`--${flag}data`, files(split)[FILES[task]], `--${flag}images`, images];
      });
      const { summary } = await finetune(task, ...data, ...SIZES, ...own[task] ?? [], "--out", out, "--steps", "2");
      assertEquals([summary.task, summary.steps], [task, 2]);
      const { protocol, val, test } = summary;
      assertEquals([protocol.zeroShot, protocol.resolution, protocol.selection, protocol.step], [false, 16, "val", 2]);
      const before = { nlvr2: "assignment", vqa: "pretraining" }[task as string];
      assertEquals(protocol.init, before ? `${out}/${before}/step-00000001.safetensors` : null);
      assertEquals([Object.keys(val), Object.keys(test)], [FIGURES[task], FIGURES[task]]);

      const split = ["--data", files("test")[FILES[task]], "--images", images, "--batch", "16"];
      const flags = before ? [] : own[task] ?? [];
      const result = (await evaluate(task, "--checkpoint", out, ...split, ...flags)).summary;
      assertEquals(result.figures, test);
      assertEquals(result.checkpoint, `${out}/best.safetensors`);

      if (task === "vqa") {
        const written = ["--generate", "2", "--predictions", `${dir}/results.json`];
        const { figures, protocol } = (await evaluate(task, "--checkpoint", out, ...split, ...written)).summary;
        assertEquals([figures.questions, protocol.beams], [test.questions, 2]);
        const results = JSON.parse(await Deno.readTextFile(`${dir}/results.json`));
        const asked = JSON.parse(await Deno.readTextFile(files("test").questions));
        const ids = (rows: { question_id: number }[]) => rows.map(({ question_id }) => question_id);
        assertEquals(ids(results), ids(asked));
        assert(results.every(({ answer }: { answer: unknown }) => typeof answer === "string"));
      }
      if (task !== "nlvr2") return;
      // Interrupted between the trainings: the first one is not repeated.
      for (const ending of ["json", "safetensors"]) await Deno.remove(`${out}/step-00000002.${ending}`);
      const again = await finetune(task, "--config", `${out}/settings.json`, "--out", out, "--resume");
      assertMatch(again.err, /resumed from .*assignment\/step-00000001/);
      assertEquals([again.summary.sha256, again.summary.protocol], [summary.sha256, protocol]);
    });
  });
}

/** Flags of a short run on questions. */
function questions(dir: string, files: (split: "train" | "val") => { questions: string; images: string }): string[] {
  const { questions, images } = files("train"), { questions: val } = files("val");
  const data = ["--data", questions, "--images", images, "--val-data", val, "--val-images", images];
  return ["vqa", ...data, ...SIZES, "--out", `${dir}/run`];
}

Deno.test("finetune.ts goes on after an interruption to the same bytes and the same best model", async () => {
  await withTaskScenes(async (dir, files) => {
    const run = [...questions(dir, files), "--steps", "4", "--checkpoint-every", "2", "--evaluate-every", "1"];
    const whole = (await finetune(...run)).summary;
    const best = async () => [await Deno.readTextFile(`${dir}/run/best.json`), whole.best];
    const before = await best();
    for (const ending of ["json", "safetensors"]) await Deno.remove(`${dir}/run/step-00000004.${ending}`);
    const { summary, err } = await finetune(
      "vqa",
      "--config",
      `${dir}/run/settings.json`,
      "--out",
      `${dir}/run`,
      "--resume",
    );
    assertMatch(err, /resumed from .*step-00000002/);
    assertEquals([summary.sha256, summary.loss, summary.val], [whole.sha256, whole.loss, whole.val]);
    assertEquals(await best(), before);
  });
});

Deno.test("finetune.ts starts from a pre-trained checkpoint: a decoder from the fusion layers, a resized position table", async () => {
  await withTaskScenes(async (dir, files) => {
    const { captions, images } = files("train"), sizes = ["--resolution", "16", "--text-length", "12"];
    const data = ["--data", captions, "--images", images, "--vocabulary", "200", "--batch", "4", "--sub-queue", "4"];
    const pretrained =
      (await inProcess(...data, ...sizes, "--queue", "4", "--steps", "1", "--out", `${dir}/pre`)).summary;
    const flags = changed(questions(dir, files), { "--resolution": 24 });
    const still = ["--init", `${dir}/pre`, "--steps", "1", "--lr", "0", "--min-lr", "0", "--select", "last"];
    const { summary, err } = await finetune(...flags, ...still);
    assertEquals(summary.protocol.init, pretrained.checkpoint);
    assertEquals(summary.protocol.selection, "last step");
    assertMatch(err, /resized.*pos_embed|pos_embed.*resized/s);
    const read = async (path: string, name: string): Promise<unknown> => {
      const archive = await openCheckpoint(path);
      try {
        return (await archive.read(name)).data;
      } finally {
        archive.close();
      }
    };
    const layer = "attention.self.query.weight", head = "cls.predictions.bias";
    const [ours, theirs] = [summary.checkpoint, pretrained.checkpoint];
    for (
      const [own, name] of [
        [`text_decoder.bert.encoder.layer.1.${layer}`, `text_encoder.bert.encoder.layer.3.${layer}`],
        [`text_encoder.encoder.layer.3.${layer}`, `text_encoder.bert.encoder.layer.3.${layer}`],
        [`text_decoder.${head}`, `text_encoder.${head}`],
      ] as const
    ) assertEquals(await read(ours, own), await read(theirs, name));
  });
});

Deno.test("finetune.ts and evaluate.ts refuse what makes no sense before they write anything", async () => {
  await withTaskScenes(async (dir, files) => {
    const run = questions(dir, files), short = [...run, "--steps", "1"], before = await snapshot(dir);
    const refused = async (of: Promise<unknown>, sentence: string, usage = true): Promise<void> => {
      const error = await of.then(() => undefined, (error: Error) => error);
      assert(error?.message.includes(sentence), `${sentence} is not in: ${error?.message}`);
      assertEquals(error instanceof UsageError, usage, error?.name);
    };
    await refused(finetune("vga"), 'must be one of retrieval, vqa, nlvr2, entailment, grounding: it is "vga"');
    await refused(finetune("vqa"), "--data is missing: give files of questions");
    await refused(finetune(...short, "--select", "test"), "--select test needs --test-data");
    await refused(finetune(...run.slice(0, 5), ...SIZES, "--hold-out", "0.001"), "it takes 0 of 16");
    await refused(finetune(...short, "--init", dir), "must be a checkpoint or the folder of a run: it holds none");
    await refused(finetune(...short, "--init", `${dir}/x.pth`), "--tokenizer is missing");
    await refused(finetune(...short, "--answers", `${dir}/none`), "there is no such file", false);
    await refused(finetune("nlvr2", ...run.slice(1), "--assignment-steps", "1"), 'as "', false); // rows of another task
    await refused(evaluate("vqa", "--data", "x.json"), "--checkpoint is missing");
    assertEquals(await snapshot(dir), before);
  });
});
