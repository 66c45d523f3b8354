import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { pairRecipes, streamRecipes } from "../../src/recipes/mod.ts";
import type { Recipe } from "../../src/recipes/recipe.ts";
import type { Fields } from "../../src/settings/field.ts";
import { snapshot } from "../testing/folders.ts";
import { assertRefused, changed, copyHalf, inProcess, regionFlags, STEPS, withScenes } from "./pretrain.ts";

const losses = async (dir: string): Promise<[number, number][]> =>
  (await Deno.readTextFile(`${dir}/metrics.jsonl`)).trimEnd().split("\n").map((line) => JSON.parse(line))
    .map(({ step, loss }) => [step, loss]);

/** Flags of a recipe that is small and does all that it can: queues of 4 mini-batches, soft targets, regions with names. */
async function flagsOf(recipe: string, { fields, looksAtRegions = false }: AnyRecipe, dir: string): Promise<string[]> {
  return [
    ...["--recipe", recipe],
    ...("keyQueue" in fields ? ["--key-queue", "16"] : []),
    ...("alpha" in fields ? ["--alpha", "0.4"] : []),
    ...(looksAtRegions ? await regionFlags(dir) : []),
  ];
}

type AnyRecipe = Pick<Recipe<Fields, unknown>, "fields" | "looksAtRegions">;
for (const [recipe, own] of Object.entries<AnyRecipe>({ ...pairRecipes, ...streamRecipes })) {
  Deno.test(`--recipe ${recipe} trains, resumes with the same bytes, and is repeated from its settings.json`, async () => {
    await withScenes(async (dir, flags) => {
      const run = [...flags, ...STEPS, ...await flagsOf(recipe, own, dir)];
      const { summary, err } = await inProcess(...run, "--out", `${dir}/whole`);
      assertEquals(summary.steps, 4);
      assert(/ step 4\/4 loss [\d.]+ \(\w+ -?[\d.]+ /.test(err), err);
      await copyHalf(`${dir}/whole`, `${dir}/part`);
      const resumed = await inProcess(...run, "--out", `${dir}/part`, "--resume");
      assertEquals(resumed.summary.sha256, summary.sha256);
      assertEquals(resumed.summary.loss, summary.loss);
      assertEquals(await losses(`${dir}/part`), await losses(`${dir}/whole`));
      const again = await inProcess("--config", `${dir}/whole/settings.json`, "--out", `${dir}/again`);
      assertEquals(again.summary.sha256, summary.sha256);
    });
  });
}

Deno.test("what changes nothing may change when a run is resumed", async () => {
  await withScenes(async (dir, flags) => {
    const run = [...flags, ...STEPS], { summary } = await inProcess(...run, "--out", `${dir}/whole`);
    const resumed = async (...change: string[]) => {
      await copyHalf(`${dir}/whole`, `${dir}/part`);
      const { summary } = await inProcess(...run, "--out", `${dir}/part`, "--resume", ...change);
      const written = JSON.parse(await Deno.readTextFile(`${dir}/part/settings.json`));
      await Deno.remove(`${dir}/part`, { recursive: true });
      return { ...summary, written };
    };
    const workers = await resumed("--workers", "2", "--cache-mb", "0");
    assertEquals(workers.sha256, summary.sha256);
    assertEquals(workers.written.workers, 2);
    const remat = await resumed("--remat");
    assertEquals(remat.written.remat, true);
    assertEquals(remat.sha256, summary.sha256);
  });
});

Deno.test("a resume with other settings is refused by their flags, and leaves every byte as it was", async () => {
  await withScenes(async (dir, flags) => {
    const run = [...flags, "--steps", "2", "--out", `${dir}/run`];
    await inProcess(...run);
    await inProcess(...flags, "--steps", "2", "--out", `${dir}/sep`, "--sep");
    const before = await snapshot(dir);
    const refused = async (sentence: string, ...change: string[]): Promise<void> => {
      await assertRefused([...run, "--resume", ...change], sentence);
      assertEquals(await snapshot(dir), before);
    };
    await refused(
      "--mask was 0.5 and is 0.3 now; use the old value, or start a new run in another folder",
      "--mask",
      "0.3",
    );
    await refused("--sep was false and is true now", "--sep");
    await refused('--on-error was "stop" and is "skip" now', "--on-error", "skip");
    await refused('--recipe was "grit" and is "albef" now', "--recipe", "albef");
    await refused('--negatives was "multinomial" and is "random" now', "--negatives", "random");
    await refused("--dropout was", "--dropout", "0.2");
    await refused('--tokenizer was "sha256:', "--tokenizer", `${dir}/sep/tokenizer.json`);
    await assertRefused(run, `Cannot start a run in "${dir}/run": it holds the checkpoint "step-00000002"`);
    await assertRefused([...run, "--config", `${dir}/sep/settings.json`], "Cannot start a run in");
    assertEquals(await snapshot(dir), before);
  });
});

Deno.test("a resume with other captions is refused wherever they lie; the same ones may lie elsewhere", async () => {
  await withScenes(async (dir, flags) => {
    const run = [...flags, ...STEPS], { summary } = await inProcess(...run, "--out", `${dir}/whole`);
    await copyHalf(`${dir}/whole`, `${dir}/part`);
    const text = await Deno.readTextFile(flags[1]!), moved = changed(run, { "--data": `${dir}/moved.json` });
    // As many captions of the same words, each with another image.
    const data = JSON.parse(text), captions = data.annotations.map((a: { caption: string }) => a.caption);
    for (const [i, a] of data.annotations.entries()) a.caption = captions[(i + 2) % captions.length];
    await Deno.writeTextFile(`${dir}/moved.json`, JSON.stringify(data));
    const before = await snapshot(dir);
    await assertRefused([...moved, "--out", `${dir}/part`, "--resume"], '--data was ["sha256:');
    assertEquals(await snapshot(dir), before);
    await Deno.writeTextFile(`${dir}/moved.json`, text);
    const resumed = await inProcess(...moved, "--out", `${dir}/part`, "--resume");
    assertEquals(resumed.summary.sha256, summary.sha256);
  });
});

Deno.test("a resumed run has the tokenizer that it began with, not one of other captions", async () => {
  await withScenes(async (dir, flags) => {
    const captions = flags[1]!, run = [...flags, ...STEPS];
    const { summary } = await inProcess(...run, "--out", `${dir}/whole`);
    await copyHalf(`${dir}/whole`, `${dir}/part`);
    const saved = await Deno.readTextFile(`${dir}/part/tokenizer.json`);
    // Words in other places make a vocabulary of the same size with other ids.
    const text = await Deno.readTextFile(captions), words = ["red", "green", "blue", "yellow", "purple"];
    const turned = (word: string): string => words[(words.indexOf(word) + 1) % words.length]!;
    const other = text.replace(new RegExp(`\\b(${words.join("|")})\\b`, "g"), turned);
    assertNotEquals(other, text);
    await Deno.writeTextFile(captions, other);
    await Deno.rename(`${dir}/part/tokenizer.json`, `${dir}/tokenizer.json`);
    await assertRefused([...run, "--out", `${dir}/part`, "--resume"], '--data was ["sha256:');
    await Deno.writeTextFile(captions, text);
    const resumed = await inProcess(...run, "--out", `${dir}/part`, "--resume", "--tokenizer", `${dir}/tokenizer.json`);
    assertEquals(resumed.summary.sha256, summary.sha256);
    assertEquals(await Deno.readTextFile(`${dir}/part/tokenizer.json`), saved);
  });
});

Deno.test("a finished run of the official schedule goes on for more steps; a cosine says how to go on otherwise", async () => {
  await withScenes(async (dir, flags) => {
    const run = [...flags, "--schedule", "official"], part = ["--out", `${dir}/part`];
    const { summary } = await inProcess(...run, "--steps", "4", "--out", `${dir}/whole`);
    await inProcess(...run, "--steps", "2", ...part);
    const more = await inProcess("--config", `${dir}/part/settings.json`, ...part, "--resume", "--steps", "4");
    assertEquals([more.summary.steps, more.summary.sha256], [4, summary.sha256]);
    await inProcess(...flags, "--steps", "2", "--out", `${dir}/cosine`);
    const before = await snapshot(dir),
      sentence = '"steps" was 2 and is 4 now; the learning rate falls over the number of steps';
    await assertRefused([...flags, "--steps", "4", "--out", `${dir}/cosine`, "--resume"], sentence);
    assertEquals(await snapshot(dir), before);
  });
});
