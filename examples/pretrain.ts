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
  adversarial,
  type AdversarialOptions,
  type AlbefConfig,
  type CaptionDataset,
  collecting,
  countParameters,
  type Device,
  efficientTrain,
  estimateMemory,
  grouped,
  groupingBytes,
  openDataset,
  type PairObjective,
  type PairRecipe,
  pairRecipes,
  phased,
  PhasedLoaders,
  phaseSetup,
  ProgressLine,
  queueRows,
  readSettingsFile,
  type Recipe,
  type RecipeObjective,
  type RecipeSetup,
  RetrievalEvaluator,
  type RetrievalResult,
  settings,
  setUpAdapter,
  shuffled,
  stopOnSignals,
  streamRecipes,
  type Tokenizer,
  tokenizerText,
  train,
  type TrainResult,
  writeScenes,
} from "../mod.ts";
import {
  checkImages,
  contents,
  isExtendable,
  lengthOf,
  loadStart,
  modelConfig,
  openAdapter,
  openTokenizer,
  rateOf,
  readableSet,
  reopenAdapter,
  round,
  roundedRecalls,
  runCommand,
  say,
  sayMemory,
  sayRecalls,
  sayStopped,
  setupOf,
  stepOf,
} from "./_run.ts";
import { heldOutMetrics, openRegionData } from "./_streams.ts";
import { type Common, common, demoPreset } from "./pretrain_settings.ts";

/** What is trained, whatever its parameters, state and mini-batches are. */
// deno-lint-ignore no-explicit-any
type AnyObjective = PairObjective<any, any, any>;
/** The same without a model for retrieval, of one stream: its mini-batches are random, and it is judged by held-out losses. */
// deno-lint-ignore no-explicit-any
type StreamObjective = RecipeObjective<any, any, any, any> & { readonly model?: undefined };
// deno-lint-ignore no-explicit-any
type AnyRecipe = PairRecipe<any, any, any, any> | Recipe<any, StreamObjective>;

/** What the command does with its arguments. */
export async function main(args: readonly string[]): Promise<void> {
  const run = await readRun(args), { options } = run;
  if (options.help) return console.log(`Pre-training.\n\n${settings.formatHelp(run.fields)}`);
  await setUpAdapter({ tuning: !options.noTuning });
  const device = await openAdapter(options);

  const { training, heldOut } = await openData(options);
  using regions = run.looksAtRegions ? await openRegionData(options, { training, heldOut }) : undefined;
  const tokenizer = await openTokenizer(options, () => captionsOf(training)), config = modelConfig(options, tokenizer);
  if (options.dryRun) return await dryRun(run, config, training.length, regions?.sizes);
  const { steps, perEpoch } = lengthOf(options, training.length);
  const setup = {
    ...setupOf(options, config, perEpoch),
    tokenizer,
    ...(regions ? { regions: regions.sizes } : {}),
  };
  const { phases, objectives, objective } = phasesOf(run, setup, steps / perEpoch);
  const parameters = countParameters(objective.spec);
  say(`${training.length} examples of ${training.name}; ${parameters.toLocaleString("en")} parameters; ${steps} steps`);

  if (phases.length > 1) say(`phases: ${phases.map((p) => `${p.resolution} px from epoch ${p.epoch}`).join(", ")}`);
  await using loaders = new PhasedLoaders(regions?.training ?? training, phases, objectives, {
    seed: options.seed,
    workers: options.workers,
    onError: options.onError,
    cacheBytes: options.cacheMb * 2 ** 20,
  });
  await checkImages(loaders.at(0), options);
  const { batch, seed } = options;
  const task = objective.model
    ? grouped(objective, {
      loader: (epoch) => loaders.at(epoch),
      embedding: config.embedding,
      sampler: { examples: training.length, ...samplerOf(options), seed },
    })
    : shuffled(objective, { loader: loaders.at(0), batch, seed });
  using stop = stopOnSignals();
  const evaluation = heldOut &&
    (objective.model
      ? await heldOutEvaluation(options, heldOut, tokenizer, config, objective)
      : heldOutMetrics(run.recipe(setup) as StreamObjective, regions?.heldOut ?? heldOut, options.valBatch ?? batch));
  const result = await train({ ...task, ...(evaluation ? { evaluate: evaluation.evaluate } : {}) }, {
    steps,
    seed: options.seed,
    ...stepOf(options),
    learningRate: rateOf(options, steps, perEpoch),
    extendable: isExtendable(options) && options.curriculum === "none", // its phases depend on the steps
    ...(options.init ? { initial: await loadStart(options.init, objective.spec, options.allowMissing) } : {}),
    out: options.out,
    files: { "settings.json": run.text, "tokenizer.json": tokenizerText(tokenizer) },
    settings: { ...run.resumable, ...await contents(options.data, tokenizer) },
    resume: options.resume,
    signal: stop.signal,
    overwrite: options.overwrite,
    checkpointEvery: options.checkpointEvery,
    onSaveError: options.onSaveError,
    recover: options.recover,
    openDevice: () => reopenAdapter(options),
    ...(options.profile ? { profile: options.profile } : {}),
    ...(options.evaluateEvery ? { evaluateEvery: options.evaluateEvery } : {}),
  });
  if (result.stopped) {
    const { steps: done, checkpoint } = result;
    return sayStopped("pretrain.ts", { out: options.out, steps, done, path: checkpoint!.path }, stop.status);
  }
  for (const { file, reason } of training.skipped) say(`skipped in "${file}": ${reason}`);
  for (const { index, file, reason } of loaders.skipped) say(`skipped example ${index}, "${file}": it ${reason}`);
  console.log(JSON.stringify(summary(device, parameters, result, evaluation?.last() ?? null)));
}

/** The phases of the curriculum with the objective of each, and one that takes mini-batches of all; without one there is one phase. */
function phasesOf({ options: { curriculum }, objective: of }: Run, setup: RecipeSetup, epochs: number) {
  const { vision } = setup.config, whole = of(setup);
  if (curriculum === "none") {
    const phases = [{ epoch: 0, resolution: vision.resolution, strength: 1 }];
    return { phases, objectives: [whole], objective: whole };
  }
  if (!whole.model) {
    throw new settings.UsageError(
      "--curriculum must be none for a recipe of one stream: it resizes the images of pairs",
    );
  }
  const phases = efficientTrain(epochs, vision);
  const objectives = phases.map((phase) => of(phaseSetup(setup, phase)) as AnyObjective);
  return { phases, objectives, objective: phased(whole, objectives) };
}

/** The settings of a run: those that all recipes share, and those of the recipe that flags or the file choose. */
interface Run {
  readonly options: Common;
  readonly fields: settings.Fields;
  /** The settings as a file that repeats the run. */
  readonly text: string;
  readonly resumable: settings.SettingsRecord;
  /** The recipe's objective, which held-out data are judged by. */
  recipe(setup: RecipeSetup): AnyObjective | StreamObjective;
  /** The same as it is trained, with an attack if there is to be one. */
  objective(setup: RecipeSetup): AnyObjective | StreamObjective;
  readonly looksAtRegions: boolean;
}

async function readRun(args: readonly string[]): Promise<Run> {
  const path = settings.peek(common, "config", { args });
  const file = path === undefined
    ? undefined
    : await readSettingsFile(path, { hint: "sizes of the model are chosen by --model" });
  const name = settings.peek(common, "recipe", { args, file }), recipe = await recipeOf(name);
  checkNames(name, recipe);
  const fields = settings.fields({ ...common, ...settings.group("Recipe", recipe.fields as settings.Fields) });
  const preset = settings.peek(common, "demo", { args })
    ? demoPreset(settings.peek(common, "out", { args, file, preset: demoPreset() }))
    : {};
  const options = settings.readSettings(fields, { args, file, preset }) as Common;
  const objective = (setup: RecipeSetup) => recipe.objective(setup, options as never) as AnyObjective | StreamObjective;
  return {
    options,
    fields,
    text: settings.settingsText(fields, options),
    resumable: settings.resumable(fields, options),
    recipe: objective,
    objective: (setup) => adversarial(objective(setup), attackOf(options)),
    looksAtRegions: recipe.looksAtRegions ?? false,
  };
}

/** A recipe of the library by its name, or one of your own by the path of its module. */
async function recipeOf(name: string): Promise<AnyRecipe> {
  const own = { ...pairRecipes, ...streamRecipes };
  if (Object.hasOwn(own, name)) return own[name as keyof typeof own] as AnyRecipe;
  if (/\.[cm]?[jt]s$/.test(name)) {
    const module: { default?: AnyRecipe } = await import(new URL(name, `file://${Deno.cwd()}/`).href);
    if (isRecipe(module.default)) return module.default;
    throw new settings.UsageError(
      `--recipe "${name}" must have a recipe as its default export: see src/recipes/recipe.ts`,
    );
  }
  const names = Object.keys(own).join(", ");
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
async function dryRun(
  { options, objective }: Run,
  config: AlbefConfig,
  examples: number,
  regions: RecipeSetup["regions"],
): Promise<void> {
  const { mode, queue, subQueue } = samplerOf(options);
  const objectiveOf = (batch: number) =>
    objective({ ...setupOf(options, config, 1), batch, ...(regions ? { regions } : {}) });
  await sayMemory(options, examples, objectiveOf, async (batch) => {
    // A queue holds at least a mini-batch.
    const rows = queueRows({ mode, queue: Math.max(queue, batch), examples, miniBatch: batch });
    const own = objectiveOf(batch);
    if (!own.model) return await estimateMemory(own, stepOf(options));
    const { total, ...parts } = await estimateMemory(collecting(own, rows, config.embedding), stepOf(options));
    const grouping = rows ? await groupingBytes(config.embedding, rows, Math.min(rows, Math.max(subQueue, batch))) : 0;
    return { ...parts, grouping, total: total + grouping };
  });
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
  const { data, images, groupBy, valData, valImages, split, valSplit, onError, outside } = options;
  const open = (data: readonly string[], images = "", split = "", groupBy: Common["groupBy"]) =>
    openDataset({
      data,
      ...(images ? { images } : {}),
      ...(split ? { split } : {}),
      groupBy,
      onError,
      outside,
    });
  return {
    training: await open(data, images, split, groupBy),
    heldOut: valData.length ? await open(valData, valImages, valSplit, "image") : undefined,
  };
}

function* captionsOf(training: CaptionDataset): Generator<string> {
  for (let i = 0; i < training.length; i++) yield* training.entry(i).captions;
}

function attackOf({ adversarialSteps: steps, ...options }: Common): AdversarialOptions {
  const { adversarialStepSize: stepSize, adversarialBall: ball, adversarialKl: kl, adversarialSides: sides } = options;
  return { steps, stepSize, ball, kl, sides };
}

function samplerOf({ grit, batch, subQueue, queue }: Common) {
  return { mode: grit === "on" ? "grit" as const : grit, miniBatch: batch, subQueue, queue };
}

/** Retrieval from held-out data. */
async function heldOutEvaluation(
  options: Common,
  heldOut: CaptionDataset,
  tokenizer: Tokenizer,
  config: AlbefConfig,
  { model }: AnyObjective,
) {
  const { textLength: maxLength, valCaptions: captions, candidates: images } = options;
  const sizes = { resolution: config.vision.resolution, maxLength, captions, images };
  const set = await readableSet(heldOut, tokenizer, sizes, options.onError);
  const evaluator = new RetrievalEvaluator(model, { k: options.shortlist });
  let last: RetrievalResult | null = null;
  return {
    last: () => last,
    // deno-lint-ignore no-explicit-any
    evaluate: async (params: any, step: number): Promise<Record<string, number>> => {
      say(`step ${step}: retrieval among ${set.images.count} held-out images`);
      last = await evaluator.evaluate(params, set);
      sayRecalls(last);
      return {
        "retrieval/cosine": last.cosine.mean,
        ...(last.reranked ? { "retrieval/reranked": last.reranked.mean } : {}),
        ...(last.joint ? { "retrieval/joint": last.joint.mean } : {}),
      };
    },
  };
}

function summary(
  device: Device,
  parameters: number,
  result: Pick<TrainResult<never>, "steps" | "seconds" | "loss" | "checkpoint">,
  found: RetrievalResult | Record<string, number> | null,
): unknown {
  const retrieval = found && "cosine" in found ? found as RetrievalResult : null;
  return {
    task: "pretrain",
    adapter: device.adapter,
    parameters,
    steps: result.steps,
    seconds: round(result.seconds),
    loss: { first: round(result.loss.first), last: round(result.loss.last) },
    retrieval: retrieval && {
      candidates: retrieval.candidates.texts,
      ...roundedRecalls(retrieval),
    },
    ...(found && !retrieval ? { heldOut: found } : {}),
    checkpoint: result.checkpoint?.path ?? null,
    sha256: result.checkpoint?.sha256 ?? null,
  };
}

if (import.meta.main) await runCommand(main);
