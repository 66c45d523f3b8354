/**
 * The settings of pretrain.ts that all recipes share. Each is declared once: type, flag, key in files, check, help, what a resumed run
 * may change, and the README's table follow from it.
 */
import { configs, pairRecipes, sceneFiles, settings } from "../mod.ts";

const { count, fields, group, list, none, number, oneOf, share, text, toggle } = settings;

const free = { resume: "free" } as const, once = { once: true } as const;

export const common = fields({
  recipe: text(
    "grit",
    `${Object.keys(pairRecipes).join(", ")}, or the path of a module whose default export is a recipe`,
  ),
  // Section 4.1, "Data".
  ...group("Data", {
    data: list([], "caption files: ALBEF JSON list, COCO captions JSON, or TSV of path and caption", {
      ...free, // their content is compared, not their paths
    }),
    images: text(none, "folder that image paths are relative to", free),
    groupBy: oneOf(
      ["row", "caption", "image"],
      "row",
      "what an example is: a row of the files, a caption, an image with its captions",
    ),
    valData: list([], "held-out captions for retrieval; without them there is none", free),
    valImages: text(none, "folder of the held-out images", free),
    valCaptions: count(5, "captions of each held-out image", { paper: "5", ...free }),
    onError: oneOf(
      ["stop", "skip"],
      "stop",
      "whether what cannot be read ends the run, or is replaced, counted and listed",
    ),
    tokenizer: text(none, "tokenizer.json or vocab.txt; without it one is learned from the captions", {
      paper: "bert-base-uncased",
      ...free, // its content is compared, not its path
    }),
    vocabulary: count(512, "pieces of a learned tokenizer", { paper: "30522", min: 16 }),
    sep: toggle(false, "end captions with [SEP], which the official code leaves out"),
    textLength: count(25, "tokens per caption, [CLS] included", { paper: "25", min: 2 }),
    resolution: count(none, "side of the images in pixels; without it the model's", { paper: "256" }),
    augment: oneOf(
      ["full", "flip", "none"],
      "full",
      "full: crop, flip and RandAugment; flip: flip only; none: the whole image (for captions that tell left from right)",
      { paper: "full" },
    ),
    workers: count(1, "threads that decode images", { paper: "4", ...free }),
    cacheMb: number(256, "memory for decoded images, MiB", { min: 0, ...free }),
  }),
  // Section 3.1.
  ...group("Model", {
    model: oneOf(Object.keys(configs) as (keyof typeof configs)[], "tiny", "sizes of the model", { paper: "base" }),
    dropout: share(none, "of the text encoder; without it the model's", { paper: "0.1" }),
    init: text(none, "start from a checkpoint's parameters (safetensors or .pth with ALBEF's names)"),
    allowMissing: list([], "parameters that --init may lack; * stands for any text"),
    remat: toggle(false, "recompute activations in the backward pass: less memory, one more forward pass", free),
  }),
  // Section 3.2, "Grouped mini-batch sampling".
  ...group("Mini-batches", {
    grit: oneOf(["on", "off", "no-shuffle", "naive"], "on", "how mini-batches are made", { paper: "on" }),
    batch: count(32, "mini-batch N", { paper: "96", min: 2 }),
    subQueue: count(160, "search space M, a multiple of N", { paper: "960", min: 2 }),
    queue: count(960, "queue L, a multiple of M", { paper: "48000", min: 2 }),
  }),
  // Section 4.1, "Implementation details".
  ...group("Optimization", {
    epochs: count(10, "passes over the data", { paper: "20" }),
    steps: count(none, "optimizer steps instead of epochs"),
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
  }),
  ...group("Run", {
    out: text("runs/pretrain", "folder for checkpoints, settings, tokenizer and metrics", free),
    checkpointEvery: count(200, "steps between checkpoints", free),
    logEvery: count(20, "steps between reports", free),
    evaluateEvery: count(none, "steps between evaluations; without it at the end only", free),
    shortlist: count(16, "candidates that the matching head re-ranks", { min: 0, paper: "256", ...free }),
    candidates: count(1000, "most held-out images to retrieve from", { paper: "5000 (COCO)", ...free }),
    scenes: count(3072, "training scenes of the demo", { min: 2 }),
    memoryGib: number(8, "GPU memory that --dry-run fits the batch into, GiB", { above: 0, ...free }),
    tuning: text(none, "file of deno task tune with the matrix products that are fastest on this adapter"),
    adapter: oneOf(["high-performance", "low-power", "software"], none, "which GPU", free),
    config: text(
      none,
      "file of settings, TOML or JSON; flags win over it. Every run writes its own as settings.json",
      once,
    ),
    resume: toggle(false, "continue from the newest checkpoint in --out", once),
    overwrite: toggle(false, "delete the checkpoints of an earlier run in --out", once),
    dryRun: toggle(false, "print the memory that the run will take and the largest batch that fits, then end", once),
    profile: text(none, "path for a table (.txt) and a trace (.json) of the third mini-batch's kernels", once),
    demo: toggle(false, "make a small world of scenes first and learn it", once),
    help: toggle(false, "print this", once),
  }),
});

/** The settings that all recipes share. */
export type Common = settings.Values<typeof common>;

/** The demo's own folder, in which it begins anew every time. */
const DEMO = "runs/demo";

/** What `--demo` sets unless a flag or file says otherwise; `out` is where its scenes are. */
export function demoPreset(out: string = DEMO): Partial<Common> {
  const train = sceneFiles(`${out}/scenes`, "train"), test = sceneFiles(`${out}/scenes`, "test");
  return {
    out,
    data: [train.captions],
    images: train.images,
    groupBy: "image",
    valData: [test.captions],
    valImages: test.images,
    valCaptions: 1,
    textLength: 24,
    augment: "none",
    epochs: 5,
    lr: 2e-3,
    cacheMb: 64,
    candidates: 128,
    checkpointEvery: 100,
    overwrite: out === DEMO, // checkpoints of another folder are not the demo's to delete
  };
}

/** What it sets of recipes that have such a setting. */
export const demoOfRecipes: Readonly<Record<string, unknown>> = {
  // In a few hundred steps the matching head learns nothing from the hardest negatives, and much from random ones of grouped batches.
  negatives: "random",
};
