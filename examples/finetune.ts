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
  estimateMemory,
  type Example,
  listCheckpoints,
  Loader,
  ProgressLine,
  readSettingsFile,
  type RecipeObjective,
  settings,
  setUpAdapter,
  shuffled,
  stopOnSignals,
  tokenizerText,
  train,
  type TrainOptions,
  type TrainResult,
  writeTaskScenes,
} from "../mod.ts";
import {
  contents,
  lengthOf,
  loadStart,
  modelConfig,
  openAdapter,
  openTokenizer,
  parametersOf,
  rateOf,
  round,
  runCommand,
  say,
  sayMemory,
  sayStopped,
  setupOf,
  stepOf,
} from "./_run.ts";
import { demoPreset, sceneFolder, type Tuning, tuningFields } from "./finetune_settings.ts";
import { OF_THE_MODEL, type Origin, originOf } from "./tasks/origin.ts";
import { type AnyTask, taskOf, tasks } from "./tasks/mod.ts";
import { type Entries, splitImages } from "./tasks/hold_out.ts";
import { Selection } from "./tasks/selection.ts";
import type { Files, Parameters, Values } from "./tasks/task.ts";

type AnyDataset = Entries<Example>;

/** What the command does with its arguments. */
export async function main(args: readonly string[]): Promise<void> {
  const [name, ...flags] = args;
  if (name === "--help") return console.log(helpOfAll());
  const task = taskOf(name), run = await readRun(task, flags), { options } = run;
  if (options.help) return console.log(`${name}: ${task.title}.\n\n${settings.formatHelp(run.fields)}`);
  await setUpAdapter();
  const device = await openAdapter(options);

  const { training, val, test } = await openSplits(task, run);
  const values = await task.prepare?.(run.values, training) ?? run.values;
  const tokenizer = await openTokenizer(options, () => task.texts(training)), config = modelConfig(options, tokenizer);
  const { steps, perEpoch } = lengthOf(options, training.length);
  const setup = { ...setupOf(options, config, perEpoch), tokenizer }, objective = task.objective(setup, values);
  if (options.dryRun) {
    const estimate = (batch: number) => estimateMemory(task.objective({ ...setup, batch }, values), stepOf(options));
    return await sayMemory(options, training.length, estimate);
  }
  const parameters = countParameters(objective.spec);
  say(`${training.length} examples of ${training.name}; ${parameters.toLocaleString("en")} parameters; ${steps} steps`);

  using stop = stopOnSignals();
  const fit = fitter(run, {
    signal: stop.signal,
    files: { "settings.json": run.text, "tokenizer.json": tokenizerText(tokenizer), ...task.keep?.(values) },
    settings: { ...run.resumable, ...await contents(options.data, tokenizer) },
  });
  const stopped = (result: Result, steps: number, folder: string): void => {
    const { steps: done, checkpoint } = result, config = `${folder}/settings.json`, { out } = options;
    sayStopped(`finetune.ts ${name}`, { out, steps, done, path: checkpoint!.path, config }, stop.status);
  };

  let start: Start | undefined = run.init && { path: run.init.path, of: (names) => task.start(names, config) };
  const before = await task.before?.(setup, values), begun = options.resume && await hasCheckpoint(options.out);
  if (before && !begun) {
    const out = `${options.out}/${before.name}`, { dataset, objective, steps } = before;
    say(`${dataset.length} examples of ${dataset.name}: ${before.name}, ${steps} steps`);
    const first = start && { ...start, of: (names: readonly string[]) => before.start(names, config) };
    const result = await fit({ dataset, objective, steps, out, start: first, resume: options.resume });
    if (result.stopped) return stopped(result, steps, out);
    start = { path: result.checkpoint!.path, of: (names) => task.start(names, config) };
  }

  const { textLength, evalBatch, workers, onError } = options;
  const sizes = { config, tokenizer, textLength, batch: evalBatch, workers, onError };
  const evaluator = task.evaluator({ ...sizes, values, objective });
  const selection = new Selection(options.out), { selecting, by } = selectionOf(options, val, test);
  if (begun) await selection.resume();
  for (const split of [selecting, test]) if (split) await evaluator.check?.(split);
  const evaluate = async (params: Parameters, step: number): Promise<Record<string, number>> => {
    const score = await evaluator.evaluate(params, selecting!);
    say(`step ${step}: ${score.line} (${selecting!.name})`);
    if (options.select !== "last") await selection.offer(params, step, score);
    return { [`${by}/score`]: score.score };
  };
  const resume = options.resume && (begun || !before);
  const main = { dataset: training, objective, steps, out: options.out, start, resume };
  const result = await fit({ ...main, ...(selecting ? { evaluate } : {}) });
  if (result.stopped) return stopped(result, steps, options.out);

  const { best } = selection;
  const params: Parameters = best
    ? parametersOf(objective.spec, await loadStart(selection.path, objective.spec, []))
    : result.params;
  const tested = test && by !== "test" ? await evaluator.evaluate(params, test) : undefined;
  if (tested) say(`test: ${tested.line} (${test!.name})`);
  await evaluator.close();
  console.log(JSON.stringify({
    ...summary(name!, device, parameters, result),
    protocol: {
      init: start?.path ?? null,
      zeroShot: false,
      resolution: config.vision.resolution,
      selection: best ? by : "last step",
      step: best?.step ?? result.steps,
      ...evaluator.protocol,
    },
    val: best && by === "val" ? best.figures : null,
    test: tested?.figures ?? (best && by === "test" ? best.figures : null),
    best: best ? selection.path : null,
  }));
}

/** A checkpoint, and how its parameters become a model's. */
interface Start {
  readonly path: string;
  of(names: readonly string[]): ReturnType<AnyTask["start"]>;
}

/** One training of a run: that of the task, or one that comes before. */
interface Phase {
  readonly dataset: Dataset<Example>;
  // deno-lint-ignore no-explicit-any
  readonly objective: RecipeObjective<any, any, any, any>;
  readonly steps: number;
  readonly out: string;
  readonly start: Start | undefined;
  readonly resume: boolean;
  readonly evaluate?: (params: Parameters, step: number) => Promise<Record<string, number>>;
}

// deno-lint-ignore no-explicit-any
type Result = TrainResult<any>;

/** Trains phases by the settings of a run. */
function fitter({ options }: Run, shared: Pick<TrainOptions, "signal" | "files" | "settings">) {
  const { seed, workers, onError, batch, allowMissing, overwrite, checkpointEvery, profile, evaluateEvery } = options;
  return async ({ dataset, objective, steps, out, start, resume, evaluate }: Phase): Promise<Result> => {
    const cacheBytes = options.cacheMb * 2 ** 20, { perEpoch } = lengthOf(options, dataset.length);
    await using loader = new Loader(dataset, objective.collate, { seed, workers, onError, cacheBytes });
    const result = await train({ ...shuffled(objective, { loader, batch, seed }), ...(evaluate ? { evaluate } : {}) }, {
      ...shared,
      ...stepOf(options),
      steps,
      seed,
      learningRate: rateOf(options, steps, perEpoch),
      ...(start ? { initial: await loadStart(start.path, objective.spec, allowMissing, start.of) } : {}),
      out,
      resume,
      overwrite,
      checkpointEvery,
      ...(profile ? { profile } : {}),
      ...(evaluateEvery ? { evaluateEvery } : {}),
    });
    for (const { file, reason } of dataset.skipped) say(`skipped in "${file}": ${reason}`);
    for (const { index, file, reason } of loader.skipped) say(`skipped example ${index}, "${file}": it ${reason}`);
    return result;
  };
}

async function hasCheckpoint(folder: string): Promise<boolean> {
  return (await listCheckpoints(folder).catch((): string[] => [])).length > 0;
}

/** The settings of a run. */
interface Run {
  readonly options: Tuning;
  readonly values: Values;
  readonly fields: settings.Fields;
  /** The settings as a file that repeats the run. */
  readonly text: string;
  readonly resumable: settings.SettingsRecord;
  /** Where the parameters come from. */
  readonly init: Origin | undefined;
}

async function readRun(task: AnyTask, args: readonly string[]): Promise<Run> {
  const fields = tuningFields(task), path = settings.peek(fields, "config", { args });
  const file = path === undefined ? undefined : await readSettingsFile(path);
  const given = settings.peek(fields, "init", { args, file });
  const init = given === undefined ? undefined : await originOf(given, "init");
  const out = settings.peek(fields, "out", { args, file }), isDemo = settings.peek(fields, "demo", { args });
  const preset = { ...(isDemo ? demoPreset(task, out) : {}), ...await init?.preset(OF_THE_MODEL) };
  const values = settings.readSettings(fields, { args, file, preset });
  if (init && !values.tokenizer) {
    throw new settings.UsageError("--tokenizer is missing: give the one that the model of --init was trained with");
  }
  return {
    options: values as Tuning,
    values,
    fields,
    text: settings.settingsText(fields, values),
    resumable: settings.resumable(fields, values),
    init,
  };
}

/** The three splits, as far as they are given. */
async function openSplits(task: AnyTask, { options, values }: Run) {
  const { data, images, split, annotations, onError } = options;
  if (options.demo) await drawScenes(options);
  if (!data.length) throw new settings.UsageError(`--data is missing: give files of ${task.files}`);
  const open = (files: Omit<Files, "onError">, use: "train" | "evaluate"): Promise<AnyDataset> =>
    task.open({ ...files, onError }, use, values);
  const { valData, valImages, valSplit, valAnnotations, testData, testImages, testSplit, testAnnotations } = options;
  const own = given(data, images, split, annotations), all = await open(own, "train");
  const test = testData.length
    ? await open(given(testData, testImages, testSplit, testAnnotations), "evaluate")
    : undefined;
  if (valData.length) {
    return { training: all, val: await open(given(valData, valImages, valSplit, valAnnotations), "evaluate"), test };
  }
  if (!options.holdOut) return { training: all, val: undefined, test };
  const [training, held] = splitImages(all, options.holdOut, options.seed);
  return { training, val: held(await open(own, "evaluate")), test };
}

async function drawScenes({ out, scenes: train, heldOutScenes, seed }: Tuning): Promise<void> {
  const line = new ProgressLine(), held = { val: heldOutScenes, test: heldOutScenes };
  await writeTaskScenes(sceneFolder(out), { train, ...held, seed }, ({ done, total }) => {
    if (done % 64 === 0 || done === total) line.show(`drawing scenes ${done}/${total}`);
  });
  line.end();
}

/** Files without what is not given. */
function given(
  data: readonly string[],
  images: string | undefined,
  split: string | undefined,
  annotations: readonly string[],
): Omit<Files, "onError"> {
  return {
    data,
    ...(images ? { images } : {}),
    ...(split ? { split } : {}),
    ...(annotations.length ? { annotations } : {}),
  };
}

/** The split that selects the model. */
function selectionOf({ select }: Tuning, val: AnyDataset | undefined, test: AnyDataset | undefined) {
  if (select === "test") {
    if (!test) throw new settings.UsageError("--select test needs --test-data: none is given");
    return { selecting: test, by: "test" };
  }
  return { selecting: val, by: "val" };
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
