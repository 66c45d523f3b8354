/**
 * The ablations of GRIT-VLP (Byun et al. 2022, tables 1, 2, 4, 5, 6 and figure 4), small: every run of a table starts from one common
 * start and has the same budget; see ablate/rows.ts for the runs and ablate/world.ts for the budgets.
 *
 *     deno task ablate 4 --quick              all rows of a table end to end, in minutes; the figures mean nothing
 *     deno task ablate all                    the whole experiment, resumable: runs whose line is in the results are not run again
 *     deno task ablate mafa --world dense     a judge of false negatives and smoothed targets on grouped mini-batches
 *     deno task ablate distillation --world noisy   ALBEF with and without soft targets, where 30 % of the captions are wrong
 *     deno task ablate 4 --world photos --photos FOLDER --runs albef-base,grit-cons-50
 *     deno task ablate time                   epochs of random, grouped and naive mini-batches, interleaved
 *     deno task ablate figure1                the paper's figure 1 on the world's scenes
 *     deno task ablate page                   tables, page and pictures from the results that there are
 */
import { defaultDevice, settings, setUpAdapter } from "../mod.ts";
import { figure1 } from "./ablate/figure1.ts";
import { writePage } from "./ablate/page.ts";
import { commit, countDown, inTurns, runScript } from "./_jobs.ts";
import { appendLine } from "./_lines.ts";
import { runCommand, say } from "./_run.ts";
import { noTuning } from "./_settings.ts";
import { readResults, WORLDS } from "./ablate/result.ts";
import { type RunKey, type TableName, tables } from "./ablate/rows.ts";
import { run, type Start } from "./ablate/run.ts";
import { commonStart } from "./ablate/start.ts";
import { timeSamplers } from "./ablate/time.ts";
import { budgets, photosWorld, scenesWorld, type World } from "./ablate/world.ts";

const { count, fields, list, none, oneOf, text, toggle } = settings;

const declared = fields({
  quick: toggle(false, "a budget of seconds a run, to see that everything works"),
  world: oneOf(
    WORLDS,
    "scenes",
    "noisy: scenes of which 30 % have the captions of another; dense: of 3 colours and shapes",
  ),
  photos: text(none, "folder with train.json, dev.json and images/ for --world photos"),
  runs: list([], "only these runs of the table"),
  seeds: count(3, "runs of each row, with seeds from 1"),
  firstSeed: count(1, "the first of the seeds"),
  jobs: count(1, "runs at a time, each in a process of its own where there are several"),
  work: text("runs/ablate", "folder for scenes and the common start"),
  results: text("examples/results", "folder of the results"),
  alone: toggle(true, "nothing else uses the machine, so that times mean something"),
  page: toggle(true, "write tables, page and pictures at the end"),
  noTuning,
  help: toggle(false, "print this"),
});

type Options = settings.Values<typeof declared>;

/** A run that is still to be done. */
interface Job {
  readonly key: RunKey;
  readonly seed: number;
}

/** What the command does with its arguments. */
export async function main(args: readonly string[]): Promise<void> {
  const [what = "", ...flags] = args, names = [...Object.keys(tables), "all", "figure1", "time", "page"];
  const options = settings.readSettings(declared, { args: what.startsWith("--") ? args : flags });
  if (options.help) return console.log(`Ablations: ${names.join(", ")}.\n\n${settings.formatHelp(declared)}`);
  if (!names.includes(what)) {
    throw new settings.UsageError(`The first argument must be one of ${names.join(", ")}: it is "${what}"`);
  }
  await Deno.mkdir(options.results, { recursive: true });
  if (what !== "page") {
    await setUpAdapter({ tuning: !options.noTuning });
    if (what === "time") return await time(options);
    const world = await openWorld(options, nameOf(options));
    if (what === "figure1") return await showResults(options, await figure1(world, await startOf(world, options)));
    await runAll(world, jobsOf(what, options), options, what);
  }
  if (options.page) await showResults(options);
}

/** Writes tables, page and pictures from the results that there are. */
async function showResults(options: Options, figure?: string): Promise<void> {
  const results = await readResults(fileOf(options)), folder = `${options.results}/${nameOf(options)}`;
  for (const path of await writePage(folder, tables, results, figure)) say(path);
}

async function openWorld(options: Options, name: string, budget = budgets[options.quick ? "quick" : options.world]) {
  const { world } = options;
  if (world !== "photos") return await scenesWorld(world, `${options.work}/${name}`, budget);
  if (!options.photos) {
    throw new settings.UsageError("--photos is missing: --world photos needs the folder of the photos");
  }
  return await photosWorld(options.photos, budget);
}

/** The common start of a world, kept beside it. */
function startOf(world: World, options: Options, name = nameOf(options)): Promise<Start> {
  return commonStart(world, `${options.work}/${name}-start`, say);
}

/** The paper's tables; the most important first. */
const ALL: readonly TableName[] = ["4", "5", "1", "2", "figure4", "6"];

/** The runs of a table (or of all) and all seeds; seeds first, so that rows can be compared early. */
function jobsOf(what: string, { runs, seeds, firstSeed, quick }: Options): Job[] {
  const wanted = what === "all" ? ALL : [what as TableName];
  const keys = [...new Set(wanted.flatMap((name) => tables[name].rows.map((row): RunKey => row.run)))];
  const unknown = runs.find((name) => !keys.includes(name as RunKey));
  if (unknown) throw new settings.UsageError(`--runs has "${unknown}": it must be of ${keys.join(", ")}`);
  const chosen = runs.length ? keys.filter((key) => runs.includes(key)) : keys;
  const numbers = Array.from({ length: quick ? 1 : seeds }, (_, i) => firstSeed + i);
  return numbers.flatMap((seed) => chosen.map((key) => ({ key, seed })));
}

/** Runs what has no line yet, in this process or in several. */
async function runAll(world: World, jobs: readonly Job[], options: Options, what: string): Promise<void> {
  const file = fileOf(options), start = await startOf(world, options);
  const done = new Set((await readResults(file)).map(({ run, seed }) => `${run} ${seed}`));
  const left = jobs.filter(({ key, seed }) => !done.has(`${key} ${seed}`));
  say(`${jobs.length} runs, ${left.length} of them to be done`);
  const told = countDown(left.length, say);
  if (options.jobs === 1) {
    const about = await origin(what, options);
    for (const job of left) {
      const { secondsPerEpoch, ...figures } = await run(world, job.key, job.seed, start, say);
      await appendLine(file, { ...figures, ...(options.alone ? { secondsPerEpoch } : {}), ...about });
      told(`${job.key} seed ${job.seed}`);
    }
    return;
  }
  await inTurns(
    options.jobs,
    left.map((job) => () => inProcess(job, what, options).then(() => told(`${job.key} seed ${job.seed}`))),
  );
}

/** A run in a process of its own, which appends its line itself. */
async function inProcess({ key, seed }: Job, what: string, options: Options): Promise<void> {
  const { quick, world, photos, work, results } = options;
  const args = [what, "--runs", key, "--seeds", "1", "--first-seed", `${seed}`, "--world", world, "--work", work];
  args.push("--results", results, "--no-page", "--no-alone");
  if (photos) args.push("--photos", photos);
  if (quick) args.push("--quick");
  await runScript("examples/ablate.ts", args);
}

/** Seconds of an epoch, a line for each round. */
async function time(options: Options): Promise<void> {
  const name = `${nameOf(options)}-times`,
    world = await openWorld(options, name, budgets[options.quick ? "quick" : "times"]);
  const times = await timeSamplers(world, await startOf(world, options, name), say);
  const about = await origin("time", options), lines = times.map((line) => JSON.stringify({ ...line, ...about }));
  await Deno.writeTextFile(`${options.results}/${name}.jsonl`, lines.join("\n") + "\n");
  console.log(lines.join("\n"));
}

function nameOf({ quick, world }: Options): string {
  return quick ? `${world}-quick` : world;
}

function fileOf(options: Options): string {
  return `${options.results}/${nameOf(options)}.jsonl`;
}

/** Where results come from: the command that repeats them, the code, the adapter. */
async function origin(what: string, { quick, world }: Options) {
  const named = world === "scenes" ? "" : `--world ${world}${world === "photos" ? " --photos FOLDER" : ""}`;
  const flags = [quick ? "--quick" : "", named];
  const command = ["deno task ablate", what, ...flags].filter((part) => part).join(" ");
  return { command, commit: await commit(), adapter: (await defaultDevice()).adapter };
}

if (import.meta.main) {
  await runCommand(main);
  Deno.exit(0); // workers of a driver may keep a process alive
}
