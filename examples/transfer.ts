/**
 * Does pre-training with GRIT-VLP pay off? All five downstream tasks on scenes, fine-tuned from pre-trained parameters and from scratch
 * with the same steps, test figures of several seeds beside what a guess gets.
 *
 *     deno task transfer                                      about a day on 2 cores, minutes on a GPU with --jobs 6
 *     deno task transfer --tasks vqa,nlvr2 --seeds 1 --steps 400
 *
 * The results are lines of `OUT/results.jsonl`; runs that are there are not done again. The table goes to standard output.
 */
import {
  buildTokenizer,
  type Setting,
  settings,
  type TaskSceneFiles,
  taskSceneFiles,
  tokenizerText,
  writeTaskScenes,
} from "../mod.ts";
import { runCommand, say } from "./_run.ts";
import { noTuning } from "./_settings.ts";
import { inTurns } from "./_jobs.ts";
import { type BySeed, mean, pairedDifference, standardDeviation } from "./ablate/statistics.ts";

const { count, fields, list, oneOf, text } = settings;

/** What a task is measured by: a figure of its test split in percent, and what it is without the image or by guessing. */
interface Measure {
  readonly title: string;
  // deno-lint-ignore no-explicit-any
  of(figures: any): number;
  // deno-lint-ignore no-explicit-any
  guess(figures: any): number;
}

const onlySplit = (figures: { splits: Record<string, Record<string, number>> }) => Object.values(figures.splits)[0]!;

const measures: Readonly<Record<string, Measure>> = {
  retrieval: {
    title: "retrieval, mean recall by cosine",
    of: ({ cosine: { i2t, t2i } }) => mean([i2t, t2i].flatMap(({ r1, r5, r10 }) => [r1, r5, r10])),
    guess: ({ images }) => 100 * (1 + 5 + 10) / 3 / images,
  },
  vqa: { title: "VQA accuracy", of: ({ accuracy }) => accuracy, guess: ({ majority }) => majority.accuracy },
  nlvr2: {
    title: "NLVR2 precision",
    of: ({ precision }) => 100 * precision,
    guess: ({ majority }) => 100 * majority.precision,
  },
  entailment: {
    title: "entailment accuracy",
    of: ({ accuracy }) => 100 * accuracy,
    guess: ({ majority }) => 100 * majority.accuracy,
  },
  grounding: {
    title: "grounding, accuracy of boxes",
    of: (figures) => 100 * onlySplit(figures).accuracy!,
    guess: (figures) => 100 * onlySplit(figures).chance!,
  },
};

type Flags = Readonly<Record<string, string | number>>;

/** What a task reads of the scenes. */
const inputs: Readonly<
  Record<string, { rows: keyof TaskSceneFiles; flags?: (files: TaskSceneFiles, own: Options) => Flags }>
> = {
  retrieval: { rows: "captions" },
  vqa: { rows: "questions", flags: ({ answers }) => ({ answers }) },
  // Pre-training by text assignment comes before, as in the paper, whatever the start is.
  nlvr2: {
    rows: "statements",
    flags: ({ captions, images }, { assignmentSteps }) => ({
      ...{ assignmentSteps, assignmentData: captions, assignmentImages: images },
    }),
  },
  entailment: { rows: "entailment" },
  // Maps of the image encoder's first block by the cosine point better in small models than the matching head's.
  grounding: { rows: "expressions", flags: ({ detections }) => ({ detections, mapsBy: "itc", layer: 0 }) },
};

const options = fields({
  tasks: list(Object.keys(measures), "tasks"),
  seeds: count(3, "seeds: of pre-training, fine-tuning and starting values"),
  scenes: count(3072, "scenes that pre-training sees", { min: 16 }),
  taskScenes: count(1024, "scenes that fine-tuning sees, the first of those", { min: 16 }),
  heldOut: count(256, "scenes to select models on, and as many to test on", { min: 16 }),
  preSteps: count(1440, "steps of pre-training"),
  steps: count(800, "steps of fine-tuning"),
  assignmentSteps: count(200, "steps of text assignment before NLVR2", { min: 0 }),
  batch: count(32, "mini-batch of pre-training and fine-tuning", { min: 2 }),
  model: oneOf(["tiny", "small"], "tiny", "sizes of the model"),
  resolution: count(64, "side of the images in pixels", { min: 8 }),
  patch: count(8, "side of a patch, a divisor of the resolution"),
  jobs: count(1, "runs at a time"),
  out: text("runs/transfer", "folder of the runs and their results"),
  noTuning,
});

type Options = settings.Values<typeof options>;

/** One line of the results. */
interface Result {
  readonly task: string;
  readonly start: Start;
  readonly seed: number;
  readonly steps: number;
  readonly adapter: string;
  readonly seconds: number;
  readonly test: Setting;
}

type Start = "scratch" | "pre-trained";
const STARTS: readonly Start[] = ["scratch", "pre-trained"];

async function main(args: readonly string[]): Promise<void> {
  const own = settings.readSettings(options, { args }), world = `${own.out}/world`, file = `${own.out}/results.jsonl`;
  const unknown = own.tasks.find((task) => !Object.hasOwn(measures, task));
  if (unknown) {
    throw new settings.UsageError(`--tasks must be of ${Object.keys(measures).join(", ")}: "${unknown}" is none`);
  }
  if (own.noTuning) Deno.env.set("GRITSTONE_TUNING", "none"); // for the scripts that it starts
  await Deno.mkdir(own.out, { recursive: true });
  const held = { val: own.heldOut, test: own.heldOut, seed: 1 };
  await writeTaskScenes(world, { train: own.scenes, ...held });
  await writeTaskScenes(`${own.out}/tasks`, { train: own.taskScenes, ...held }); // the first of those, and the same held-out ones
  await Deno.writeTextFile(`${own.out}/tokenizer.json`, tokenizerText(buildTokenizer(await allTexts(world))));

  const done = await readResults(file), seeds = Array.from({ length: own.seeds }, (_, i) => i + 1);
  const isDone = (task: string, start: Start, seed: number) =>
    done.some((r) => r.task === task && r.start === start && r.seed === seed);
  await inTurns(own.jobs, seeds.map((seed) => () => pretrain(own, seed)));
  const runs = seeds.flatMap((seed) => own.tasks.flatMap((task) => STARTS.map((start) => ({ task, start, seed }))));
  await inTurns(
    own.jobs,
    runs.filter(({ task, start, seed }) => !isDone(task, start, seed)).map((run) => async () => {
      const result = await tune(own, run);
      done.push(result);
      await Deno.writeTextFile(file, `${JSON.stringify(result)}\n`, { append: true });
    }),
  );
  console.log(table(done));
}

/** Every text of the training files: a vocabulary for all tasks, as BERT's is. */
async function allTexts(world: string): Promise<string[]> {
  const { captions, questions, statements, entailment, expressions } = taskSceneFiles(world, "train");
  const rows = await Promise.all(
    [captions, questions, statements, entailment, expressions].map(async (path) =>
      JSON.parse(await Deno.readTextFile(path)) as Record<string, unknown>[]
    ),
  );
  return rows.flat().flatMap(({ caption, question, sentence, text }) => [caption, question, sentence, text].flat())
    .filter((value) => typeof value === "string");
}

async function readResults(file: string): Promise<Result[]> {
  const text = await Deno.readTextFile(file).catch(() => "");
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

const startOf = ({ out }: Options, seed: number): string => `${out}/pretrain-${seed}`;

/** Pre-trains by GRIT-VLP on the captions of all training scenes. */
async function pretrain(own: Options, seed: number): Promise<void> {
  const train = taskSceneFiles(`${own.out}/world`, "train"),
    out = startOf(own, seed),
    { batch, resolution, patch } = own;
  const last = `${out}/step-${String(own.preSteps).padStart(8, "0")}.json`;
  if (await Deno.stat(last).then(() => true, () => false)) return;
  await script(["pretrain.ts"], {
    ...{ data: train.captions, images: train.images, augment: "none", textLength: 24, lr: 2e-3, negatives: "random" },
    ...{ tokenizer: `${own.out}/tokenizer.json`, model: own.model, steps: own.preSteps, seed, out, logEvery: 100 },
    ...{ batch, resolution, patch, subQueue: 5 * batch, queue: 30 * batch },
  });
}

/** Fine-tunes for a task, on the first scenes, and tests the model that is best on the validation split. */
async function tune(own: Options, { task, start, seed }: Pick<Result, "task" | "start" | "seed">): Promise<Result> {
  const { out, steps, batch, resolution, patch } = own,
    [train, val, test] = (["train", "val", "test"] as const).map((split) => taskSceneFiles(`${out}/tasks`, split));
  const { rows, flags } = inputs[task]!;
  const printed = await script(["finetune.ts", task], {
    ...{ data: train![rows], valData: val![rows], testData: test![rows] },
    ...{ images: train!.images, valImages: train!.images, testImages: train!.images, ...flags?.(train!, own) },
    ...{ tokenizer: `${out}/tokenizer.json`, textLength: 24, augment: "none", model: own.model, lr: 1e-3 },
    ...(start === "scratch" ? {} : { init: startOf(own, seed) }),
    ...{ steps, batch, resolution, patch, evaluateEvery: Math.ceil(steps / 4), logEvery: 100, seed },
    out: `${out}/${task}-${start}-${seed}`,
  });
  const { adapter, seconds, test: figures } = JSON.parse(printed);
  return { task, start, seed, steps, adapter, seconds, test: figures };
}

/** Runs a script of this folder with settings as flags; its standard output. */
async function script([name, ...first]: readonly [string, ...string[]], flags: Flags): Promise<string> {
  const given = Object.entries(flags).map(([key, value]) => `--${settings.settingName(key)}=${value}`);
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "-A", "--quiet", new URL(name, import.meta.url).pathname, ...first, ...given, "--overwrite"],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (code) throw new Error(`${name} ${first} ended with ${code}:\n${decoder.decode(stderr).slice(-2000)}`);
  say(`${name} ${first.join(" ")} -> ${flags.out}`);
  return decoder.decode(stdout);
}

/** Tasks with the mean and standard deviation of both starts over the seeds, and the difference of the same seeds. */
function table(results: readonly Result[]): string {
  const rows = Object.entries(measures).flatMap(([task, { title, of, guess }]) => {
    const own = results.filter((result) => result.task === task);
    if (!own.length) return [];
    const [scratch, tuned] = STARTS.map((start) =>
      new Map(own.filter((r) => r.start === start).map((r) => [r.seed, of(r.test)]))
    );
    const difference = pairedDifference(tuned!, scratch!);
    const cells = [mean(own.map(({ test }) => guess(test))).toFixed(1), spread(scratch!), spread(tuned!)];
    const { interval } = difference ?? {};
    const gain = difference ? difference.mean.toFixed(1) : "";
    return `| ${
      [title, ...cells, gain + (interval ? ` (${interval.map((x) => x.toFixed(1)).join(" to ")})` : "")].join(" | ")
    } |`;
  });
  return ["| % of the test split | guess | scratch | pre-trained | gain (95 %) |", "|---|---|---|---|---|", ...rows]
    .join("\n");
}

function spread(values: BySeed): string {
  const all = [...values.values()], deviation = standardDeviation(all);
  return all.length ? mean(all).toFixed(1) + (deviation === undefined ? "" : ` ± ${deviation.toFixed(1)}`) : "";
}

if (import.meta.main) await runCommand(main);
