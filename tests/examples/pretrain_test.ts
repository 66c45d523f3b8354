import { flags } from "../../examples/pretrain_flags.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { sceneFiles, writeScenes } from "../../src/data/scenes/write.ts";
import { listCheckpoints } from "../../src/train/checkpoint.ts";

const script = new URL("../../examples/pretrain.ts", import.meta.url).pathname;

/** What a run of the command printed, and how it ended. */
interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function spawn(args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command("deno", {
    args: ["run", "--quiet", "--no-check", "-A", script, ...args],
    env: { NO_COLOR: "1", XDG_RUNTIME_DIR: Deno.env.get("XDG_RUNTIME_DIR") ?? "/tmp" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function pretrain(...args: string[]): Promise<Run> {
  const { code, stdout, stderr } = await spawn(args).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** Asserts that a run ends with one sentence and no stack. */
async function assertFails(args: readonly string[], code: number, sentence: string): Promise<void> {
  const run = await pretrain(...args);
  assert(run.err.includes(sentence), `${sentence} is not in:\n${run.err}`);
  assertEquals(run.code, code, run.err);
  assert(!/\n\s+at /.test(run.err), `a stack:\n${run.err}`);
  assertEquals(run.err.match(/^error: /gm)?.length, 1, run.err);
  assertEquals(run.out, "");
}

const SIZES =
  "--config tiny --resolution 16 --batch 4 --sub-queue 8 --queue 16 --text-length 12 --vocabulary 200 --log-every 4"
    .split(" ");

/** A folder with a few scenes, and the flags that train on them. */
async function withScenes(body: (dir: string, flags: string[]) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await writeScenes(`${dir}/scenes`, { train: 10, val: 6, test: 0, size: 16, captions: 2 });
    const { captions, images } = sceneFiles(`${dir}/scenes`, "train");
    await body(dir, ["--data", captions, "--images", images, ...SIZES]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("pretrain.ts --help lists every flag with its default and the paper's value", async () => {
  const { code, out } = await pretrain("--help");
  assertEquals(code, 0);
  const names = Object.keys(flags);
  assert(names.length > 40);
  const blocks = out.split(/^ {2}--/m).slice(1);
  assertEquals(blocks.map((b) => b.match(/^[\w-]+/)![0]), names);
  for (const block of blocks) assertMatch(block, /\(default: [^)]+\)|\(default: .+; paper: .+\)/);
  assertMatch(out, /--mask N\n.*\(default: 0.5; paper: 0.5\)/);
  assertMatch(out, /--config tiny\|small\|base\n.*paper: base/);
});

Deno.test("pretrain.ts --dry-run prints the memory of the run and trains nothing", async () => {
  await withScenes(async (dir, flags) => {
    const { code, out, err } = await pretrain(...flags, "--out", `${dir}/out`, "--dry-run", "--memory-gib", "0.05");
    assertEquals([code, out], [0, ""]);
    assertMatch(err, /total +[\d.]+ MiB/);
    assertMatch(err, /largest batch in 0.05 GiB: [1-9]\d*\n/);
    assertEquals([...Deno.readDirSync(`${dir}/out`)].map((e) => e.name), ["tokenizer.json"]);
  });
});

Deno.test("pretrain.ts refuses flags that make no sense with exit code 2", async () => {
  await assertFails(["--lerning-rate", "1"], 2, 'Unknown argument "--lerning-rate"');
  await assertFails(["--batch", "many"], 2, '--batch must be a whole number of at least 2: it is "many"');
  await assertFails(["--batch", "2.5"], 2, '--batch must be a whole number of at least 2: it is "2.5"');
  await assertFails(["--mask", "-1"], 2, '--mask must be a number of at least 0: it is "-1"');
  await assertFails(["--grit", "maybe"], 2, '--grit must be one of on, off, no-shuffle, naive: it is "maybe"');
  await assertFails([], 2, "--data is missing");
});

Deno.test("pretrain.ts names the file and the entry that it cannot use, or skips and lists them", async () => {
  await withScenes(async (dir, flags) => {
    const out = ["--out", `${dir}/run`, "--steps", "2"], images = `${dir}/scenes/train`;
    await assertFails(
      ["--data", `${dir}/none.json`, ...out],
      1,
      `Cannot read "${dir}/none.json": there is no such file`,
    );
    await assertFails([...flags, ...out, "--batch", "32", "--sub-queue", "32", "--queue", "32"], 1, "32");
    await assertFails([...flags, ...out, "--sub-queue", "10"], 1, '"subQueue" must be a multiple of "miniBatch"');

    const rows = [...Deno.readDirSync(images)].map((e) => e.name).sort()
      .map((image) => ({ image, caption: "a small red ring" }));
    const list = `${dir}/list.json`;
    const own = ["--data", list, "--images", images, ...SIZES, ...out];
    const broken = async (row: unknown): Promise<void> =>
      await Deno.writeTextFile(list, JSON.stringify([...rows.slice(0, 4), row]));
    const four = ["--batch", "5", "--sub-queue", "5", "--queue", "5"];
    await broken({ image: "none.png", caption: "a ring" });
    await assertFails([...own, ...four], 1, `entry 4: "${images}/none.png" does not exist`);
    await broken({ image: rows[5]!.image, caption: " ., " });
    await assertFails([...own, ...four], 1, `entry 4: "${images}/${rows[5]!.image}" has an empty caption`);
    await Deno.truncate(`${images}/${rows[9]!.image}`, 90);
    await Deno.writeTextFile(list, JSON.stringify([...rows.slice(0, 4), rows[9]]));
    await assertFails([...own, ...four], 1, `entry 4: "${images}/${rows[9]!.image}" is damaged or not an image`);
    await broken({ image: 7 });
    await assertFails([...own, ...four], 1, `Cannot read "${list}": entry 4 has 7 as "image"`);

    await Deno.writeTextFile(list, JSON.stringify([...rows.slice(0, 8), rows[9], { image: 7 }]));
    const run = await pretrain(...own, "--steps", "5", "--on-error", "skip");
    assertEquals(run.code, 0, run.err);
    assertMatch(run.err, /skipped in ".*list.json": entry 9 has 7 as "image"/);
    assertMatch(run.err, /skipped example 8, ".*png": it is damaged or not an image/);
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

    await assertFails([...part, "--resume", "--lr", "0.5"], 1, '"schedule.rate" was 0.001 and is 0.5 now');
    await assertFails(part, 1, `Cannot start a run in "${dir}/part"`);
    const resumed = await pretrain(...part, "--resume");
    assertEquals(resumed.code, 0, resumed.err);
    assertEquals(JSON.parse(resumed.out).sha256, summary.sha256);
    assertEquals(JSON.parse(resumed.out).loss, summary.loss);
  });
});

Deno.test("pretrain.ts retrieves from held-out data, whose images it has looked at before training", async () => {
  await withScenes(async (dir, flags) => {
    const { captions, images } = sceneFiles(`${dir}/scenes`, "val");
    const args = [...flags, "--steps", "2", "--val-data", captions, "--val-images", images, "--shortlist", "2"];
    const { code, out, err } = await pretrain(...args, "--out", `${dir}/a`);
    assertEquals(code, 0, err);
    const { retrieval } = JSON.parse(out);
    assertEquals(Object.keys(retrieval), ["candidates", "cosine", "reranked"]);
    assertEquals(retrieval.candidates, 12);
    for (const kind of ["cosine", "reranked"]) {
      for (const direction of ["i2t", "t2i"]) {
        assertEquals(Object.keys(retrieval[kind][direction]), ["r1", "r5", "r10"]);
        for (const recall of Object.values(retrieval[kind][direction])) {
          assert(Number(recall) >= 0 && Number(recall) <= 100);
        }
      }
    }
    const [first] = [...Deno.readDirSync(images)].map((e) => e.name).sort();
    await Deno.truncate(`${images}/${first}`, 90);
    await assertFails(
      [...args, "--out", `${dir}/b`],
      1,
      `image 0, "${images}/${first}": it is damaged or not an image`,
    );
    const rest = await pretrain(...args, "--out", `${dir}/c`, "--on-error", "skip");
    assert(rest.err.includes(`skipped: Cannot evaluate on image 0, "${images}/${first}"`), rest.err);
    assertEquals(JSON.parse(rest.out).retrieval.candidates, 10);
  });
});
