/**
 * GRIT-VLP pre-training (Byun et al. 2022) from images and captions on disk: ALBEF with ITC + ITM + MLM on mini-batches grouped
 * by similarity. Read from top to bottom it is section 4 of the paper.
 *
 *     deno task demo                                    a small world is made, learned and retrieved from
 *     deno run -A examples/pretrain.ts --data captions.json --images folder --config tiny --epochs 10
 *     deno run -A examples/pretrain.ts --help
 */
import { flagHelp, parseFlags, UsageError, type Values } from "./flags.ts";
import { type Dataset, openDataset } from "../src/data/datasets.ts";
import { Loader } from "../src/data/loader.ts";
import { sceneFiles, writeScenes } from "../src/data/scenes/write.ts";
import { buildTokenizer, loadTokenizer, type Tokenizer, writeTokenizer } from "../src/data/tokenizer.ts";
import { RetrievalEvaluator, type RetrievalResult, type RetrievalSet } from "../src/eval/retrieval.ts";
import { retrievalSet } from "../src/eval/retrieval_set.ts";
import { defaultDevice, type Device, openDevice, setDefaultDevice } from "../src/gpu/device.ts";
import { formatBytes } from "../src/gpu/errors.ts";
import { setUpAdapter } from "../src/gpu/setup.ts";
import type { GritMode } from "../src/grit/options.ts";
import { openCheckpoint } from "../src/io/checkpoint.ts";
import { loadParameters } from "../src/io/load.ts";
import { formatLoadReport } from "../src/io/load_report.ts";
import { type AlbefConfig, configs } from "../src/models/config.ts";
import { albefSpec } from "../src/models/albef.ts";
import { countParameters, specEntries } from "../src/nn/spec.ts";
import { cosineBySteps, learningRate } from "../src/optim/schedule.ts";
import { imagePatches, PRETRAINING_LAYOUT, PRETRAINING_METRICS, PretrainingTask } from "../src/tasks/pretraining.ts";
import { ProgressLine } from "../src/train/progress.ts";
import { train } from "../src/train/train.ts";

const flags = {
  // Data: section 4.1, "Data".
  data: {
    default: "",
    help: "caption files, comma-separated: ALBEF JSON list, COCO captions JSON, or TSV of path and caption",
  },
  images: { default: "", help: "folder that image paths are relative to" },
  "val-data": { default: "", help: "held-out captions for retrieval; without it there is none" },
  "val-images": { default: "", help: "folder of the held-out images" },
  "on-error": {
    default: "stop",
    choices: ["stop", "skip"],
    help: "an image or caption that cannot be read ends the run, or is replaced, counted and listed",
  },
  tokenizer: {
    default: "",
    help: "tokenizer.json or vocab.txt; without it one is learned from the captions",
    paper: "bert-base-uncased",
  },
  vocabulary: { default: 512, help: "pieces of a learned tokenizer", paper: "30522", min: 16 },
  sep: { default: false, help: "end captions with [SEP], which the official code leaves out" },
  "text-length": { default: 25, help: "tokens per caption, [CLS] included", paper: "25", min: 2 },
  resolution: { default: 0, help: "side of the images in pixels; 0 takes the configuration's", paper: "256" },
  augment: {
    default: "full",
    choices: ["full", "flip", "none"],
    help:
      "full: crop, flip and RandAugment; flip: flip only; none: the whole image (for captions that tell left from right)",
    paper: "full",
  },
  workers: { default: 1, help: "threads that decode images", paper: "4", min: 1 },
  "cache-mb": { default: 256, help: "memory for decoded images, MiB" },
  // Model: section 3.1.
  config: { default: "tiny", choices: Object.keys(configs), help: "sizes of the model", paper: "base" },
  dropout: { default: -1, help: "of the text encoder; -1 takes the configuration's", paper: "0.1", min: -1 },
  init: { default: "", help: "start from a checkpoint's parameters (safetensors or .pth with ALBEF's names)" },
  "allow-missing": { default: "", help: "parameters that --init may lack, comma-separated, * stands for any text" },
  remat: { default: false, help: "recompute activations in the backward pass: less memory, one more forward pass" },
  // Objectives: sections 3.2 to 3.4.
  mask: { default: 0.5, help: "share of the tokens that MLM masks (ALBEF: 0.15)", paper: "0.5" },
  consistency: { default: 0.2, help: "weight of ITC's consistency term", paper: "0.2" },
  negatives: {
    default: "multinomial",
    choices: ["top1", "multinomial", "random"],
    help: "how ITM's negatives are chosen",
    paper: "multinomial; top1 in the official code",
  },
  "same-image": {
    default: false,
    help: "let captions of one image be each other's negatives, as the official code does",
    paper: "true",
  },
  "detach-keys": { default: true, help: "no gradient through ITC's key side", paper: "true in the official code" },
  // GRIT: section 3.2, "Grouped mini-batch sampling".
  grit: {
    default: "on",
    choices: ["on", "off", "no-shuffle", "naive"],
    help: "how mini-batches are made",
    paper: "on",
  },
  batch: { default: 32, help: "mini-batch N", paper: "96", min: 2 },
  "sub-queue": { default: 160, help: "search space M, a multiple of N", paper: "960", min: 2 },
  queue: { default: 960, help: "queue L, a multiple of M", paper: "48000", min: 2 },
  // Optimization: section 4.1, "Implementation details".
  epochs: { default: 10, help: "passes over the data", paper: "20" },
  steps: { default: 0, help: "optimizer steps instead of epochs" },
  lr: { default: 1e-3, help: "largest learning rate", paper: "1e-4" },
  "min-lr": { default: 1e-5, help: "last learning rate", paper: "1e-5" },
  schedule: {
    default: "cosine",
    choices: ["cosine", "official"],
    help: "cosine: warm-up and cosine by steps; official: warm-up blocks, then by epochs over 30",
    paper: "official",
  },
  warmup: { default: 50, help: "warm-up steps (cosine)", paper: "2000" },
  "weight-decay": { default: 0.02, help: "AdamW's decay", paper: "0.02" },
  clip: { default: 0, help: "largest norm of the gradients; 0 does not clip", paper: "none" },
  accumulate: { default: 1, help: "mini-batches per optimizer step", paper: "1", min: 1 },
  seed: { default: 42, help: "decides on everything random", paper: "42" },
  // The run.
  out: { default: "runs/pretrain", help: "folder for checkpoints, tokenizer and metrics" },
  resume: { default: false, help: "continue from the newest checkpoint in --out" },
  overwrite: { default: false, help: "delete the checkpoints of an earlier run in --out" },
  "checkpoint-every": { default: 200, help: "steps between checkpoints", min: 1 },
  "log-every": { default: 20, help: "steps between reports", min: 1 },
  "evaluate-every": { default: 0, help: "steps between evaluations; 0 evaluates at the end only" },
  shortlist: { default: 16, help: "candidates that the ITM head re-ranks", paper: "256" },
  candidates: { default: 1000, help: "most held-out images to retrieve from", paper: "5000 (COCO)", min: 1 },
  adapter: { default: "", help: "high-performance, low-power or software" },
  demo: { default: false, help: "make a small world of scenes first and learn it" },
  scenes: { default: 3072, help: "training scenes of the demo", min: 2 },
  help: { default: false, help: "print this" },
};

type Options = Values<typeof flags>;

/** What `--demo` sets unless a flag says otherwise. */
const demoPreset = {
  out: "runs/demo",
  "text-length": 24,
  augment: "none",
  epochs: 6,
  lr: 2e-3,
  "cache-mb": 64,
  candidates: 128,
  "checkpoint-every": 100,
  overwrite: true,
};

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
    loss: {
      itc: { consistency: options.consistency, detachKeys: options["detach-keys"] },
      negatives: options.negatives as "top1" | "multinomial" | "random",
      useImageIds: !options["same-image"],
      remat: options.remat,
    },
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

async function openAdapter({ adapter }: Options): Promise<Device> {
  if (adapter) setDefaultDevice(await openDevice({ adapter }));
  const device = await defaultDevice(), { profile } = device;
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
