import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { common } from "../../examples/pretrain_settings.ts";
import { sceneFiles } from "../../src/data/scenes/write.ts";
import { pairRecipes } from "../../src/recipes/mod.ts";
import { settingName } from "../../src/settings/field.ts";
import { listCheckpoints } from "../../src/train/checkpoint.ts";
import { snapshot } from "../testing/folders.ts";
import { assertFails, assertRefused, changed, inProcess, pretrain, SIZES, spawn, withScenes } from "./pretrain.ts";

for (const recipe of ["grit", "albef"] as const) {
  Deno.test(`pretrain.ts --help lists every setting of ${recipe} with its default and the paper's value`, async () => {
    const { code, out } = await pretrain("--help", ...(recipe === "grit" ? [] : ["--recipe", recipe]));
    assertEquals(code, 0);
    const keys = [...Object.keys(common), ...Object.keys(pairRecipes[recipe].fields)];
    assert(keys.length > 50);
    const blocks = out.split(/^ {2}--/m).slice(1);
    assertEquals(blocks.map((b) => b.match(/^(?:\[no-\])?([\w-]+)/)![1]), keys.map(settingName));
    for (const block of blocks) assertMatch(block, /\(default: [^;]+(; paper: .+)?\)/);
    const headings = out.split("\n").filter((line) => /^\S.*:$/.test(line));
    const groups = ["Data", "Model", "Mini-batches", "Optimization", "Adversarial training", "Run", "Recipe"];
    assertEquals(headings, groups.map((name) => `${name}:`));
    const share = recipe === "grit" ? "0.5" : "0.15";
    assertMatch(out, new RegExp(`^Recipe:\n {2}--mask N\n.*\\(default: ${share}; paper: ${share}\\)`, "m"));
    assertMatch(out, /--model tiny\|small\|base\n.*paper: base/);
  });
}

Deno.test("pretrain.ts refuses flags and files that make no sense with exit code 2", async () => {
  await assertFails(["--warmpu", "1"], 2, "Unknown flag --warmpu; did you mean --warmup?");
  await assertFails(["--batch", "many"], 2, '--batch must be a whole number of at least 2: it is "many"');
  await assertFails(["--batch", "2.5"], 2, "--batch must be a whole number of at least 2: it is 2.5");
  await assertFails(["--mask", "-1"], 2, "--mask must be a number from 0 to 1: it is -1");
  await assertFails(["--grit", "maybe"], 2, '--grit must be one of on, off, no-shuffle, naive: it is "maybe"');
  await assertFails([], 2, "--data is missing");
  await assertFails(["--config", "small"], 2, "no such file; sizes of the model are chosen by --model");
});

Deno.test("pretrain.ts names the file and the entry that it cannot use, or skips and lists them", async () => {
  await withScenes(async (dir, flags) => {
    const out = ["--out", `${dir}/run`, "--steps", "2"], images = `${dir}/scenes/train`;
    await assertFails(
      ["--data", `${dir}/none.json`, ...out],
      1,
      `Cannot read "${dir}/none.json": there is no such file`,
    );
    const tooMany = changed(flags, { "--batch": 32, "--sub-queue": 32, "--queue": 32 });
    await assertRefused([...tooMany, ...out], "32");
    await assertRefused(
      [...changed(flags, { "--sub-queue": 10 }), ...out],
      '"subQueue" must be a multiple of "miniBatch"',
    );

    const rows = [...Deno.readDirSync(images)].map((e) => e.name).sort()
      .map((image) => ({ image, caption: "a small red ring" }));
    const list = `${dir}/list.json`;
    const own = ["--data", list, "--images", images, ...out];
    const write = (...rows: unknown[]): Promise<void> => Deno.writeTextFile(list, JSON.stringify(rows));
    const refused = async (row: unknown, sentence: string): Promise<void> => {
      await write(...rows.slice(0, 4), row);
      const five = changed(SIZES, { "--batch": 5, "--sub-queue": 5, "--queue": 5 });
      await assertRefused([...own, ...five, "--overwrite"], sentence);
    };
    await refused({ image: "none.png", caption: "a ring" }, `entry 4: "${images}/none.png" does not exist`);
    const { image } = rows[5]!;
    await refused({ image, caption: " ., " }, `entry 4: "${images}/${image}" has an empty caption`);
    await Deno.truncate(`${images}/${rows[9]!.image}`, 90);
    await write(...rows);
    // Before the first step, though nothing but the last of 10 images is damaged.
    const fresh = ["--data", list, "--images", images, ...SIZES, "--out", `${dir}/checked`];
    await assertRefused([...fresh, "--check", "decode"], `entry 9: "${images}/${rows[9]!.image}" is damaged`);
    assertEquals([...Deno.readDirSync(dir)].filter(({ name }) => name === "checked"), []);
    await refused(rows[9], `entry 4: "${images}/${rows[9]!.image}" is damaged or not an image`);
    await refused({ image: 7 }, `Cannot read "${list}": entry 4 has 7 as "image"`);

    await write(...rows.slice(0, 8), rows[9], { image: 7 });
    const { err } = await inProcess(...own, ...SIZES, "--on-error", "skip");
    assertMatch(err, /skipped in ".*list.json": entry 9 has 7 as "image"/);
    const decoded = await inProcess(...own, ...SIZES, "--on-error", "skip", "--overwrite", "--check", "decode");
    assertMatch(decoded.err, /^images that cannot be used: 1; other examples take their place/m);
    assertMatch(err, /skipped example 8, ".*png": it is damaged or not an image/);
  });
});

Deno.test("pretrain.ts ends with its summary, and after kill -9 and --resume with the same bytes", async () => {
  await withScenes(async (dir, flags) => {
    const steps = [...flags, "--steps", "16", "--checkpoint-every", "3", "--schedule", "official"];
    const whole = await pretrain(...steps, "--out", `${dir}/whole`);
    assertEquals(whole.code, 0, whole.err);
    assertEquals(whole.out.trimEnd().split("\n").length, 1);
    const summary = JSON.parse(whole.out);
    assertEquals(Object.keys(summary), [
      "task",
      "adapter",
      "parameters",
      "steps",
      "seconds",
      "loss",
      "retrieval",
      "checkpoint",
      "sha256",
    ]);
    assertEquals([summary.task, summary.steps, summary.retrieval], ["pretrain", 16, null]);
    assertEquals(summary.checkpoint, `${dir}/whole/step-00000016.safetensors`);
    assert(summary.loss.first > 0 && summary.loss.last > 0 && summary.parameters > 1e5 && summary.seconds > 0);
    assertMatch(summary.sha256, /^[0-9a-f]{64}$/);

    const part = [...steps, "--out", `${dir}/part`], child = spawn(part);
    while (!(await listCheckpoints(`${dir}/part`).catch((): string[] => [])).includes("step-00000006")) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill("SIGKILL");
    assertEquals((await child.output()).signal, "SIGKILL");
    assert(!(await listCheckpoints(`${dir}/part`)).includes("step-00000016"), "the run was over before it was killed");

    const before = await snapshot(dir);
    await assertFails([...part, "--resume", "--lr", "0.5"], 1, "--lr was 0.001 and is 0.5 now");
    await assertFails(part, 1, `Cannot start a run in "${dir}/part"`);
    assertEquals(await snapshot(dir), before);
    const resumed = await inProcess(...part, "--resume");
    assertEquals(resumed.summary.sha256, summary.sha256);
    assertEquals(resumed.summary.loss, summary.loss);
  });
});

/** Shares of the queries in a hundred. */
type Recalls = { r1: number; r5: number; r10: number };

Deno.test("pretrain.ts retrieves from held-out data, whose images it has looked at before training", async () => {
  await withScenes(async (dir, flags) => {
    const { captions, images } = sceneFiles(`${dir}/scenes`, "val");
    const args = [...flags, "--steps", "2", "--val-data", captions, "--val-images", images, "--shortlist", "2"];
    const { retrieval } = (await inProcess(...args, "--out", `${dir}/a`)).summary;
    assertEquals(Object.keys(retrieval), ["candidates", "cosine", "reranked", "joint"]);
    assertEquals(retrieval.candidates, 12);
    for (const kind of ["cosine", "reranked", "joint"]) {
      for (const [direction, queries] of [["i2t", 6], ["t2i", 12]] as const) {
        const recalls: Recalls = retrieval[kind][direction], { r1, r5, r10 } = recalls;
        assertEquals(Object.keys(recalls), ["r1", "r5", "r10"]);
        assert(r1 <= r5 && r5 <= r10 && r10 > 0, JSON.stringify(recalls));
        for (const recall of [r1, r5, r10]) {
          const found = recall * queries / 100;
          assertAlmostEquals(found, Math.round(found), 1e-3);
        }
      }
    }
    assertEquals(retrieval.cosine.t2i.r10, 100); // there are only 6 images
    for (const { r5, r10 } of Object.values<Recalls>(retrieval.reranked)) assertEquals(r5, r10); // only 2 are looked at again
    const [first] = [...Deno.readDirSync(images)].map((e) => e.name).sort();
    await Deno.truncate(`${images}/${first}`, 90);
    const before = await snapshot(dir);
    await assertRefused([...args, "--out", `${dir}/b`], `image 0, "${images}/${first}": it is damaged or not an image`);
    assertEquals(await snapshot(dir), before);
    const rest = await inProcess(...args, "--out", `${dir}/c`, "--on-error", "skip");
    assert(rest.err.includes(`skipped: Cannot evaluate on image 0, "${images}/${first}"`), rest.err);
    assertEquals(rest.summary.retrieval.candidates, 10);
  });
});
