/** Settings that pretrain.ts and finetune.ts share. Each is declared once: see `settings.fields`. */
import { configs, settings } from "../mod.ts";

const { count, list, none, number, oneOf, share, text, toggle } = settings;

const free = { resume: "free" } as const, once = { once: true } as const;

/** How files become mini-batches: section 4.1, "Data". */
export const inputFields = {
  onError: oneOf(
    ["stop", "skip"],
    "stop",
    "whether what cannot be read ends the run, or is replaced, counted and listed",
  ),
  outside: toggle(false, "take images too that are outside of the folder given for them", free),
  check: oneOf(
    ["files", "decode", "off"],
    "files",
    "what is looked at of every training image before the first step: that its file is there; that it can be decoded; nothing",
    free,
  ),
  tokenizer: text(none, "tokenizer.json or vocab.txt; without it one is learned from the texts", {
    paper: "bert-base-uncased",
    ...free, // its content is compared, not its path
  }),
  vocabulary: count(512, "pieces of a learned tokenizer", { paper: "30522", min: 16 }),
  sep: toggle(false, "end texts with [SEP], which the official code leaves out"),
  textLength: count(25, "tokens per text, [CLS] included", { paper: "25", min: 2 }),
  resolution: count(none, "side of the images in pixels; without it the model's", { paper: "256" }),
  augment: oneOf(
    ["full", "flip", "none"],
    "full",
    "full: crop, flip and RandAugment; flip: flip only; none: the whole image (for texts that tell left from right)",
    { paper: "full" },
  ),
  workers: count(1, "threads that decode images", { paper: "4", ...free }),
  cacheMb: number(256, "memory for decoded images, MiB", { min: 0, ...free }),
};

/** Section 3.1. */
export const modelFields = {
  model: oneOf(Object.keys(configs) as (keyof typeof configs)[], "tiny", "sizes of the model", { paper: "base" }),
  patch: count(none, "side of a patch in pixels, a divisor of the resolution; without it the model's", { paper: "16" }),
  dropout: share(none, "of the text encoder; without it the model's", { paper: "0.1" }),
  init: text(none, "start from a checkpoint's parameters (safetensors or .pth with ALBEF's names)"),
  allowMissing: list([], "parameters that --init may lack; * stands for any text"),
  remat: toggle(false, "recompute activations in the backward pass: less memory, one more forward pass", free),
};

/** Section 4.1, "Implementation details". */
export const optimizationFields = {
  // The trainer compares the number of steps that they come to, which some schedules allow to change.
  epochs: count(10, "passes over the data; a finished run goes on with more (--resume) by --schedule official", {
    paper: "20",
    ...free,
  }),
  steps: count(none, "optimizer steps instead of epochs", free),
  lr: number(1e-3, "largest learning rate", { min: 0, paper: "1e-4" }),
  minLr: number(1e-5, "last learning rate", { min: 0, paper: "1e-5" }),
  schedule: oneOf(
    ["cosine", "official"],
    "cosine",
    "cosine: warm-up and cosine by steps; official: warm-up blocks, then by epochs over 30",
    { paper: "official" },
  ),
  warmup: count(50, "warm-up steps (cosine)", { min: 0, paper: "2000" }),
  weightDecay: number(0.02, "AdamW's decay", { min: 0, paper: "0.02" }),
  clip: number(none, "largest norm of the gradients", { above: 0, paper: "none" }),
  accumulate: count(1, "mini-batches per optimizer step", { paper: "1" }),
  seed: count(42, "decides on everything random", { min: 0, paper: "42" }),
};

/** What a run writes and how often. */
export const reportFields = {
  checkpointEvery: count(200, "steps between checkpoints", free),
  onSaveError: oneOf(
    ["stop", "continue"],
    "stop",
    "whether a checkpoint that the disk does not take ends the run, or is told and left out (not the last one)",
    free,
  ),
  recover: count(
    0,
    "how often a lost device, or one without memory, is opened anew to go on from the last checkpoint",
    { min: 0, ...free },
  ),
  logEvery: count(20, "steps between reports", free),
  evaluateEvery: count(none, "steps between evaluations; without it at the end only", free),
};

/** Whether what `deno task doctor` has kept of the adapter is refused; kernels that it found wrong are avoided in any case. */
export const noTuning = toggle(
  false,
  "compute as if deno task doctor had measured nothing: products by the built-in rule",
  free,
);

/** Where a command runs. */
export const deviceFields = {
  tuning: text(
    none,
    "file of deno task tune with the matrix products that are fastest, instead of those kept of this adapter",
  ),
  noTuning,
  adapter: oneOf(["high-performance", "low-power", "software"], none, "which GPU", free),
};

/** How a run begins. */
export const startFields = {
  memoryGib: number(8, "GPU memory that --dry-run fits the batch into, GiB", { above: 0, ...free }),
  ...deviceFields,
  config: text(
    none,
    "file of settings, TOML or JSON; flags win over it. Every run writes its own as settings.json",
    once,
  ),
  resume: toggle(false, "continue from the newest checkpoint in --out", once),
  overwrite: toggle(false, "delete the checkpoints of an earlier run in --out", once),
  dryRun: toggle(
    false,
    "print parameters, operations and memory of a step and the largest batch that fits, then end",
    once,
  ),
  profile: text(none, "path for a table (.txt) and a trace (.json) of the third mini-batch's kernels", once),
};

/** Prints the help. */
export const help = toggle(false, "print this", once);

/** Values of all of them. */
export type Shared = settings.Values<
  & typeof inputFields
  & typeof modelFields
  & typeof optimizationFields
  & typeof reportFields
  & typeof startFields
>;

/** Settings with other defaults and other values of the paper. */
export function withUsual<F extends settings.Fields>(
  fields: F,
  usual: Partial<settings.Values<F>>,
  paper: Readonly<Record<string, string>> = {},
): F {
  const changed = (key: string, field: settings.Field<unknown>): settings.Field<unknown> => ({
    ...field,
    ...(Object.hasOwn(usual, key) ? { default: usual[key] } : {}),
    ...(Object.hasOwn(paper, key) ? { paper: paper[key]! } : {}),
  });
  return Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, changed(key, field)])) as F;
}
