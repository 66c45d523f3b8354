/** Runs of pretrain.ts, each in a process of its own or all in this one. */
import { assert, assertEquals } from "@std/assert";
import { main } from "../../examples/pretrain.ts";
import { SCENE_REGION_CLASSES, writeSceneRegions } from "../../src/data/scenes/regions.ts";
import { sceneFiles, writeScenes } from "../../src/data/scenes/write.ts";
import { UsageError } from "../../src/settings/errors.ts";
import { withFolder } from "../testing/folders.ts";
import { exampleCommand, runExample } from "../testing/permissions.ts";

/** Starts the command. */
export function spawn(args: readonly string[]): Deno.ChildProcess {
  return exampleCommand("pretrain", args).spawn();
}

/** Runs the command to its end. */
export function pretrain(...args: string[]): ReturnType<typeof runExample> {
  return runExample("pretrain", ...args);
}

/** Asserts that a run ends with one sentence and no stack. */
export async function assertFails(args: readonly string[], code: number, sentence: string): Promise<void> {
  const run = await pretrain(...args);
  assert(run.err.includes(sentence), `${sentence} is not in:\n${run.err}`);
  assertEquals(run.code, code, run.err);
  assert(!/\n\s+at /.test(run.err), `a stack:\n${run.err}`);
  assertEquals(run.err.match(/^error: /gm)?.length, 1, run.err);
  assertEquals(run.out, "");
}

/** What a run in this process printed. */
export interface Printed {
  readonly out: string;
  readonly err: string;
  /** The last line, if it is a summary. */
  // deno-lint-ignore no-explicit-any
  readonly summary: any;
}

/** Runs the command in this process, where kernels that an earlier run has compiled are compiled no more. */
export async function inProcess(...args: string[]): Promise<Printed> {
  return await printed(main, args);
}

/** What a command prints in this process. */
export async function printed(main: (args: string[]) => Promise<void>, args: string[]): Promise<Printed> {
  const out: string[] = [], err: string[] = [], { log, error } = console, { writeSync } = Deno.stderr;
  console.log = (text: string) => void out.push(`${text}\n`);
  console.error = (text: string) => void err.push(`${text}\n`);
  Deno.stderr.writeSync = (bytes) => err.push(new TextDecoder().decode(bytes)) && bytes.length;
  try {
    await main(args);
  } finally {
    Object.assign(console, { log, error });
    Deno.stderr.writeSync = writeSync;
  }
  const last = out.at(-1) ?? "";
  return { out: out.join(""), err: err.join(""), summary: last.startsWith("{") ? JSON.parse(last) : null };
}

/** Asserts that a run in this process is refused with a sentence, as a mistake of usage or as another one. */
export async function assertRefused(args: readonly string[], sentence: string, usage = false): Promise<void> {
  const error = await inProcess(...args).then(() => undefined, (error: Error) => error);
  assert(error?.message.includes(sentence), `${sentence} is not in: ${error?.message}`);
  assertEquals(error instanceof UsageError, usage, error?.name);
}

/** A tiny model on images of 16 pixels; 10 scenes of 2 captions give 5 mini-batches an epoch. */
export const SIZES: readonly string[] =
  "--model tiny --resolution 16 --batch 4 --sub-queue 8 --queue 16 --text-length 12 --vocabulary 200 --log-every 4"
    .split(" ");

/** Flags with other values for some of them. */
export function changed(flags: readonly string[], values: Readonly<Record<string, string | number>>): string[] {
  return flags.map((flag, i) => `${values[flags[i - 1] ?? ""] ?? flag}`);
}

/** A folder with a few scenes, and the flags that train on them. */
export async function withScenes(body: (dir: string, flags: string[]) => Promise<void>): Promise<void> {
  await withFolder(async (dir) => {
    await writeScenes(`${dir}/scenes`, { train: 10, val: 6, test: 0, size: 16, captions: 2 });
    const { captions, images } = sceneFiles(`${dir}/scenes`, "train");
    await body(dir, ["--data", captions, "--images", images, ...SIZES]);
  });
}

/** Flags that give the regions of these scenes and the names of their classes. */
export async function regionFlags(dir: string): Promise<string[]> {
  const regions = await writeSceneRegions(sceneFiles(`${dir}/scenes`, "train"), { size: 16 });
  await Deno.writeTextFile(`${dir}/names.txt`, SCENE_REGION_CLASSES.join("\n") + "\n");
  return ["--regions", regions, "--region-names", `${dir}/names.txt`, "--most-regions", "3"];
}

/** Steps of a run; there is a checkpoint in the middle. */
export const STEPS: readonly string[] = ["--steps", "4", "--checkpoint-every", "2"];

/** Copies a finished run as it was after its checkpoint in the middle. */
export async function copyHalf(whole: string, part: string): Promise<void> {
  await Deno.mkdir(part);
  for await (const { name } of Deno.readDir(whole)) {
    if (!name.startsWith("step-00000004")) await Deno.copyFile(`${whole}/${name}`, `${part}/${name}`);
  }
}
