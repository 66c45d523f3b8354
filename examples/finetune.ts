/**
 * Fine-tuning for a downstream task (Li et al. 2021, section 5), from a pre-trained checkpoint or from scratch: retrieval, VQA, NLVR2,
 * visual entailment or grounding.
 *
 *     deno run -A examples/finetune.ts vqa --init runs/pretrain --data train.json --images photos --val-data val.json --val-images photos
 *     deno run -A examples/finetune.ts retrieval --config runs/finetune/settings.json --out runs/again
 *     deno run -A examples/finetune.ts vqa --help
 *
 * The best model on the validation split is the result; a test split is looked at once, at the end.
 */
import {
  countParameters,
  type Dataset,
  type Device,
  type Example,
  listCheckpoints,
  Loader,
  settings,
  setUpAdapter,
  shuffled,
  stopOnSignals,
  tokenizerText,
  train,
  type TrainOptions,
  type TrainResult,
} from "../mod.ts";
import {
  checkImages,
  contents,
  isExtendable,
  lengthOf,
  loadStart,
  openAdapter,
  rateOf,
  reopenAdapter,
  round,
  runCommand,
  say,
  sayMemory,
  sayStopped,
  stepOf,
} from "./_run.ts";
import type { Tuning } from "./finetune_settings.ts";
import { type AnyObjective, type Job, openJob } from "./tasks/job.ts";
import { openJudge } from "./tasks/judge.ts";
import { type AnyTask, taskOf, tasks } from "./tasks/mod.ts";
import { readRun, type Run } from "./tasks/run.ts";
import type { Parameters } from "./tasks/task.ts";

/** What the command does with its arguments. */
export async function main(args: readonly string[]): Promise<void> {
  const [name, ...flags] = args;
  if (name === "--help") return console.log(helpOfAll());
  const task = taskOf(name), run = await readRun(task, flags), { options } = run;
  if (options.help) return console.log(`${name}: ${task.title}.\n\n${settings.formatHelp(run.fields)}`);
  await setUpAdapter({ tuning: !options.noTuning });
  const device = await openAdapter(options);

  const job = await openJob(task, run), { training, objective, steps } = job;
  if (options.dryRun) return await sayMemory(options, training.length, (batch) => job.objectiveOf(batch));
  const parameters = countParameters(objective.spec);
  say(`${training.length} examples of ${training.name}; ${parameters.toLocaleString("en")} parameters; ${steps} steps`);

  using stop = stopOnSignals();
  const fit = fitter(run, {
    signal: stop.signal,
    files: { "settings.json": run.text, "tokenizer.json": tokenizerText(job.tokenizer), ...task.keep?.(job.values) },
    settings: { ...run.resumable, ...await contents(options.data, job.tokenizer) },
  });
  const stopped = ({ steps: done, checkpoint }: Result, { steps, out }: Phase): void => {
    const path = checkpoint!.path, config = `${out}/settings.json`;
    sayStopped(`finetune.ts ${name}`, { out: options.out, steps, done, path, config }, stop.status);
  };
  const begun = options.resume && await newestIn(options.out) !== undefined;
  const first = begun ? undefined : phaseBefore(job, options);
  const before = first && await fit(first);
  if (before?.stopped) return stopped(before, first!);

  const start = await startOf(job, options);
  await using judge = await openJudge(job, options, begun);
  const { out } = options, { evaluate } = judge, resume = options.resume && !first;
  const main: Phase = { dataset: training, objective, steps, out, start, resume, evaluate };
  const trained = await fit(main);
  if (trained.stopped) return stopped(trained, main);
  const { protocol, ...figures } = await judge.finish(trained);
  const origin = { init: start?.path ?? null, zeroShot: false, resolution: job.config.vision.resolution };
  console.log(
    JSON.stringify({
      ...summary(name!, device, parameters, trained),
      protocol: { ...origin, ...protocol },
      ...figures,
    }),
  );
}

/** The training before, which starts where the run is told to. */
function phaseBefore({ before, run: { init }, config }: Job, { out, resume }: Tuning): Phase | undefined {
  if (!before) return undefined;
  const { name, dataset, objective, steps } = before;
  say(`${dataset.length} examples of ${dataset.name}: ${name}, ${steps} steps`);
  const start = init && { path: init.path, of: (names: readonly string[]) => before.start(names, config) };
  return { dataset, objective, steps, out: `${out}/${name}`, start, resume };
}

/** Where the task's training starts: at the end of the training before, if there is one. */
async function startOf({ task, before, run: { init }, config }: Job, { out }: Tuning): Promise<Start | undefined> {
  const path = before ? await newestIn(`${out}/${before.name}`) : init?.path;
  return path === undefined ? undefined : { path, of: (names) => task.start(names, config) };
}

/** A checkpoint, and how its parameters become a model's. */
interface Start {
  readonly path: string;
  of(names: readonly string[]): ReturnType<AnyTask["start"]>;
}

/** One training of a run: that of the task, or one that comes before. */
interface Phase {
  readonly dataset: Dataset<Example>;
  readonly objective: AnyObjective;
  readonly steps: number;
  readonly out: string;
  readonly start: Start | undefined;
  readonly resume: boolean;
  readonly evaluate?: undefined | ((params: Parameters, step: number) => Promise<Record<string, number>>);
}

// deno-lint-ignore no-explicit-any
type Result = TrainResult<any>;

/** Trains phases by the settings of a run. */
function fitter({ options }: Run, shared: Pick<TrainOptions, "signal" | "files" | "settings">) {
  const {
    seed,
    workers,
    onError,
    batch,
    allowMissing,
    overwrite,
    checkpointEvery,
    onSaveError,
    recover,
    profile,
    evaluateEvery,
  } = options;
  return async ({ dataset, objective, steps, out, start, resume, evaluate }: Phase): Promise<Result> => {
    const cacheBytes = options.cacheMb * 2 ** 20, { perEpoch } = lengthOf(options, dataset.length);
    await using loader = new Loader(dataset, objective.collate, { seed, workers, onError, cacheBytes });
    await checkImages(loader, options);
    const result = await train({ ...shuffled(objective, { loader, batch, seed }), ...(evaluate ? { evaluate } : {}) }, {
      ...shared,
      ...stepOf(options),
      steps,
      seed,
      learningRate: rateOf(options, steps, perEpoch),
      extendable: isExtendable(options),
      ...(start ? { initial: await loadStart(start.path, objective.spec, allowMissing, start.of) } : {}),
      out,
      resume,
      overwrite,
      checkpointEvery,
      onSaveError,
      recover,
      openDevice: () => reopenAdapter(options),
      ...(profile ? { profile } : {}),
      ...(evaluateEvery ? { evaluateEvery } : {}),
    });
    for (const { file, reason } of dataset.skipped) say(`skipped in "${file}": ${reason}`);
    for (const { index, file, reason } of loader.skipped) say(`skipped example ${index}, "${file}": it ${reason}`);
    return result;
  };
}

/** The newest checkpoint of a folder. */
async function newestIn(folder: string): Promise<string | undefined> {
  const newest = (await listCheckpoints(folder).catch((): string[] => [])).at(-1);
  return newest === undefined ? undefined : `${folder}/${newest}.safetensors`;
}

function summary(
  task: string,
  { adapter }: Device,
  parameters: number,
  result: Pick<TrainResult<never>, "steps" | "seconds" | "loss" | "checkpoint">,
) {
  const { steps, seconds, loss, checkpoint } = result;
  return {
    task,
    adapter,
    parameters,
    steps,
    seconds: round(seconds),
    loss: { first: round(loss.first), last: round(loss.last) },
    checkpoint: checkpoint?.path ?? null,
    sha256: checkpoint?.sha256 ?? null,
  };
}

function helpOfAll(): string {
  const lines = Object.entries(tasks).map(([name, { title }]) => `  ${name.padEnd(12)}${title}`);
  return `finetune.ts TASK [--flags]: fine-tuning for a downstream task. TASK is one of\n\n${lines.join("\n")}\n\n` +
    "finetune.ts TASK --help lists its flags.";
}

if (import.meta.main) await runCommand(main);
