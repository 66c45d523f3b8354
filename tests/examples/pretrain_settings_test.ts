import { assert, assertEquals, assertMatch } from "@std/assert";
import { demoPreset } from "../../examples/pretrain_settings.ts";
import { describeMemory } from "../../src/train/estimate.ts";
import { snapshot } from "../testing/folders.ts";
import { assertRefused, changed, inProcess, withScenes } from "./pretrain.ts";

Deno.test("settings are read from TOML; flags win; a misspelt key is refused with the nearest", async () => {
  await withScenes(async (dir, flags) => {
    const [, data, , images] = flags, file = `${dir}/run.toml`, out = ["--out", `${dir}/run`];
    const lines = [
      `data = ["${data}"]`,
      `images = "${images}"`,
      "resolution = 16",
      "batch = 4 # four",
      "sub-queue = 8",
      "queue = 8",
      "text-length = 12",
      "vocabulary = 200",
      "steps = 9",
      "mask = 0.25",
      "no-such-thing = 1",
    ];
    const write = (lines: readonly string[]): Promise<void> => Deno.writeTextFile(file, lines.join("\n"));
    const refused = async (changed: string, sentence: string): Promise<void> => {
      await write(lines.with(-1, changed));
      await assertRefused(["--config", file, ...out], `"${file}": ${sentence}`, true);
    };
    await refused("warmpu = 1", 'unknown setting "warmpu"; did you mean "warmup"?');
    await refused("epochs = 0", '"epochs" must be a whole number of at least 1: it is 0');
    await refused("resume = true", '"resume" must be given as the flag --resume, not in a file');
    await write(lines.slice(0, -1));
    const { summary } = await inProcess("--config", file, ...out, "--steps", "2", "--no-detach-keys");
    assertEquals(summary.steps, 2);
    const { format, ...written } = JSON.parse(await Deno.readTextFile(`${dir}/run/settings.json`));
    assertEquals(format, "gritstone-settings-1");
    const { mask, steps, batch, workers } = written;
    assertEquals({ mask, steps, batch, workers, detach: written["detach-keys"] }, {
      mask: 0.25,
      steps: 2,
      batch: 4,
      workers: 1,
      detach: false,
    });
    for (const once of ["resume", "overwrite", "config", "dry-run", "demo", "help"]) assert(!(once in written), once);
  });
});

/** The bytes in a line of the estimate, as they are printed. */
const line = (err: string, name: string): string => new RegExp(`^${name} +(.*)$`, "m").exec(err)![1]!;

/** Bytes of a printed size. */
function bytes(text: string): number {
  const [amount, unit] = text.split(" ");
  return Number(amount) * { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }[unit!]!;
}

Deno.test("epochs are passes over the data, also where a step's mini-batches are not a share of an epoch's", async () => {
  await withScenes(async (dir, flags) => {
    const two = await inProcess(...flags, "--epochs", "2", "--accumulate", "3", "--out", `${dir}/two`);
    assertEquals(two.summary.steps, 3); // of the 10 mini-batches of 2 epochs
    const albef = [...flags, "--recipe", "albef", "--key-queue", "16", "--accumulate", "6", "--steps", "1"];
    assertMatch((await inProcess(...albef, "--out", `${dir}/one`)).err, / alpha 0\.000\)/); // an epoch is less than a step
  });
});

Deno.test("--demo begins anew in a folder of its own only: what is in another one stays unless --overwrite says so", () => {
  assertEquals([demoPreset().out, demoPreset().overwrite], ["runs/demo", true]);
  assertEquals([demoPreset("runs/coco").out, demoPreset("runs/coco").overwrite], ["runs/coco", false]);
});

Deno.test("--model chooses the sizes of the model", async () => {
  await withScenes(async (dir, flags) => {
    const parameters = async (model: string): Promise<number> => {
      const { err } = await inProcess(
        ...changed(flags, { "--model": model }),
        "--memory-gib",
        "0.001",
        "--out",
        `${dir}/out`,
        "--dry-run",
      );
      return bytes(line(err, "parameters"));
    };
    assert(await parameters("small") > 3 * await parameters("tiny"));
    await assertRefused(["--model", "huge"], '--model must be one of tiny, small, base: it is "huge"', true);
  });
});

Deno.test("a recipe of one's own is a module, that of src/recipes/README.md for instance", async () => {
  await withScenes(async (dir, flags) => {
    const mod = import.meta.resolve("../../mod.ts"), out = ["--out", `${dir}/run`, "--steps", "2"];
    const page = await Deno.readTextFile(new URL("../../src/recipes/README.md", import.meta.url));
    const [, code] = /```ts ignore\n(.*?)```/s.exec(page)!;
    await Deno.writeTextFile(`${dir}/clip.ts`, code!.replaceAll(`"./mod.ts"`, JSON.stringify(mod)));
    await Deno.writeTextFile(`${dir}/nothing.ts`, "export const grit = 1;\n");
    const own = [...flags, ...out, "--recipe", `${dir}/clip.ts`];
    const { err } = await inProcess(...own, "--temperature", "0.1");
    assertMatch(err, / step 2\/2 loss [\d.]+ /);
    assertMatch(
      (await inProcess("--recipe", `${dir}/clip.ts`, "--help")).out,
      /^Recipe:\n {2}--temperature N\n.*of the softmax, not learned/m,
    );
    await assertRefused([...own, "--temperature", "0.2", "--resume"], "--temperature was 0.1 and is 0.2 now");
    await assertRefused([...own, "--consistency", "1"], "Unknown flag --consistency", true);
    await assertRefused(["--recipe", `${dir}/nothing.ts`], "must have a recipe as its default export", true);
    await Deno.writeTextFile(`${dir}/no_recipe.ts`, "export default { fields: 5, objective: 5 };\n");
    await assertRefused(["--recipe", `${dir}/no_recipe.ts`], "must have a recipe as its default export", true);
    await Deno.writeTextFile(
      `${dir}/clash.ts`,
      `import { pairRecipes, settings } from "${mod}";
const { grit } = pairRecipes;
export default { ...grit, fields: { ...grit.fields, batch: settings.count(4, "of mine", { resume: "free" }) } };
`,
    );
    await assertRefused(
      ["--recipe", `${dir}/clash.ts`],
      `The settings of --recipe "${dir}/clash.ts" must have names of their own: "batch" is one that all recipes share`,
      true,
    );
    await assertRefused(
      ["--recipe", "gritt"],
      "--recipe must be one of grit, albef, albef-queue, mafa, retrieval",
      true,
    );
  });
});

/** The most that is printed to fit. */
const largest = (err: string): number => Number(/largest batch in [\d.]+ GiB: (\d+)\n/.exec(err)![1]);

for (const [recipe, more] of [["grit", []], ["albef", ["--key-queue", "1024"]]] as const) {
  Deno.test(`--dry-run prints what a run of ${recipe} takes and the largest batch that fits, and writes nothing`, async () => {
    await withScenes(async (dir, flags) => {
      const rows = Array.from({ length: 900 }, (_, i) => ({ image: "a.png", caption: `a small ring ${i % 7}` }));
      await Deno.writeTextFile(`${dir}/many.json`, JSON.stringify(rows));
      const dry = [
        ...flags.with(1, `${dir}/many.json`),
        "--recipe",
        recipe,
        ...more,
        "--out",
        `${dir}/out`,
        "--dry-run",
      ];
      const before = await snapshot(dir);
      const { out, err } = await inProcess(...dry, "--memory-gib", "0.1");
      assertEquals(out, "");
      assertMatch(err, /^[\d,]+ parameters; [\d.e-]+ TFLOP a mini-batch$/m);
      assertMatch(err, /^a step runs \d+ kernels, \d+ of them distinct: these are compiled first$/m);
      const most = largest(err), limit = 0.1 * 2 ** 30;
      assert(most > 10 && most < 900, `${most}`);
      for (const [batch, fits] of [[most, true], [Math.ceil(1.05 * most), false]] as const) {
        const { err } = await inProcess(...changed(dry, { "--batch": batch }), "--memory-gib", "0.001");
        const total = bytes(line(err, "total"));
        assert(fits ? total <= 1.001 * limit : total > limit, `batch ${batch}: ${total} of ${limit} bytes`);
      }
      const parts = Object.fromEntries(
        err.matchAll(/^(\w+) +([\d.]+ \w+)$/gm).map(([, name, size]) => [name, bytes(size!)]),
      );
      assertEquals(Object.keys(parts).at(-1), "total");
      const { total, ...rest } = parts as { total: number };
      assert(
        Math.abs(Object.values(rest as Record<string, number>).reduce((a, b) => a + b) / total - 1) < 0.01,
        describeMemory(parts as never),
      );

      assertEquals(await snapshot(dir), before);
    });
  });
}

Deno.test("--dry-run with default sizes ends with a number, however much memory there is, and writes nothing", async () => {
  await withScenes(async (dir, flags) => {
    const many = `${dir}/many.json`, rows = Array.from({ length: 9000 }, () => ({ image: "a.png", caption: "a ring" }));
    await Deno.writeTextFile(many, JSON.stringify(rows));
    const before = await snapshot(dir), dry = ["--data", many, "--out", `${dir}/out`, "--dry-run"];
    const most = largest((await inProcess(...dry, "--memory-gib", "1000")).err);
    assert(most > 960 && most < 9000, `${most}`); // more than the queue, and less than all: an op refuses so many ids
    const keys = ["--recipe", "albef", "--key-queue", "64"];
    const { err } = await inProcess(...dry, ...keys, "--batch", "8", "--memory-gib", "1000", "--text-length", "4");
    assertEquals(largest(err), 64); // as many as the queue of keys
    assertEquals(largest((await inProcess(...flags.slice(0, 4), ...dry.slice(2))).err), 20); // all examples
    assertEquals(await snapshot(dir), before);
  });
});
