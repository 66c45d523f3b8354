/**
 * Vision-language pre-training from images and captions on disk, by default GRIT-VLP's (Byun et al. 2022): ALBEF with ITC + ITM + MLM on
 * mini-batches grouped by similarity. Read from top to bottom it is section 4 of the paper.
 *
 *     deno task demo                                    a small world is made, learned and retrieved from
 *     deno run -A examples/pretrain.ts --data captions.json --images folder --model tiny --epochs 10
 *     deno run -A examples/pretrain.ts --config runs/pretrain/settings.json --out runs/again
 *     deno run -A examples/pretrain.ts --help
 */
import {
  type AlbefConfig,
  buildTokenizer,
  type CaptionDataset,
  collecting,
  configs,
  cosineBySteps,
  countParameters,
  defaultDevice,
  describeMemory,
  type Device,
  estimateMemory,
  type EstimateOptions,
  formatBytes,
  formatLoadReport,
  grouped,
  groupingBytes,
  type ImageOptions,
  largestBatch,
  learningRate,
  Loader,
  loadParameters,
  loadTokenizer,
  loadTuning,
  openCheckpoint,
  openDataset,
  openDevice,
  type PairObjective,
  type PairRecipe,
  pairRecipes,
  ProgressLine,
  queueRows,
  readSettingsFile,
  type RecipeSetup,
  RetrievalEvaluator,
  type RetrievalResult,
  type RetrievalSet,
  retrievalSet,
  setDefaultDevice,
  settings,
  setUpAdapter,
  sha256IfThere,
  sha256OfText,
  specEntries,
  stopOnSignals,
  type Tokenizer,
  tokenizerText,
  train,
  type TrainResult,
  writeScenes,
} from "../mod.ts";
import { type Common, common, demoOfRecipes, demoPreset } from "./pretrain_settings.ts";

/** What is trained, whatever its parameters, state and mini-batches are. */
// deno-lint-ignore no-explicit-any
type AnyObjective = PairObjective<any, any, any>;
// deno-lint-ignore no-explicit-any
type AnyRecipe = PairRecipe<any, any, any, any>;

/** What the command does with its arguments. */
export async function main(args: readonly string[]): Promise<void> {
  const run = await readRun(args), { options } = run;
  if (options.help) return console.log(`Pre-training.\n\n${settings.formatHelp(run.fields)}`);
  await setUpAdapter();
  const device = await openAdapter(options);

  const { training, heldOut } = await openData(options);
  const tokenizer = await openTokenizer(options, training), config = modelConfig(options, tokenizer);
  if (options.dryRun) return await dryRun(run, config, training.length);
  const { steps, perEpoch } = lengthOf(options, training.length);
  const setup = { ...setupOf(options, config, perEpoch), tokenizer };
  const objective = run.objective(setup), parameters = countParameters(objective.spec);
  say(`${training.length} examples of ${training.name}; ${parameters.toLocaleString("en")} parameters; ${steps} steps`);

  await using loader = new Loader(training, objective.collate, {
    seed: options.seed,
    workers: options.workers,
    onError: options.onError,
    cacheBytes: options.cacheMb * 2 ** 20,
  });
  const task = grouped(objective, {
    loader,
    embedding: config.embedding,
    sampler: { examples: training.length, ...samplerOf(options), seed: options.seed },
  });
  using stop = stopOnSignals();
  const evaluation = heldOut && await heldOutEvaluation(options, heldOut, tokenizer, config, objective);
  const result = await train({ ...task, ...(evaluation ? { evaluate: evaluation.evaluate } : {}) }, {
    steps,
    seed: options.seed,
    ...stepOf(options),
    learningRate: rateOf(options, steps, perEpoch),
    ...(options.init ? { initial: await startingPoint(options, options.init, objective) } : {}),
    out: options.out,
    files: { "settings.json": run.text, "tokenizer.json": tokenizerText(tokenizer) },
    settings: { ...run.resumable, ...await contents(options, tokenizer) },
    resume: options.resume,
    signal: stop.signal,
    overwrite: options.overwrite,
    checkpointEvery: options.checkpointEvery,
    ...(options.profile ? { profile: options.profile } : {}),
    ...(options.evaluateEvery ? { evaluateEvery: options.evaluateEvery } : {}),
  });
  if (result.stopped) {
    say(
      `stopped at step ${result.steps}/${steps}, ${result.checkpoint!.path} is written. To go on:\n\n` +
        `  deno run -A examples/pretrain.ts --config ${options.out}/settings.json --out ${options.out} --resume\n`,
    );
    Deno.exitCode = stop.status!;
    return;
  }
  for (const { file, reason } of training.skipped) say(`skipped in "${file}": ${reason}`);
  for (const { index, file, reason } of loader.skipped) say(`skipped example ${index}, "${file}": it ${reason}`);
  console.log(JSON.stringify(summary(device, parameters, result, evaluation?.last() ?? null)));
}

/** The settings of a run: those that all recipes share, and those of the recipe that flags or the file choose. */
interface Run {
  readonly options: Common;
  readonly fields: settings.Fields;
  /** The settings as a file that repeats the run. */
  readonly text: string;
  readonly resumable: settings.SettingsRecord;
  /** The recipe's objective. */
  objective(setup: RecipeSetup): AnyObjective;
}

async function readRun(args: readonly string[]): Promise<Run> {
  const path = settings.peek(common, "config", { args });
  const file = path === undefined
    ? undefined
    : await readSettingsFile(path, { hint: "sizes of the model are chosen by --model" });
  const name = settings.peek(common, "recipe", { args, file }), recipe = await recipeOf(name);
  checkNames(name, recipe);
  const fields = settings.fields({ ...common, ...settings.group("Recipe", recipe.fields as settings.Fields) });
  const ofRecipe = Object.entries(demoOfRecipes).filter(([name]) => name in recipe.fields);
  const preset = settings.peek(common, "demo", { args })
    ? {
      ...demoPreset(settings.peek(common, "out", { args, file, preset: demoPreset() })),
      ...Object.fromEntries(ofRecipe),
    }
    : {};
  const options = settings.readSettings(fields, { args, file, preset }) as Common;
  return {
    options,
    fields,
    text: settings.settingsText(fields, options),
    resumable: settings.resumable(fields, options),
    objective: (setup) => recipe.objective(setup, options as never) as AnyObjective,
  };
}

/** A recipe of the library by its name, or one of your own by the path of its module. */
async function recipeOf(name: string): Promise<AnyRecipe> {
  if (Object.hasOwn(pairRecipes, name)) return pairRecipes[name as keyof typeof pairRecipes] as AnyRecipe;
  if (/\.[cm]?[jt]s$/.test(name)) {
    const module: { default?: AnyRecipe } = await import(new URL(name, `file://${Deno.cwd()}/`).href);
    if (isRecipe(module.default)) return module.default;
    throw new settings.UsageError(
      `--recipe "${name}" must have a recipe as its default export: see src/recipes/recipe.ts`,
    );
  }
  const names = Object.keys(pairRecipes).join(", ");
  throw new settings.UsageError(`--recipe must be one of ${names}, or the path of a module: it is "${name}"`);
}

function isRecipe(value: AnyRecipe | undefined): value is AnyRecipe {
  return typeof value?.objective === "function" && typeof value.fields === "object";
}

/** A setting of a recipe must not silently take the place of one that all share, nor its default, checks and rule for resuming. */
function checkNames(name: string, { fields }: AnyRecipe): void {
  const shared = Object.keys(fields).find((key) => Object.hasOwn(common, key));
  if (shared === undefined) return;
  throw new settings.UsageError(
    `The settings of --recipe "${name}" must have names of their own: ` +
      `"${settings.settingName(shared)}" is one that all recipes share`,
  );
}

/** What the run will take, without allocating it. */
async function dryRun({ options, objective }: Run, config: AlbefConfig, examples: number): Promise<void> {
  const { mode, queue, subQueue } = samplerOf(options);
  const estimate = async (batch: number) => {
    // A queue holds at least a mini-batch.
    const rows = queueRows({ mode, queue: Math.max(queue, batch), examples, miniBatch: batch });
    const setup = { ...setupOf(options, config, 1), batch };
    const { total, ...parts } = await estimateMemory(
      collecting(objective(setup), rows, config.embedding),
      stepOf(options),
    );
    const grouping = rows ? await groupingBytes(config.embedding, rows, Math.min(rows, Math.max(subQueue, batch))) : 0;
    return { ...parts, grouping, total: total + grouping };
  };
  say(`batch ${options.batch}:\n${describeMemory(await estimate(options.batch))}`);
  const limit = options.memoryGib * 2 ** 30, most = Math.min(examples, 65536);
  const largest = await largestBatch(limit, async (b) => (await estimate(b)).total, { least: 2, most });
  say(`largest batch in ${options.memoryGib} GiB: ${largest}`);
}

function stepOf({ accumulate, clip, logEvery, weightDecay }: Common): EstimateOptions {
  return { accumulate, ...(clip ? { clip } : {}), logEvery, adamw: { weightDecay } };
}

async function openAdapter({ adapter, tuning }: Common): Promise<Device> {
  if (adapter) setDefaultDevice(await openDevice({ adapter }));
  const device = await defaultDevice(), { profile } = device;
  if (tuning && !await loadTuning(device, tuning)) {
    throw new settings.UsageError(`--tuning "${tuning}" does not exist; run deno task tune`);
  }
  say(
    `adapter: ${device.adapter} (${profile.kind}); one binding holds ${
      formatBytes(profile.maxBindingBytes)
    }, a workgroup ` +
      `${profile.workgroupThreads} threads and ${formatBytes(profile.workgroupBytes)}${
        profile.subgroups ? "; subgroups" : ""
      }${profile.f16 ? "; f16" : ""}`,
  );
  return device;
}

/** The user's files, or scenes that are made once. */
async function openData(options: Common): Promise<{ training: CaptionDataset; heldOut: CaptionDataset | undefined }> {
  if (options.demo) {
    const folder = `${options.out}/scenes`, line = new ProgressLine();
    await writeScenes(folder, { train: options.scenes, val: 128, test: 128, seed: options.seed }, ({ done, total }) => {
      if (done % 64 === 0 || done === total) line.show(`drawing scenes ${done}/${total}`);
    });
    line.end();
  }
  if (!options.data.length) throw new settings.UsageError("--data is missing: give the caption files, or --demo");
  const { data, images, groupBy, valData, valImages, onError } = options;
  return {
    training: await openDataset({ data, ...(images ? { images } : {}), groupBy, onError }),
    heldOut: valData.length
      ? await openDataset({ data: valData, ...(valImages ? { images: valImages } : {}), groupBy: "image", onError })
      : undefined,
  };
}

/** The tokenizer that is named, else that of the run which is resumed, else one that is learned from the captions. */
async function openTokenizer(options: Common, training: CaptionDataset): Promise<Tokenizer> {
  const saved = `${options.out}/tokenizer.json`, { sep } = options;
  if (options.tokenizer) return await loadTokenizer(options.tokenizer, { sep });
  if (options.resume && await isFile(saved)) return await loadTokenizer(saved, { sep });
  const captions = function* (): Generator<string> {
    for (let i = 0; i < training.length; i++) yield* training.entry(i).captions;
  };
  return buildTokenizer(captions(), { size: options.vocabulary, sep });
}

/** What a resumed run must share of files that may lie elsewhere by now, by the flags that name them. */
async function contents({ data }: Common, tokenizer: Tokenizer): Promise<settings.SettingsRecord> {
  const captions = await Promise.all(data.map(async (path) => `sha256:${await sha256IfThere(path)}`));
  return { data: captions, tokenizer: `sha256:${await sha256OfText(tokenizerText(tokenizer))}` };
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, () => false);
}

/** The named sizes with the vocabulary of the tokenizer (rounded up to a multiple of 4, which is faster). */
function modelConfig(options: Common, tokenizer: Tokenizer): AlbefConfig {
  const base = configs[options.model], vocabulary = Math.ceil(tokenizer.vocabularySize / 4) * 4;
  return {
    ...base,
    vision: { ...base.vision, resolution: options.resolution ?? base.vision.resolution },
    text: {
      ...base.text,
      vocabulary,
      padId: tokenizer.padId,
      maxPositions: Math.max(base.text.maxPositions, options.textLength),
      dropout: options.dropout ?? base.text.dropout,
    },
  };
}

function setupOf(options: Common, config: AlbefConfig, stepsPerEpoch: number): RecipeSetup {
  const { augment, batch, textLength, remat, seed } = options;
  const view: ImageOptions = {
    resolution: config.vision.resolution,
    transform: "train",
    ...(augment === "full" ? {} : { cropArea: null, randAugment: false }),
    flip: augment !== "none",
  };
  return { config, batch, textLength, view, remat, seed, stepsPerEpoch };
}

function samplerOf({ grit, batch, subQueue, queue }: Common) {
  return { mode: grit === "on" ? "grit" as const : grit, miniBatch: batch, subQueue, queue };
}

/** Retrieval from held-out data. An image that cannot be read is better known now than after training. */
async function heldOutEvaluation(
  options: Common,
  heldOut: CaptionDataset,
  tokenizer: Tokenizer,
  config: AlbefConfig,
  { model }: AnyObjective,
) {
  const set = await heldOutSet(options, heldOut, tokenizer, config);
  const evaluator = new RetrievalEvaluator(model, { k: options.shortlist });
  let last: RetrievalResult | null = null;
  return {
    last: () => last,
    // deno-lint-ignore no-explicit-any
    evaluate: async (params: any, step: number): Promise<Record<string, number>> => {
      say(`step ${step}: retrieval among ${set.images.count} held-out images`);
      last = await evaluator.evaluate(params, set);
      say(`cosine    ${recalls(last.cosine)}`);
      if (last.reranked) say(`re-ranked ${recalls(last.reranked)}`);
      return {
        "retrieval/cosine": last.cosine.mean,
        ...(last.reranked ? { "retrieval/reranked": last.reranked.mean } : {}),
      };
    },
  };
}

async function heldOutSet(
  options: Common,
  heldOut: CaptionDataset,
  tokenizer: Tokenizer,
  config: AlbefConfig,
): Promise<RetrievalSet> {
  const without = new Set<number>();
  const make = (): RetrievalSet =>
    retrievalSet(heldOut, tokenizer, {
      resolution: config.vision.resolution,
      maxLength: options.textLength,
      captions: options.valCaptions,
      images: options.candidates,
      without,
    });
  const { images } = make();
  for (const { file, reason } of heldOut.skipped) say(`skipped in "${file}": ${reason}`);
  for (let i = 0; i < images.count; i++) {
    try {
      await images.load([i]);
    } catch (error) {
      if (options.onError === "stop") throw error;
      say(`skipped: ${(error as Error).message}`);
      without.add(i);
    }
  }
  return make();
}

/** Optimizer steps in all and, rounded, of an epoch: both at least 1, though a step may take more mini-batches than there are. */
function lengthOf({ steps, epochs, batch, accumulate }: Common, examples: number): { steps: number; perEpoch: number } {
  const passes = (count: number): number => Math.max(1, Math.floor(count * Math.floor(examples / batch) / accumulate));
  return { steps: steps ?? passes(epochs), perEpoch: passes(1) };
}

function rateOf(options: Common, steps: number, perEpoch: number): (step: number, epoch: number) => number {
  const { lr: rate, minLr: minRate, warmup } = options;
  if (options.schedule === "official") {
    return (step, epoch) => learningRate(epoch, step - epoch * perEpoch, { rate, minRate });
  }
  return (step) => cosineBySteps(step, { rate, minRate, warmup: Math.min(warmup, steps >> 1), total: steps });
}

/** Parameters of another checkpoint; what it lacks must be allowed by name. */
async function startingPoint(
  { allowMissing }: Common,
  path: string,
  { spec }: AnyObjective,
): Promise<Map<string, Float32Array>> {
  const archive = await openCheckpoint(path);
  const target = specEntries(spec).map(([name, { shape }]) => [name, shape] as const);
  const { tensors, report } = await loadParameters(target, archive, { allowMissing, resizePositions: true });
  archive.close();
  say(`${path}: ${formatLoadReport(report)}`);
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
}

function recalls({ i2t, t2i }: RetrievalResult["cosine"]): string {
  const row = (r: { r1: number; r5: number; r10: number }): string =>
    [r.r1, r.r5, r.r10].map((x) => x.toFixed(1)).join(" / ");
  return `image to text R@1/5/10 ${row(i2t)}   text to image ${row(t2i)}`;
}

function summary(
  device: Device,
  parameters: number,
  result: Pick<TrainResult<never>, "steps" | "seconds" | "loss" | "checkpoint">,
  retrieval: RetrievalResult | null,
): unknown {
  const round = (x: number): number => Math.round(x * 1e4) / 1e4;
  const directions = (r: RetrievalResult["cosine"]): unknown => {
    const row = ({ r1, r5, r10 }: typeof r.i2t): unknown => ({ r1: round(r1), r5: round(r5), r10: round(r10) });
    return { i2t: row(r.i2t), t2i: row(r.t2i) };
  };
  return {
    task: "pretrain",
    adapter: device.adapter,
    parameters,
    steps: result.steps,
    seconds: round(result.seconds),
    loss: { first: round(result.loss.first), last: round(result.loss.last) },
    retrieval: retrieval && {
      candidates: retrieval.candidates.texts,
      cosine: directions(retrieval.cosine),
      reranked: retrieval.reranked ? directions(retrieval.reranked) : null,
    },
    checkpoint: result.checkpoint?.path ?? null,
    sha256: result.checkpoint?.sha256 ?? null,
  };
}

function say(text: string): void {
  console.error(text);
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    // A sentence is enough for what the user can mend; GRITSTONE_TRACE=1 shows where it came from.
    console.error(Deno.env.get("GRITSTONE_TRACE") ? error : `error: ${(error as Error).message}`);
    Deno.exit(error instanceof settings.UsageError ? 2 : 1);
  }
}
