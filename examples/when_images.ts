/**
 * When should a language model see images? The experiment of Keh et al. (2025, arXiv 2503.07603), small: a main run on texts; from several
 * points of it branches whose rate goes on from there to the floor, with images as a share of the tokens; instruction tuning; figures of
 * texts and of pictures. See when_images/plan.ts for the runs and when_images/world.ts for the budgets.
 *
 *     deno task when-images --quick         end to end in minutes; the figures mean nothing
 *     deno task when-images --chat          one model for chat.ts: images from the start, and all training questions
 *     deno task when-images --jobs 4        the whole experiment, resumable: runs whose line is in the results are not run again
 *     deno task when-images --page-only     page and pictures from the results that there are
 */
import { defaultDevice, settings, setUpAdapter } from "../mod.ts";
import { commit, countDown, inTurns, runScript } from "./_jobs.ts";
import { appendLine } from "./_lines.ts";
import { runCommand, say } from "./_run.ts";
import { noTuning } from "./_settings.ts";
import { Judge } from "./when_images/judge.ts";
import { writePage } from "./when_images/page.ts";
import { planRuns, type Run, runName } from "./when_images/plan.ts";
import { type Measured, readResults } from "./when_images/result.ts";
import { branchRun, encoder, mainRun, STARTS } from "./when_images/run.ts";
import { unusual } from "./when_images/variant.ts";
import { budgets, openWorld } from "./when_images/world.ts";

const { count, fields, list, none, oneOf, share, text, toggle } = settings;

const declared = fields({
  quick: toggle(false, "a budget of seconds a run, to see that everything works"),
  chat: toggle(false, "one model that is tuned long, for examples/chat.ts"),
  starts: list([], "points of the main run at which images enter, in percent: of 0, 20, 40, 60, 80, 100"),
  shares: list([], "shares of a branch's tokens that belong to images and their captions, in percent, 0 to 50"),
  seeds: count(none, "runs of each kind, with seeds from 1; without it 2, 1 of --quick and --chat"),
  firstSeed: count(1, "the first of the seeds"),
  captions: oneOf(
    ["both", "own", "shuffled"],
    "both",
    "runs with images' own captions, those of others (a control), or both",
  ),
  freeze: list([], "parts that stay as they are in branches and tuning: of encoder, projector, decoder"),
  tuneText: share(0, "share of texts without a picture in instruction tuning (VILA)"),
  imagesIn: oneOf(["captions", "interleaved", "both"], "captions", "what the images of a branch are among (VILA)"),
  stages: oneOf(
    ["one", "vila"],
    "one",
    "vila: the projector alone, then all but the encoder; in the place of --freeze",
  ),
  jobs: count(1, "runs at a time, each in a process of its own where there are several"),
  work: text("runs/when-images", "folder for the world, the main runs and the models"),
  results: text("examples/results", "folder of the results"),
  pageOnly: toggle(false, "train nothing"),
  page: toggle(true, "write page and pictures at the end"),
  noTuning,
  help: toggle(false, "print this"),
});

type Options = settings.Values<typeof declared>;

/** Sizes of the experiment. */
type Size = "full" | "quick" | "chat";

/** What is run if nothing else is said, and the control with shuffled captions. */
const usual: Readonly<
  Record<Size, { starts: number[]; shares: number[]; seeds: number; shuffled?: { start: number; share: number } }>
> = {
  full: {
    starts: STARTS.map((start) => 100 * start),
    shares: [0, 10, 50],
    seeds: 2,
    shuffled: { start: 0.8, share: 0.1 },
  },
  quick: { starts: [0, 80, 100], shares: [0, 20], seeds: 1, shuffled: { start: 0.8, share: 0.2 } },
  chat: { starts: [0], shares: [50], seeds: 1 },
};

/** What the command does with its arguments. */
export async function main(args: readonly string[]): Promise<void> {
  const options = settings.readSettings(declared, { args });
  if (options.help) return console.log(settings.formatHelp(declared));
  const runs = runsOf(options), file = `${options.results}/${nameOf(options)}.jsonl`;
  await Deno.mkdir(options.results, { recursive: true });
  if (!options.pageOnly) await runAll(runs, file, options);
  if (!options.page) return;
  for (const path of await writePage(`${options.results}/${nameOf(options)}`, await readResults(file))) say(path);
}

function sizeOf({ quick, chat }: Options): Size {
  if (quick && chat) throw new settings.UsageError("--quick must not be given with --chat: each is a budget");
  return quick ? "quick" : chat ? "chat" : "full";
}

function nameOf(options: Options): string {
  const size = sizeOf(options);
  return size === "full" ? "when-images" : `when-images-${size}`;
}

function runsOf(options: Options): Run[] {
  const { starts, shares, firstSeed, captions } = options, variant = unusual(options), own = usual[sizeOf(options)];
  const { seeds = own.seeds } = options;
  checkVariant(options);
  const percents = (name: string, given: readonly string[], all: readonly number[]) =>
    (given.length ? given.map((text) => percent(name, text)) : all).map((x) => x / 100);
  const from = percents("starts", starts, own.starts);
  const unknown = from.find((start) => !STARTS.includes(start as never));
  if (unknown !== undefined) {
    throw new settings.UsageError(
      `--starts must be of ${STARTS.map((s) => 100 * s).join(", ")}: ${100 * unknown} is none`,
    );
  }
  const plan = planRuns({
    starts: from,
    shares: percents("shares", shares, own.shares),
    seeds: Array.from({ length: seeds }, (_, i) => firstSeed + i),
    shuffled: Object.keys(variant).length ? undefined : own.shuffled,
    variant,
  });
  return plan.filter((run) => captions === "both" || run.captions === captions);
}

/** Switches that contradict each other are refused. */
function checkVariant(options: Options): void {
  const { stages, freeze, tuneText, captions } = options;
  if (stages === "vila" && freeze.length) {
    throw new settings.UsageError("--freeze must not be given with --stages vila, which says what stays as it is");
  }
  if (tuneText > 0.9) throw new settings.UsageError(`--tune-text must be from 0 to 0.9: it is ${tuneText}`);
  if (captions === "shuffled" && Object.keys(unusual(options)).length) {
    throw new settings.UsageError(
      "--captions shuffled must not be given with --tune-text, --images-in or --stages: the control is one of the usual runs",
    );
  }
}

function percent(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 100) return value;
  throw new settings.UsageError(`--${name} must be numbers from 0 to 100: one is "${text}"`);
}

/** Runs what has no line yet, in this process or in several; world, encoder and main runs are made before. */
async function runAll(runs: readonly Run[], file: string, options: Options): Promise<void> {
  const done = new Set((await readResults(file)).map(runName)), left = runs.filter((run) => !done.has(runName(run)));
  say(`${runs.length} runs, ${left.length} of them to be done`);
  if (!left.length) return;
  await setUpAdapter({ tuning: !options.noTuning });
  const folder = `${options.work}/${nameOf(options)}`,
    size = sizeOf(options),
    world = await openWorld(folder, budgets[size === "full" ? "scenes" : size]);
  const eyes = await encoder(world, folder, say), mainFolder = (seed: number) => `${folder}/main-${seed}`;
  for (const [seed, own] of Map.groupBy(left, ({ seed }) => seed)) {
    await mainRun(world, { seed, starts: own.map(({ start }) => start) }, mainFolder(seed), say);
  }
  const told = countDown(left.length, say);
  if (options.jobs > 1) {
    return await inTurns(options.jobs, left.map((run) => () => inProcess(run, options).then(() => told(runName(run)))));
  }
  await using judge = new Judge(world);
  const about = { command: commandOf(options), commit: await commit(), adapter: (await defaultDevice()).adapter };
  for (const run of left) {
    const out = `${folder}/models/${runName(run).replaceAll(/[ ,%]+/g, "-")}`;
    const context = { world, judge, encoder: eyes, main: mainFolder(run.seed), out, freeze: options.freeze, say };
    const measured = await branchRun(run, context);
    await appendLine(file, { ...measured, ...about });
    for (const line of asPercent(measured)) say(line);
    told(runName(run));
  }
}

/** What a model can tell of pictures in the end, with what is had without looking. */
function asPercent({ epochs }: Measured): string[] {
  const { vision, blank } = epochs.at(-1)!, percent = (x: number) => `${(100 * x).toFixed(1)} %`;
  return Object.entries(vision).map(([name, { value, chance }]) => {
    const without = blank[name] ? `, with blank pictures ${percent(blank[name].value)}` : "";
    return `${name}: ${percent(value)}${without}, guessed ${percent(chance)}`;
  });
}

/** A run in a process of its own, which appends its line itself. */
async function inProcess({ start, share, captions, seed }: Run, options: Options): Promise<void> {
  const { work, results } = options;
  const args = ["--starts", `${100 * start}`, "--shares", `${100 * share}`, "--captions", captions];
  args.push("--seeds", "1", "--first-seed", `${seed}`, "--work", work, "--results", results, "--no-page");
  await runScript("examples/when_images.ts", [...args, ...kindOf(options)]);
}

/** Flags that decide on what a run is, beside its point of the plan. */
function kindOf({ quick, chat, freeze, tuneText, imagesIn, stages }: Options): string[] {
  return [
    ...(quick ? ["--quick"] : []),
    ...(chat ? ["--chat"] : []),
    ...(freeze.length ? ["--freeze", freeze.join(",")] : []),
    ...(tuneText ? ["--tune-text", `${tuneText}`] : []),
    ...(imagesIn !== "captions" ? ["--images-in", imagesIn] : []),
    ...(stages !== "one" ? ["--stages", stages] : []),
  ];
}

/** The command that repeats the experiment. */
function commandOf(options: Options): string {
  return ["deno task when-images", ...kindOf(options)].join(" ");
}

if (import.meta.main) {
  await runCommand(main);
  Deno.exit(0); // workers of a driver may keep a process alive
}
