import { assertEquals, assertMatch } from "@std/assert";
import { exampleCommand, runExample } from "../testing/permissions.ts";
import { SIZES, withTaskScenes } from "./finetune.ts";

Deno.test({
  name: "finetune.ts ends on Ctrl-C also after it has evaluated, and says how to go on",
  ignore: Deno.build.os === "windows", // it cannot send signals
  async fn() {
    await withTaskScenes(async (dir, files) => {
      const { questions, images } = files("train"), out = `${dir}/run`;
      const data = ["--data", questions, "--images", images, "--val-data", questions, "--val-images", images];
      const often = ["--steps", "5000", "--log-every", "1", "--evaluate-every", "2"];
      const child = exampleCommand("finetune", ["vqa", ...data, ...SIZES, ...often, "--out", out]).spawn();
      const drained = child.stdout.cancel();
      let err = "", sent = false;
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
        err += text;
        if (!sent && /^step 2: accuracy/m.test(err)) child.kill("SIGINT"), sent = true;
      }
      await drained;
      assertEquals((await child.status).code, 130, err);
      assertMatch(err, /stopped at step \d+\/5000.*\n\n.*finetune.ts vqa --config .*settings.json --out .* --resume/);
      const scored = await runExample("evaluate", "vqa", "--checkpoint", out, "--data", questions, "--images", images);
      assertEquals(scored.code, 0, scored.err);
      assertMatch(scored.out, /"accuracy"/);
    });
  },
});
