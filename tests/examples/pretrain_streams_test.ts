import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { specEntries } from "../../src/nn/spec.ts";
import { imagebert } from "../../src/recipes/imagebert.ts";
import { setupOf } from "../recipes/squares.ts";
import { assertRefused, copyHalf, inProcess, regionFlags, STEPS, withScenes } from "./pretrain.ts";

/** A checkpoint's parameters by name, without the optimizer's state. */
async function parameters(path: string): Promise<[string, number[]][]> {
  const { spec } = imagebert.objective({ ...setupOf(4), regions: { most: 3, width: 18, classes: 8 } });
  const archive = await openCheckpoint(path), names = specEntries(spec).map(([name]) => name);
  const all = await Promise.all(names.map(async (name) => [name, [...(await archive.read(name)).data]]));
  archive.close();
  return all as [string, number[]][];
}

Deno.test("--recipe imagebert: a stage of data begins with the parameters of the one before", async () => {
  await withScenes(async (dir, flags) => {
    const run = [...flags, "--recipe", "imagebert", ...await regionFlags(dir)], first = `${dir}/first`;
    const { summary } = await inProcess(...run, "--steps", "4", "--out", first);
    const second = ["--init", summary.checkpoint, "--tokenizer", `${first}/tokenizer.json`, "--out", `${dir}/second`];
    const still = await inProcess(...run, "--steps", "1", "--lr", "0", "--min-lr", "0", ...second);
    assertEquals(await parameters(still.summary.checkpoint), await parameters(summary.checkpoint));
    const moved = await inProcess(...run, "--steps", "1", ...second, "--overwrite");
    assertNotEquals(await parameters(moved.summary.checkpoint), await parameters(summary.checkpoint));
  });
});

/** Flags of an attack on the embeddings. */
const ATTACK = ["--adversarial-steps", "2", "--adversarial-step-size", "0.1", "--adversarial-ball", "0.3"];

for (const recipe of ["regions", "grit"]) {
  Deno.test(`--recipe ${recipe} with --adversarial-steps resumes with the same bytes; a dry run counts its passes`, async () => {
    await withScenes(async (dir, flags) => {
      const own = [...flags, ...STEPS, "--recipe", recipe, ...(recipe === "grit" ? [] : await regionFlags(dir))];
      const run = [...own, ...ATTACK], { summary, err } = await inProcess(...run, "--out", `${dir}/whole`);
      assertMatch(err, / clean [\d.]+ adversarial [\d.]+ divergence [\d.]+\)/);
      await copyHalf(`${dir}/whole`, `${dir}/part`);
      const again = [...run, "--out", `${dir}/part`, "--resume"];
      await assertRefused([...again, "--adversarial-kl", "0"], "--adversarial-kl was 1.5 and is 0 now");
      const resumed = await inProcess(...again);
      assertEquals([resumed.summary.sha256, resumed.summary.loss], [summary.sha256, summary.loss]);
      const flop = async (flags: readonly string[]): Promise<number> => {
        const { err } = await inProcess(...flags, "--out", `${dir}/dry`, "--dry-run");
        return Number(/ ([\d.e-]+) TFLOP a mini-batch/.exec(err)![1]);
      };
      const times = await flop(run) / await flop(own);
      assert(times > 4 && times < 6, `${times}`);
    });
  });
}
