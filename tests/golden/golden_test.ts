import { assertEquals, assertStringIncludes } from "@std/assert";
import { runGolden, statusOf } from "./run.ts";

const data = new URL("data", import.meta.url).pathname;

Deno.test("losses, gradients, steps and metrics equal those of the official code", async () => {
  const lines: string[] = [];
  const counts = await runGolden(data, "", (line) => lines.push(line));
  assertEquals(counts, { passed: 15, failed: 0, uncovered: 0 }, lines.join("\n"));
  assertEquals(lines.at(-1), "15 passed, 0 failed, 0 not covered");
  assertEquals(statusOf(counts), 0);
});

/** A copy of some files, with the index as `edit` leaves it. */
async function withCopy(
  files: readonly string[],
  // deno-lint-ignore no-explicit-any
  edit: (index: any, dir: string) => Promise<void> | void,
  check: (dir: string) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir(), index = JSON.parse(await Deno.readTextFile(`${data}/index.json`));
  try {
    index.files = Object.fromEntries(files.map((file) => [file, index.files[file]]));
    for (const file of files) {
      await Deno.mkdir(`${dir}/${file.split("/")[0]}`, { recursive: true });
      await Deno.copyFile(`${data}/${file}`, `${dir}/${file}`);
    }
    await edit(index, dir);
    await Deno.writeTextFile(`${dir}/index.json`, JSON.stringify(index));
    await check(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Replaces one element of an F32 tensor of a file. */
async function change(path: string, name: string, element: number, to: (value: number) => number): Promise<void> {
  const bytes = await Deno.readFile(path), view = new DataView(bytes.buffer);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const at = 8 + length + header[name].data_offsets[0] + 4 * element;
  view.setFloat32(at, to(view.getFloat32(at, true)), true);
  await Deno.writeFile(path, bytes);
}

const text = ["weights", "inputs", "bert_text"].map((name) => `core_neq/${name}.safetensors`);

for (
  const [what, name, to] of [
    ["an output", "out", (x: number) => x + 1e-3],
    ["a gradient", "grad.text_encoder.bert.embeddings.LayerNorm.weight", (x: number) => x * 1.01 + 0.01],
    ["a value that is not a number", "out", () => NaN],
  ] as const
) {
  Deno.test(`the golden check finds ${what} that was changed`, async () => {
    await withCopy(text, (_, dir) => change(`${dir}/${text[2]}`, name, 7, to), async (dir) => {
      const lines: string[] = [];
      const counts = await runGolden(dir, "", (line) => lines.push(line));
      assertEquals(counts, { passed: 0, failed: 1, uncovered: 0 });
      assertStringIncludes(lines.join("\n"), name);
      assertEquals(statusOf(counts), 1);
    });
  });
}

Deno.test("the golden check finds a scalar that was changed, and a tensor that nothing compares", async () => {
  await withCopy(text, (index) => {
    index.files[text[2]!].scalars.loss.value *= 1.001;
  }, async (dir) => assertEquals((await runGolden(dir, "", () => {})).failed, 1));
  await withCopy(text, async (_, dir) => {
    const path = `${dir}/${text[2]}`, bytes = await Deno.readFile(path);
    const renamed = new TextDecoder("latin1").decode(bytes).replace('"hidden1"', '"hiddenX"');
    await Deno.writeFile(path, Uint8Array.from(renamed, (c) => c.charCodeAt(0)));
  }, async (dir) => assertEquals((await runGolden(dir, "", () => {})).failed, 1));
});

Deno.test("a set that is not known is listed as not covered and fails the run", async () => {
  const file = "retrieval/metrics.safetensors";
  await withCopy([file], (index) => {
    index.files["new/unheard_of.safetensors"] = { title: "?", scalars: {} };
    index.files["new/constructor.safetensors"] = { title: "?", scalars: {} };
  }, async (dir) => {
    const lines: string[] = [], counts = await runGolden(dir, "", (line) => lines.push(line));
    assertEquals(counts, { passed: 1, failed: 0, uncovered: 2 });
    assertStringIncludes(lines[1]!, "not covered");
    assertEquals(statusOf(counts), 1);
  });
});

Deno.test("the name of a set's folder says nothing", async () => {
  const file = "retrieval/metrics.safetensors", moved = "other_7/metrics.safetensors";
  await withCopy([file], async (index, dir) => {
    index.files = { [moved]: index.files[file] };
    await Deno.rename(`${dir}/retrieval`, `${dir}/other_7`);
  }, async (dir) => assertEquals(await runGolden(dir, "", () => {}), { passed: 1, failed: 0, uncovered: 0 }));
});

Deno.test("a schedule starts from the optimizer's rate, whatever rate its own settings name", async () => {
  // Half a cosine of 2 epochs after 1 block of warm-up, from a rate that the settings do not name.
  const schedular = { lr: 5, min_lr: 1e-5, warmup_lr: 1e-5, warmup_epochs: 1, epochs: 2 };
  const run = (middle: number) => ({
    schedular,
    optimizer_lr: 3e-4,
    steps_per_epoch: 50,
    table_epoch_step_lr: [[0, 0, 1e-5], [1, 0, middle], [2, 0, 1e-5]],
  });
  for (const [middle, failed] of [[(3e-4 + 1e-5) / 2, 0], [(5 + 1e-5) / 2, 1]] as const) {
    await withCopy([], async (index, dir) => {
      index.files = { "schedule.json": { set: "schedule" } };
      await Deno.writeTextFile(`${dir}/schedule.json`, JSON.stringify({ one: run(middle) }));
    }, async (dir) => {
      const lines: string[] = [];
      assertEquals((await runGolden(dir, "", (line) => lines.push(line))).failed, failed, lines.join("\n"));
    });
  }
});
