import { assert, assertEquals, assertMatch } from "@std/assert";
import { UsageError } from "../../src/settings/errors.ts";
import { evaluate, FILES, finetune, SIZES, type Task, withTaskScenes } from "./finetune.ts";

/** What the result of a task says of a split. */
const FIGURES: Readonly<Record<Task, readonly string[]>> = {
  retrieval: ["images", "texts", "k", "chance", "cosine", "reranked"],
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
      assertEquals(protocol.init, task === "nlvr2" ? `${out}/assignment/step-00000001.safetensors` : null);
      assertEquals([Object.keys(val), Object.keys(test)], [FIGURES[task], FIGURES[task]]);

      const split = ["--data", files("test")[FILES[task]], "--images", images, "--batch", "16"];
      const flags = task === "nlvr2" ? [] : own[task] ?? [];
      const result = (await evaluate(task, "--checkpoint", out, ...split, ...flags)).summary;
      assertEquals(result.figures, test);
      assertEquals(result.checkpoint, `${out}/best.safetensors`);
    });
  });
}
