/**
 * GRIT-VLP pre-training (Byun et al. 2022) from images and captions on disk: ALBEF with ITC + ITM + MLM on mini-batches grouped
 * by similarity. Read from top to bottom it is section 4 of the paper.
 *
 *     deno task demo                                    a small world is made, learned and retrieved from
 *     deno run -A examples/pretrain.ts --data captions.json --images folder --config tiny --epochs 10
 *     deno run -A examples/pretrain.ts --help
 */
import { flagHelp, parseFlags, UsageError } from "./flags.ts";
import { demoPreset, flags, type Options } from "./pretrain_flags.ts";
import { type Dataset, openDataset } from "../src/data/datasets.ts";
import { Loader } from "../src/data/loader.ts";
import { sceneFiles, writeScenes } from "../src/data/scenes/write.ts";
import { buildTokenizer, loadTokenizer, type Tokenizer, writeTokenizer } from "../src/data/tokenizer.ts";
import { RetrievalEvaluator, type RetrievalResult, type RetrievalSet } from "../src/eval/retrieval.ts";
import { retrievalSet } from "../src/eval/retrieval_set.ts";
import { defaultDevice, type Device, openDevice, setDefaultDevice } from "../src/gpu/device.ts";
import { formatBytes } from "../src/gpu/errors.ts";
import { setUpAdapter } from "../src/io/setup.ts";
import type { GritMode } from "../src/grit/options.ts";
import { openCheckpoint } from "../src/io/checkpoint.ts";
import { loadParameters } from "../src/io/load.ts";
import { formatLoadReport } from "../src/io/load_report.ts";
import { type AlbefConfig, configs } from "../src/models/config.ts";
import type { Negatives } from "../src/losses/negatives.ts";
import { albefSpec, type PretrainOptions } from "../src/models/albef.ts";
import { countParameters, specEntries } from "../src/nn/spec.ts";
import { cosineBySteps, learningRate } from "../src/optim/schedule.ts";
import { imagePatches, PRETRAINING_LAYOUT, PRETRAINING_METRICS, PretrainingTask } from "../src/tasks/pretraining.ts";
import { estimatePretraining } from "../src/tasks/pretraining_memory.ts";
import { describeMemory, largestBatch } from "../src/train/estimate.ts";
import { loadTuning } from "../src/io/matmul_tuning.ts";
import { ProgressLine } from "../src/train/progress.ts";
import { train } from "../src/train/train.ts";

async function main(args: readonly string[]): Promise<void> {
  const isDemo = args.includes("--demo");
  const options = parseFlags(flags, args, isDemo ? demoPreset : {});
  if (options.help) {
    console.log(`GRIT-VLP pre-training. Flags:\n${flagHelp(flags)}`);
    return;
  }
  await setUpAdapter();
  const device = await openAdapter(options);

  const { training, heldOut } = await openData(options);
  const tokenizer = await openTokenizer(options, training);
  const config = modelConfig(options, tokenizer);
  if (options["dry-run"]) return await dryRun(options, config);
  const perEpoch = Math.floor(training.length / options.batch / options.accumulate);
  const steps = options.steps || options.epochs * perEpoch;
  say(
    `${training.length} examples of ${training.name}; ${
      countParameters(albefSpec(config)).toLocaleString("en")
    } parameters; ${steps} steps`,
  );

  await using loader = openLoader(options, training, tokenizer, config);
  const task = new PretrainingTask({
    config,
    loader,
    textLength: options["text-length"],
    sampler: {
      examples: training.length,
      miniBatch: options.batch,
      subQueue: options["sub-queue"],
      queue: options.queue,
      mode: (options.grit === "on" ? "grit" : options.grit) as GritMode,
      seed: options.seed,
    },
    loss: objectives(options),
    seed: options.seed,
    settings: { data: `${training.name}, ${training.length} examples`, mask: options.mask, augment: options.augment },
  });

  const evaluator = heldOut &&
    new RetrievalEvaluator(config, { k: options.shortlist, prepare: (images) => imagePatches(images, config.vision) });
  const set = heldOut && await heldOutSet(options, heldOut, tokenizer, config);
  let retrieval: RetrievalResult | null = null;
  const initial = options.init ? await startingPoint(options, config) : undefined;
  const result = await train(task, PRETRAINING_METRICS, {
    steps,
    seed: options.seed,
    accumulate: options.accumulate,
    ...(options.clip ? { clip: options.clip } : {}),
    adamw: { weightDecay: options["weight-decay"] },
    layout: PRETRAINING_LAYOUT,
    learningRate: rateOf(options, steps, perEpoch),
    schedule: { kind: options.schedule, rate: options.lr, minRate: options["min-lr"], warmup: options.warmup },
    ...(initial ? { initial } : {}),
    dir: options.out,
    resume: options.resume,
    overwrite: options.overwrite,
    checkpointEvery: options["checkpoint-every"],
    logEvery: options["log-every"],
    ...(options.profile ? { profile: options.profile } : {}),
    ...(options["evaluate-every"] ? { evaluateEvery: options["evaluate-every"] } : {}),
    ...(evaluator && set
      ? {
        evaluate: async (params, step) => {
          say(`step ${step}: retrieval among ${set.images.count} held-out images`);
          retrieval = await evaluator.evaluate(params, set);
          say(`cosine    ${recalls(retrieval.cosine)}`);
          if (retrieval.reranked) say(`re-ranked ${recalls(retrieval.reranked)}`);
        },
      }
      : {}),
  });
  for (const { file, reason } of training.skipped) say(`skipped in "${file}": ${reason}`);
  for (const { index, file, reason } of loader.skipped) say(`skipped example ${index}, "${file}": it ${reason}`);
  console.log(JSON.stringify(summary(device, config, result, retrieval)));
}

/** Sections 3.2 to 3.4: consistency, negatives, masking is the loader's. */
function objectives(options: Options): PretrainOptions {
  return {
    itc: { consistency: options.consistency, detachKeys: options["detach-keys"] },
    negatives: options.negatives as Negatives,
    useImageIds: !options["same-image"],
    remat: options.remat,
  };
}

/** What the run will take, without allocating it. */
async function dryRun(options: Options, config: AlbefConfig): Promise<void> {
  const collects = options.grit === "on" || options.grit === "no-shuffle";
  const estimate = (batch: number) =>
    estimatePretraining(config, {
      batch,
      textLength: options["text-length"],
      // A queue holds at least a mini-batch.
      ...(collects ? { queue: Math.max(options.queue, batch), subQueue: Math.max(options["sub-queue"], batch) } : {}),
      loss: objectives(options),
      accumulate: options.accumulate,
    });
  say(`batch ${options.batch}:\n${describeMemory(await estimate(options.batch))}`);
  const most = await largestBatch(options["memory-gib"] * 2 ** 30, async (b) => (await estimate(b)).total, {
    least: 2,
  });
  say(`largest batch in ${options["memory-gib"]} GiB: ${most}`);
}

async function openAdapter({ adapter, tuning }: Options): Promise<Device> {
  if (adapter) setDefaultDevice(await openDevice({ adapter }));
  const device = await defaultDevice(), { profile } = device;
  if (tuning && !await loadTuning(device, tuning)) {
    throw new UsageError(`--tuning "${tuning}" does not exist; run deno task tune`);
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
async function openData(options: Options): Promise<{ training: Dataset; heldOut: Dataset | undefined }> {
  const onError = options["on-error"] as "stop" | "skip";
  if (options.demo) {
    const folder = `${options.out}/scenes`, line = new ProgressLine();
    await writeScenes(folder, { train: options.scenes, val: 128, test: 128, seed: options.seed }, ({ done, total }) => {
      if (done % 64 === 0 || done === total) line.show(`drawing scenes ${done}/${total}`);
    });
    line.end();
    const train = sceneFiles(folder, "train"), test = sceneFiles(folder, "test");
    return {
      training: await openDataset({ data: [train.captions], images: train.images, groupBy: "image" }),
      heldOut: await openDataset({ data: [test.captions], images: test.images, groupBy: "image" }),
    };
  }
  if (!options.data) throw new UsageError("--data is missing: give the caption files, or --demo");
  const open = (data: string, images: string, groupBy: "row" | "image"): Promise<Dataset> =>
    openDataset({ data: data.split(","), ...(images ? { images } : {}), groupBy, onError });
  return {
    training: await open(options.data, options.images, "row"),
    heldOut: options["val-data"] ? await open(options["val-data"], options["val-images"], "image") : undefined,
  };
}

async function openTokenizer(options: Options, training: Dataset): Promise<Tokenizer> {
  if (options.tokenizer) return await loadTokenizer(options.tokenizer, { sep: options.sep });
  const captions = function* (): Generator<string> {
    for (let i = 0; i < training.length; i++) yield* training.entry(i).captions;
  };
  const tokenizer = buildTokenizer(captions(), { size: options.vocabulary, sep: options.sep });
  await Deno.mkdir(options.out, { recursive: true });
  await writeTokenizer(tokenizer, `${options.out}/tokenizer.json`);
  return tokenizer;
}

/** The named sizes with the vocabulary of the tokenizer (rounded up to a multiple of 4, which is faster). */
function modelConfig(options: Options, tokenizer: Tokenizer): AlbefConfig {
  const base = configs[options.config as keyof typeof configs];
  const vocabulary = Math.ceil(tokenizer.vocabularySize / 4) * 4;
  return {
    ...base,
    vision: { ...base.vision, resolution: options.resolution || base.vision.resolution },
    text: {
      ...base.text,
      vocabulary,
      padId: tokenizer.padId,
      maxPositions: Math.max(base.text.maxPositions, options["text-length"]),
      dropout: options.dropout < 0 ? base.text.dropout : options.dropout,
    },
  };
}

function openLoader(options: Options, training: Dataset, tokenizer: Tokenizer, { vision }: AlbefConfig): Loader {
  const plain = options.augment !== "full";
  return new Loader(training, tokenizer, {
    resolution: vision.resolution,
    maxLength: options["text-length"],
    transform: "train",
    ...(plain ? { cropArea: null, randAugment: false } : {}),
    flip: options.augment !== "none",
    maskProbability: options.mask,
    seed: options.seed,
    workers: options.workers,
    onError: options["on-error"] as "stop" | "skip",
    cacheBytes: options["cache-mb"] * 2 ** 20,
  });
}

/** What is retrieved from. An image that cannot be read is better known now than after training. */
async function heldOutSet(
  options: Options,
  heldOut: Dataset,
  tokenizer: Tokenizer,
  config: AlbefConfig,
): Promise<RetrievalSet> {
  const without = new Set<number>();
  const make = (): RetrievalSet =>
    retrievalSet(heldOut, tokenizer, {
      resolution: config.vision.resolution,
      maxLength: options["text-length"],
      captions: options.demo ? 1 : 5,
      images: options.candidates,
      without,
    });
  const { images } = make();
  for (const { file, reason } of heldOut.skipped) say(`skipped in "${file}": ${reason}`);
  for (let i = 0; i < images.count; i++) {
    try {
      await images.load([i]);
    } catch (error) {
      if (options["on-error"] === "stop") throw error;
      say(`skipped: ${(error as Error).message}`);
      without.add(i);
    }
  }
  return make();
}

function rateOf(options: Options, steps: number, perEpoch: number): (step: number, epoch: number) => number {
  const { lr: rate, "min-lr": minRate, warmup } = options;
  if (options.schedule === "official") {
    return (step, epoch) => learningRate(epoch, step - epoch * perEpoch, { rate, minRate });
  }
  return (step) => cosineBySteps(step, { rate, minRate, warmup: Math.min(warmup, steps >> 1), total: steps });
}

/** Parameters of another checkpoint; what it lacks must be allowed by name. */
async function startingPoint(options: Options, config: AlbefConfig): Promise<Map<string, Float32Array>> {
  const archive = await openCheckpoint(options.init);
  const target = specEntries(albefSpec(config)).map(([name, { shape }]) => [name, shape] as const);
  const allowMissing = options["allow-missing"].split(",").filter(Boolean);
  const { tensors, report } = await loadParameters(target, archive, { allowMissing, resizePositions: true });
  archive.close();
  say(`${options.init}: ${formatLoadReport(report)}`);
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
}

function recalls({ i2t, t2i }: RetrievalResult["cosine"]): string {
  const row = (r: { r1: number; r5: number; r10: number }): string =>
    [r.r1, r.r5, r.r10].map((x) => x.toFixed(1)).join(" / ");
  return `image to text R@1/5/10 ${row(i2t)}   text to image ${row(t2i)}`;
}

function summary(
  device: Device,
  config: AlbefConfig,
  result: Awaited<ReturnType<typeof train>>,
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
    parameters: countParameters(albefSpec(config)),
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
    Deno.exit(error instanceof UsageError ? 2 : 1);
  }
}
