import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DiskError } from "../../src/io/disk_error.ts";
import { listCheckpoints } from "../../src/train/checkpoint.ts";
import { train, type TrainOptions } from "../../src/train/train.ts";
import { type DiskCall, type Failure, onFailingDisk } from "../testing/failing_disk.ts";
import { testInFolder } from "../testing/folders.ts";
import { mlpTask } from "./mlp_task.ts";

const run = (out: string, options: Partial<TrainOptions> = {}) =>
  train(mlpTask({ dropout: 0.2 }), {
    steps: 6,
    learningRate: () => 1e-2,
    seed: 5,
    logEvery: 3,
    checkpointEvery: 2,
    progress: false,
    out,
    ...options,
  });

/** The files of the second checkpoint; its temporary files and the ones that it removes are among them. */
const ofSecond = (path: string): boolean => /step-0000000[24]/.test(path);

/** Runs with a disk that fails at call `number` of those that the second checkpoint makes. */
const failingAt = <T>(number: number, code: string, body: () => Promise<T>) => {
  let before = 0;
  const fails: Failure = (call) => {
    // The first checkpoint is whole before the second one begins.
    if (/step-00000004/.test(call.path) && !before) before = call.number + 1;
    return before && call.number - before + 1 === number ? code : undefined;
  };
  return onFailingDisk(ofSecond, fails, body);
};

/** The calls of the second checkpoint of a run without failures. */
async function callsOfSecond(out: string): Promise<DiskCall[]> {
  const { calls } = await onFailingDisk(ofSecond, () => undefined, () => run(out));
  const from = calls.findIndex(({ path }) => /step-00000004/.test(path));
  // The checkpoint at step 6 removes the one at step 2: those are not calls of the second.
  return calls.slice(from).filter(({ kind }) => kind !== "remove");
}

const shown = ({ kind, path }: DiskCall): string => `${kind} ${path.replace(/^.*\/|\.\w{8}\.tmp$/g, "")}`;

testInFolder(
  "a disk that fails at any write of a checkpoint ends the run with a sentence, and it goes on",
  async (dir) => {
    const whole = await run(`${dir}/whole`, { steps: 4 }), calls = await callsOfSecond(`${dir}/counted`);
    assertEquals(calls.map(shown).filter((call) => !call.startsWith("write")), [
      "open .step-00000004.safetensors",
      "sync .step-00000004.safetensors",
      "rename step-00000004.safetensors",
      "open .step-00000004.json",
      "sync .step-00000004.json",
      "rename step-00000004.json",
    ]);
    for (const [number, call] of calls.entries()) {
      for (
        const [code, reason] of [["ENOSPC", "the disk is full"], ["EROFS", "the file system is read-only"]] as const
      ) {
        const out = `${dir}/${number}-${code}`, where = `${shown(call)}, ${code}`;
        const error = await assertRejects(
          () => failingAt(number, code, () => run(out, { steps: 4 })),
          DiskError,
          reason,
          where,
        );
        assertMatch(
          error.message,
          new RegExp(
            `^Cannot write "${out}/step-00000004\\.(safetensors|json)": ${reason} \\([\\d.]+ K?i?B needed, [\\d.]+ K?i?B ` +
              `written\\); the checkpoint "${out}/step-00000002.safetensors" is whole, --resume goes on from it$`,
          ),
          where,
        );
        const left = Array.from(Deno.readDirSync(out), ({ name }) => name).sort();
        assertEquals(left, ["metrics.jsonl", "step-00000002.json", "step-00000002.safetensors"], where);
        assertEquals((await run(out, { steps: 4, resume: true })).checkpoint!.sha256, whole.checkpoint!.sha256, where);
      }
    }
  },
);

testInFolder("a run that may go on without a checkpoint says so, and ends with the same bytes", async (dir) => {
  const whole = await run(`${dir}/whole`), calls = await callsOfSecond(`${dir}/counted`);
  for (const [number, call] of calls.entries()) {
    const out = `${dir}/${number}`, said: string[] = [];
    const options = { onSaveError: "continue", progress: (line: string) => void said.push(line) } as const;
    const { result } = await failingAt(number, "ENOSPC", () => run(out, options));
    assertEquals(result.checkpoint!.sha256, whole.checkpoint!.sha256, shown(call));
    assertEquals(await listCheckpoints(out), ["step-00000002", "step-00000006"], shown(call));
    assertEquals(said.filter((line) => /the disk is full .*; training goes on$/.test(line)).length, 1, said.join("\n"));
  }
});

testInFolder("the checkpoint at the end must be written, even where a run may go on without one", async (dir) => {
  const fails: Failure = ({ path }) => /step-00000006/.test(path) ? "EDQUOT" : undefined;
  const error = await assertRejects(
    () => onFailingDisk(() => true, fails, () => run(dir, { onSaveError: "continue" })),
    DiskError,
    "the quota of the disk is used up",
  );
  assert(
    error.message.endsWith(`the checkpoint "${dir}/step-00000004.safetensors" is whole, --resume goes on from it`),
  );
});

testInFolder(
  "lines of metrics that the disk does not take end a run, or are left out where it may go on",
  async (dir) => {
    const whole = await run(`${dir}/whole`, { logEvery: 1 });
    let writes = 0;
    const fails: Failure = ({ kind }) => kind === "write" && ++writes === 3 ? "ENOSPC" : undefined;
    const failing = (out: string, options: Partial<TrainOptions>) =>
      onFailingDisk((path) => path.endsWith("metrics.jsonl"), fails, () => run(out, { logEvery: 1, ...options }));
    const error = await assertRejects(() => failing(`${dir}/stop`, {}), DiskError, "metrics.jsonl");
    assert(
      error.message.endsWith(
        `the checkpoint "${dir}/stop/step-00000002.safetensors" is whole, --resume goes on from it`,
      ),
    );
    assertEquals((await run(`${dir}/stop`, { resume: true })).checkpoint!.sha256, whole.checkpoint!.sha256);

    writes = 0;
    const { result } = await failing(`${dir}/on`, { onSaveError: "continue" });
    assertEquals(result.checkpoint!.sha256, whole.checkpoint!.sha256);
    const lines = (await Deno.readTextFile(`${dir}/on/metrics.jsonl`)).trimEnd().split("\n");
    const steps = lines.flatMap((line) => {
      try {
        return [JSON.parse(line).step];
      } catch {
        return [];
      }
    });
    assertEquals([lines.length, steps], [6, [1, 2, 4, 5, 6]]);
  },
);

testInFolder(
  "a folder that vanishes while a checkpoint is written is named, and made anew by the next one",
  async (dir) => {
    const whole = await run(`${dir}/whole`), calls = await callsOfSecond(`${dir}/counted`);
    for (const [number, call] of calls.entries()) {
      if (call.kind === "write") continue; // an open file outlives its folder
      for (const onSaveError of ["stop", "continue"] as const) {
        const out = `${dir}/${number}-${onSaveError}`;
        let first: number | undefined;
        const vanishing: Failure = (each) => {
          if (/step-00000004/.test(each.path)) first ??= each.number;
          if (first !== undefined && each.number - first === number) Deno.removeSync(out, { recursive: true });
          return undefined;
        };
        const start = () => onFailingDisk(ofSecond, vanishing, () => run(out, { onSaveError }));
        if (onSaveError === "continue") {
          assertEquals((await start()).result.checkpoint!.sha256, whole.checkpoint!.sha256, shown(call));
          assertEquals((await run(out, { resume: true })).checkpoint!.sha256, whole.checkpoint!.sha256, shown(call));
        } else {
          const error = await assertRejects(start, DiskError, "", shown(call));
          assertMatch(error.message, new RegExp(`: (the folder|it) is gone.*; there is no checkpoint in "${out}"$`));
        }
      }
    }
  },
);

testInFolder("a run is refused where nothing can be written, before any training", async (dir) => {
  const fails: Failure = ({ kind }) => kind === "mkdir" ? "EACCES" : undefined;
  const error = await assertRejects(() => onFailingDisk(() => true, fails, () => run(`${dir}/no`)), DiskError);
  assertEquals(
    error.message,
    `Cannot make the folder "${dir}/no": the folder may not be written to; there is no checkpoint in "${dir}/no"`,
  );
});

/** A folder on a file system of some 100 KiB, such as `mount -t tmpfs -o size=128k none FOLDER` makes. */
const small = Deno.env.get("GRITSTONE_SMALL_DISK");

Deno.test({
  name: "a disk that is really full ends a run with a sentence; with space it goes on (needs GRITSTONE_SMALL_DISK)",
  ignore: !small,
  async fn() {
    const whole = await Deno.makeTempDir(), out = `${small}/run`, filler = `${small}/filler`;
    const { checkpoint } = await run(whole);
    let filled = false;
    const onMetrics = ({ step }: { step: number }): void => {
      if (filled || step < 3) return;
      filled = true;
      const file = Deno.openSync(filler, { write: true, create: true });
      try {
        for (;;) file.writeSync(new Uint8Array(512));
      } catch {
        /* now it is full */
      } finally {
        file.close();
      }
    };
    const error = await assertRejects(() => run(out, { onMetrics }), DiskError, "the disk is full");
    assert(
      error.message.endsWith(`the checkpoint "${out}/step-00000002.safetensors" is whole, --resume goes on from it`),
    );
    await Deno.remove(filler);
    assertEquals((await run(out, { resume: true })).checkpoint!.sha256, checkpoint!.sha256);
    for (const folder of [whole, out]) await Deno.remove(folder, { recursive: true });
  },
});
