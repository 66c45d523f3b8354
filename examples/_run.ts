/** What pretrain.ts, finetune.ts and evaluate.ts do alike: the adapter, tokenizer, model, schedule, start and end of a run. */
import {
  type AlbefConfig,
  buildTokenizer,
  type CaptionDataset,
  configs,
  cosineBySteps,
  countParameters,
  defaultDevice,
  describeMemory,
  type Device,
  estimateMemory,
  type EstimateOptions,
  estimateStep,
  formatBytes,
  formatLoadReport,
  type ImageOptions,
  largestBatch,
  learningRate,
  type Loader,
  type LoadOptions,
  loadParameters,
  loadTokenizer,
  loadTuning,
  mapSpecs,
  type MemoryEstimate,
  type Objective,
  openCheckpoint,
  openDevice,
  type ParametersOf,
  ProgressLine,
  type RecipeSetup,
  type RetrievalResult,
  type RetrievalSet,
  retrievalSet,
  type RetrievalSetOptions,
  setDefaultDevice,
  settings,
  sha256IfThere,
  sha256OfText,
  specEntries,
  type SpecTree,
  tensor,
  type Tokenizer,
  tokenizerText,
} from "../mod.ts";
import type { Shared } from "./_settings.ts";

/** What is trained, whatever its parameters, state and mini-batches are. */
// deno-lint-ignore no-explicit-any
type AnyObjective = Objective<any, any, any>;

/** Progress goes to standard error: standard output has the result alone. */
export function say(text: string): void {
  console.error(text);
}

/** Runs a command that may fail: a sentence is enough for what the user can mend; GRITSTONE_TRACE=1 shows where it came from. */
export async function runCommand(main: (args: readonly string[]) => Promise<void>): Promise<void> {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error(Deno.env.get("GRITSTONE_TRACE") ? error : `error: ${(error as Error).message}`);
    Deno.exit(error instanceof settings.UsageError ? 2 : 1);
  }
}

export async function openAdapter(
  { adapter, tuning, noTuning }: Pick<Shared, "adapter" | "tuning" | "noTuning">,
): Promise<Device> {
  if (tuning && noTuning) throw new settings.UsageError("--tuning must not be given together with --no-tuning");
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
      }${profile.f16 ? "; f16" : ""}${isTuned(device) ? "; products as they were measured to be fastest" : ""}`,
  );
  return device;
}

function isTuned({ profile: { choices } }: Device): boolean {
  return Object.keys(choices?.products ?? {}).length > 0;
}

/** Opens the same adapter anew, with its tuning, after it was lost. */
export async function reopenAdapter({ adapter, tuning }: Pick<Shared, "adapter" | "tuning">): Promise<Device> {
  const device = await openDevice(adapter ? { adapter } : {});
  if (tuning) await loadTuning(device, tuning);
  return device;
}

/** The tokenizer that is named, else that of the run which is resumed, else one that is learned from the texts. */
export async function openTokenizer(
  { tokenizer, vocabulary, sep, resume, out }: Pick<Shared, "tokenizer" | "vocabulary" | "sep" | "resume"> & {
    readonly out: string;
  },
  texts: () => Iterable<string>,
): Promise<Tokenizer> {
  const saved = `${out}/tokenizer.json`;
  if (tokenizer) return await loadTokenizer(tokenizer, { sep });
  if (resume && await isFile(saved)) return await loadTokenizer(saved, { sep });
  return buildTokenizer(texts(), { size: vocabulary, sep });
}

export async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, () => false);
}

/** What a resumed run must share of files that may lie elsewhere by now, by the flags that name them. */
export async function contents(data: readonly string[], tokenizer: Tokenizer): Promise<settings.SettingsRecord> {
  const files = await Promise.all(data.map(async (path) => `sha256:${await sha256IfThere(path)}`));
  return { data: files, tokenizer: `sha256:${await sha256OfText(tokenizerText(tokenizer))}` };
}

/** The named sizes with the vocabulary of the tokenizer (rounded up to a multiple of 4, which is faster). */
export function modelConfig(
  { model, patch, resolution, textLength, dropout }: Pick<
    Shared,
    "model" | "patch" | "resolution" | "textLength" | "dropout"
  >,
  tokenizer: Tokenizer,
): AlbefConfig {
  const base = configs[model], vocabulary = Math.ceil(tokenizer.vocabularySize / 4) * 4;
  return {
    ...base,
    vision: {
      ...base.vision,
      resolution: resolution ?? base.vision.resolution,
      patch: patch ?? base.vision.patch,
    },
    text: {
      ...base.text,
      vocabulary,
      padId: tokenizer.padId,
      maxPositions: Math.max(base.text.maxPositions, textLength),
      dropout: dropout ?? base.text.dropout,
    },
  };
}

/** What a recipe is told by the settings. */
export function setupOf(
  { augment, batch, textLength, remat, seed }: Pick<Shared, "augment" | "textLength" | "remat" | "seed"> & {
    readonly batch: number;
  },
  config: AlbefConfig,
  stepsPerEpoch: number,
): RecipeSetup {
  const view: ImageOptions = {
    resolution: config.vision.resolution,
    transform: "train",
    ...(augment === "full" ? {} : { cropArea: null, randAugment: false }),
    flip: augment !== "none",
  };
  return { config, batch, textLength, view, remat, seed, stepsPerEpoch };
}

export function stepOf({ accumulate, clip, logEvery, weightDecay }: Shared): EstimateOptions {
  return { accumulate, ...(clip ? { clip } : {}), logEvery, adamw: { weightDecay } };
}

/** Optimizer steps in all and, rounded, of an epoch: both at least 1, though a step may take more mini-batches than there are. */
export function lengthOf(
  { steps, epochs, batch, accumulate }: Pick<Shared, "steps" | "epochs" | "accumulate"> & { readonly batch: number },
  examples: number,
): { steps: number; perEpoch: number } {
  const passes = (count: number): number => Math.max(1, Math.floor(count * Math.floor(examples / batch) / accumulate));
  return { steps: steps ?? passes(epochs), perEpoch: passes(1) };
}

/** Whether a run may be resumed with more steps: the official schedule goes by epochs, the cosine ends with the steps. */
export function isExtendable({ schedule }: Pick<Shared, "schedule">): boolean {
  return schedule === "official";
}

export function rateOf(options: Shared, steps: number, perEpoch: number): (step: number, epoch: number) => number {
  const { lr: rate, minLr: minRate, warmup } = options;
  if (options.schedule === "official") {
    return (step, epoch) => learningRate(epoch, step - epoch * perEpoch, { rate, minRate });
  }
  return (step) => cosineBySteps(step, { rate, minRate, warmup: Math.min(warmup, steps >> 1), total: steps });
}

/** Says how large the model is, what a step takes, and the largest batch that fits. `estimate` may count more than the objective's memory. */
export async function sayMemory(
  options: Shared & { readonly batch: number },
  examples: number,
  objectiveOf: (batch: number) => AnyObjective,
  estimate: (batch: number) => Promise<MemoryEstimate> = (b) => estimateMemory(objectiveOf(b), stepOf(options)),
): Promise<void> {
  const { batch, memoryGib } = options, objective = objectiveOf(batch);
  const parameters = countParameters(objective.spec).toLocaleString("en");
  const { flop, kernels: { runs, distinct } } = await estimateStep(objective, stepOf(options));
  say(`${parameters} parameters; ${(flop / 1e12).toPrecision(3)} TFLOP a mini-batch`);
  say(`a step runs ${runs} kernels, ${distinct} of them distinct: these are compiled first`);
  say(`batch ${batch}:\n${describeMemory(await estimate(batch))}`);
  const limit = memoryGib * 2 ** 30, most = Math.min(examples, 65536);
  const largest = await largestBatch(limit, async (b) => (await estimate(b)).total, { least: 2, most });
  say(`largest batch in ${memoryGib} GiB: ${largest}`);
}

/** Parameters of a checkpoint by our names; what it lacks must be allowed by name. */
export async function loadStart(
  path: string,
  spec: SpecTree,
  allowMissing: readonly string[],
  optionsOf: (names: readonly string[]) => LoadOptions = () => ({}),
): Promise<Map<string, Float32Array>> {
  const archive = await openCheckpoint(path);
  try {
    const target = specEntries(spec).map(([name, { shape }]) => [name, shape] as const);
    const options = { resizePositions: true, ...optionsOf([...archive.tensors.keys()]) };
    const missing = [...allowMissing, ...options.allowMissing ?? []];
    const { tensors, report } = await loadParameters(target, archive, { ...options, allowMissing: missing });
    say(`${path}: ${formatLoadReport(report)}`);
    return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
  } finally {
    archive.close();
  }
}

/** Values by name as the parameters of a model. */
export function parametersOf<S extends SpecTree>(spec: S, values: ReadonlyMap<string, Float32Array>): ParametersOf<S> {
  return mapSpecs(spec, ({ shape }, name) => tensor(values.get(name)!, shape, "f32", { copy: false }));
}

/** Ends a command that a signal has stopped: says how to go on. */
export function sayStopped(
  command: string,
  { out, steps, done, path, config = `${out}/settings.json` }: {
    readonly out: string;
    readonly steps: number;
    readonly done: number;
    readonly path: string;
    readonly config?: string;
  },
  status: number | undefined,
): void {
  say(
    `stopped at step ${done}/${steps}, ${path} is written. To go on:\n\n` +
      `  deno run -A examples/${command} --config ${config} --out ${out} --resume\n`,
  );
  Deno.exitCode = status!;
}

/** Held-out captions with their images. An image that cannot be read is better known now than after training. */
export async function readableSet(
  dataset: CaptionDataset,
  tokenizer: Tokenizer,
  options: RetrievalSetOptions,
  onError: Shared["onError"],
): Promise<RetrievalSet> {
  const without = new Set<number>();
  const make = (onEmpty: (sentence: string) => void) =>
    retrievalSet(dataset, tokenizer, {
      ...options,
      without,
      ...(onError === "skip" ? { onEmptyCaption: onEmpty } : {}),
    });
  const { images, entries } = make((sentence) => say(`skipped: ${sentence}`));
  for (const { file, reason } of dataset.skipped) say(`skipped in "${file}": ${reason}`);
  for (let i = 0; i < images.count; i++) {
    try {
      await images.load([i]);
    } catch (error) {
      if (onError === "stop") throw error;
      say(`skipped: ${(error as Error).message}`);
      without.add(entries[i]!);
    }
  }
  return make(() => {});
}

/** Looks for the images of a loader before hours are spent: what cannot be read is told now. */
export async function checkImages(
  loader: Pick<Loader<never, never>, "check">,
  { check }: Pick<Shared, "check">,
): Promise<void> {
  if (check === "off") return;
  const line = new ProgressLine();
  let shown = performance.now();
  const bad = await loader.check(check, ({ done, total, bad }) => {
    if (performance.now() - shown < 500) return;
    shown = performance.now();
    line.show(`${check === "files" ? "looking for" : "decoding"} the images of entry ${done}/${total}, ${bad} bad`);
  }).finally(() => line.end());
  if (bad) say(`images that cannot be used: ${bad}; other examples take their place, and all are listed at the end`);
}

export function sayRecalls({ cosine, reranked, joint }: RetrievalResult): void {
  say(`cosine    ${recallsLine(cosine)}`);
  if (reranked) say(`re-ranked ${recallsLine(reranked)}`);
  if (joint) say(`jointly   ${recallsLine(joint)}`);
}

function recallsLine({ i2t, t2i }: RetrievalResult["cosine"]): string {
  const row = (r: { r1: number; r5: number; r10: number }): string =>
    [r.r1, r.r5, r.r10].map((x) => x.toFixed(1)).join(" / ");
  return `image to text R@1/5/10 ${row(i2t)}   text to image ${row(t2i)}`;
}

/** Both directions of every ranking for the summary; null where there was no second stage. */
export function roundedRecalls({ cosine, reranked, joint }: RetrievalResult) {
  const row = ({ r1, r5, r10 }: typeof cosine.i2t) => ({ r1: round(r1), r5: round(r5), r10: round(r10) });
  const both = (recalls: typeof reranked) => recalls ? { i2t: row(recalls.i2t), t2i: row(recalls.t2i) } : null;
  return { cosine: both(cosine), reranked: both(reranked), joint: both(joint) };
}

export function round(x: number): number {
  return Math.round(x * 1e4) / 1e4;
}
