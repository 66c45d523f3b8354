import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { SCENE_REGION_CLASSES, writeSceneRegions } from "../../src/data/scenes/regions.ts";
import { sceneFiles } from "../../src/data/scenes/write.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { specEntries } from "../../src/nn/spec.ts";
import { imagebert } from "../../src/recipes/imagebert.ts";
import { setupOf } from "../recipes/squares.ts";
import { assertRefused, inProcess, withScenes } from "./pretrain.ts";

/** Steps of a run; there is a checkpoint in the middle. */
const STEPS = ["--steps", "4", "--checkpoint-every", "2"];

/** Flags that give the scenes' regions and the names of their classes. */
async function regionFlags(dir: string): Promise<string[]> {
  const regions = await writeSceneRegions(sceneFiles(`${dir}/scenes`, "train"), { size: 16 });
  await Deno.writeTextFile(`${dir}/names.txt`, SCENE_REGION_CLASSES.join("\n") + "\n");
  return ["--regions", regions, "--region-names", `${dir}/names.txt`, "--most-regions", "3"];
}

/** Copies a finished run as it was after its checkpoint in the middle. */
async function copyHalf(whole: string, part: string): Promise<void> {
  await Deno.mkdir(part);
  for await (const { name } of Deno.readDir(whole)) {
    if (!name.startsWith("step-00000004")) await Deno.copyFile(`${whole}/${name}`, `${part}/${name}`);
  }
}

for (const [recipe, looksAtRegions] of [["imagebert", true], ["uvlp", true], ["mug", false]] as const) {
  Deno.test(`--recipe ${recipe} trains and resumes with the same bytes`, async () => {
    await withScenes(async (dir, flags) => {
      const run = [...flags, ...STEPS, "--recipe", recipe, ...(looksAtRegions ? await regionFlags(dir) : [])];
      const { summary } = await inProcess(...run, "--out", `${dir}/whole`);
      assertEquals(summary.steps, 4);
      await copyHalf(`${dir}/whole`, `${dir}/part`);
      const resumed = await inProcess(...run, "--out", `${dir}/part`, "--resume");
      assertEquals([resumed.summary.sha256, resumed.summary.loss], [summary.sha256, summary.loss]);
    });
  });
}

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
