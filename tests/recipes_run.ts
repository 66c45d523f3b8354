/**
 * Trains every recipe from scratch on scenes, tiny, by examples/pretrain.ts, and keeps what each has learned as a line of JSON. Beside the
 * long run a short one of each is killed by SIGKILL in the middle, resumed, and compared with one that was left alone. Recipes that have
 * a line are left out, so that the command may be stopped and given again.
 *
 *     deno task recipes [--only grit,vilt] [--jobs 1] [--steps 500] [--work /tmp/recipes] [--keep examples/results/recipes.jsonl]
 */
import { parseArgs } from "@std/cli";
import { appendLine, readLines } from "../examples/_lines.ts";
import { commit, countDown, inTurns } from "../examples/_jobs.ts";
import { SCENE_REGION_CLASSES, writeSceneRegions } from "../src/data/scenes/regions.ts";
import { GROUP } from "../src/data/scenes/hard.ts";
import { sceneFiles, writeScenes } from "../src/data/scenes/write.ts";
import { writeFileAtomic } from "../src/io/atomic.ts";
import { sha256IfThere } from "../src/io/files.ts";
import { pairRecipes, streamRecipes } from "../src/recipes/mod.ts";
import { listCheckpoints } from "../src/train/checkpoint.ts";
import { checkpointHash, killRun } from "./testing/kills.ts";
import { exampleCommand } from "./testing/permissions.ts";

/** One patch to a cell of the scenes' grid, by which everything is learned in fewer steps, and captions as they are. */
const SIZES = "--model tiny --resolution 66 --patch 22 --batch 64 --text-length 18 --augment none --group-by image"
  .split(" ");
/** Two objects in each scene; 128 held-out ones, and groups of near-duplicates. */
const SCENES = { train: 2048, val: 0, test: 128, hard: 16, objects: [2, 2], seed: 1 } as const;
/** Of the runs that are compared. */
const SHORT = { steps: 8, checkpointEvery: 2, killAfter: 4 };

/** What a run is given beside the sizes: ALBEF's family has random negatives, of which a head learns soonest. */
const ownFlags: Readonly<Record<string, string>> = {
  grit: "--sub-queue 128 --queue 1024 --negatives random",
  albef: "--grit off --negatives random",
  "albef-queue": "--grit off",
  mafa: "--sub-queue 128 --queue 1024 --negatives random",
  retrieval: "--grit off --negatives random",
  siglip: "--grit off",
  tcl: "--grit off --negatives random",
};

/** Recipes by the name of their line, with their flags: every one of pretrain.ts, OSCAR beside UNITER. */
const courses = new Map<string, string>(
  [...Object.keys({ ...pairRecipes, ...streamRecipes })].map((recipe) => [
    recipe,
    `--recipe ${recipe} ${ownFlags[recipe] ?? ""}`.trim(),
  ]),
).set("oscar", "--recipe regions --tags --pollute tags");

/** What a long run has told, and whether a short one that was killed came to the same bytes. */
interface Line {
  readonly recipe: string;
  readonly flags: string;
  readonly commit: string;
  readonly adapter: string;
  readonly steps: number;
  readonly seconds: number;
  readonly loss: { readonly first: number; readonly last: number };
  /** Of pairs: recalls in percent, and those of chance. */
  readonly retrieval?: unknown;
  /** Of one stream: metrics of held-out pairs, and of those whose false images are near-duplicates. */
  readonly heldOut?: unknown;
  readonly hard?: unknown;
  readonly resumed: {
    readonly steps: number;
    readonly killedAfter: number;
    readonly from: string;
    readonly equal: boolean;
  };
}

async function pretrain(args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await exampleCommand("pretrain", args).output();
  if (!success) {
    throw new Error(`pretrain.ts ${args.join(" ")} failed:\n${new TextDecoder().decode(stderr).slice(-2000)}`);
  }
  return new TextDecoder().decode(stdout);
}

/** Whether a run that is killed and resumed ends with the bytes of one that is not. */
async function compareResumed(flags: readonly string[], out: string): Promise<Line["resumed"]> {
  const { steps, checkpointEvery } = SHORT, whole = `${out}/whole`, part = `${out}/part`;
  const length = ["--steps", `${steps}`, "--checkpoint-every", `${checkpointEvery}`, "--log-every", "1"];
  const run = [...flags, ...length, "--overwrite"];
  await pretrain([...run, "--out", whole]);
  const child = exampleCommand("pretrain", [...run, "--out", part]).spawn();
  const { status, step } = await killRun(child, { signal: "SIGKILL", after: SHORT.killAfter });
  const from = (await listCheckpoints(part)).at(-1);
  if (status === 0 || !from) {
    throw new Error(`The run in ${part} was not killed in the middle: its status is ${status}`);
  }
  await pretrain([...flags, ...length, "--resume", "--out", part]);
  const [a, b] = [await checkpointHash(whole, steps), await checkpointHash(part, steps)];
  return { steps, killedAfter: step, from: from.split("/").at(-1)!, equal: a !== undefined && a === b };
}

/** A value that is found once and then read from its file, so that a command that was stopped goes on. */
async function kept<T>(path: string, find: () => Promise<T>): Promise<T> {
  if (await sha256IfThere(path) !== undefined) return JSON.parse(await Deno.readTextFile(path));
  const value = await find();
  await writeFileAtomic(path, JSON.stringify(value));
  return value;
}

/** Flags that name files. */
interface Files {
  readonly training: readonly string[];
  readonly heldOut: readonly string[];
  readonly hard: readonly string[];
}

/** Makes the scenes and their regions. */
async function makeFiles(scenes: string): Promise<Files> {
  await writeScenes(scenes, SCENES);
  const [train, test, hard] = [sceneFiles(scenes, "train"), sceneFiles(scenes, "test"), sceneFiles(scenes, "hard")];
  for (const split of [train, test, hard]) await writeSceneRegions(split, { seed: 1 });
  await Deno.writeTextFile(`${scenes}/names.txt`, `${SCENE_REGION_CLASSES.join("\n")}\n`);
  const held = (
    { captions, images, regions }: typeof test,
  ) => ["--val-data", captions, "--val-images", images, "--val-regions", regions, "--val-captions", "1"];
  return {
    training: ["--data", train.captions, "--images", train.images, "--regions", train.regions]
      .concat("--region-names", `${scenes}/names.txt`, "--most-regions", "3"),
    heldOut: held(test),
    hard: [...held(hard), "--val-batch", `${GROUP}`],
  };
}

async function learn(recipe: string, { training, heldOut, hard }: Files, work: string, steps: number): Promise<Line> {
  const own = courses.get(recipe)!;
  const flags = [...training, ...SIZES, ...own.split(" ")], out = `${work}/${recipe}`;
  const resumed = await kept(`${out}/resumed.json`, () => compareResumed(flags, out));
  const long = ["--lr", "3e-3", "--steps", `${steps}`, "--checkpoint-every", "50", "--out", `${out}/long`];
  const began = (await listCheckpoints(`${out}/long`)).length > 0;
  const told = JSON.parse(await pretrain([...flags, ...heldOut, ...long, began ? "--resume" : "--overwrite"]));
  const { adapter, seconds, loss, retrieval } = told;
  const ofPairs = retrieval &&
    { ...retrieval, chance: { r1: 100 / retrieval.candidates, r10: 1000 / retrieval.candidates } };
  const onHard = retrieval ? undefined : JSON.parse(await pretrain([...flags, ...hard, ...long, "--resume"])).heldOut;
  return {
    recipe,
    flags: [...SIZES, ...own.split(" "), "--lr", "3e-3"].join(" "),
    commit: await commit(),
    ...{ adapter, steps, seconds, loss },
    ...(retrieval ? { retrieval: ofPairs } : { heldOut: told.heldOut, hard: onHard }),
    resumed,
  };
}

async function main(): Promise<void> {
  const { only, jobs, steps, work, keep } = parseArgs(Deno.args, {
    string: ["only", "jobs", "steps", "work", "keep"],
    default: { jobs: "1", steps: "500", work: "/tmp/recipes", keep: "examples/results/recipes.jsonl" },
  });
  const chosen: string[] = only?.split(",") ?? [...courses.keys()], unknown = chosen.find((name) => !courses.has(name));
  if (unknown !== undefined) {
    throw new Error(`--only must list some of ${[...courses.keys()].join(", ")}: "${unknown}" is none of them`);
  }
  const done = new Set((await readLines<Line>(keep, () => {})).map(({ recipe }) => recipe));
  const left = chosen.filter((name) => !done.has(name)), say = countDown(left.length, console.error);
  const files = await makeFiles(`${work}/scenes`);
  await inTurns(
    Number(jobs),
    left.map((recipe) => async () => {
      const line = await learn(recipe, files, work, Number(steps));
      await appendLine(keep, line);
      if (!line.resumed.equal) Deno.exitCode = 1;
      say(recipe);
    }),
  );
}

if (import.meta.main) await main();
