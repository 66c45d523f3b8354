/**
 * The flags of pretrain.ts: meaning, default, and the value in GRIT-VLP's pre-training.
 */
import { configs } from "../src/models/config.ts";
import type { Values } from "./flags.ts";

export const flags = {
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
  "dry-run": {
    default: false,
    help: "print the memory that the run will take and the largest batch that fits, then end",
  },
  "memory-gib": { default: 8, help: "GPU memory that --dry-run fits the batch into, GiB" },
  profile: { default: "", help: "path for a table (.txt) and a trace (.json) of the third step's kernels" },
  tuning: { default: "", help: "file of deno task tune with the matrix products that are fastest on this adapter" },
  adapter: { default: "", help: "high-performance, low-power or software" },
  demo: { default: false, help: "make a small world of scenes first and learn it" },
  scenes: { default: 3072, help: "training scenes of the demo", min: 2 },
  help: { default: false, help: "print this" },
};

/** Values of the flags. */
export type Options = Values<typeof flags>;

/** What `--demo` sets unless a flag says otherwise. */
export const demoPreset = {
  out: "runs/demo",
  "text-length": 24,
  augment: "none",
  // In a few hundred steps the matching head learns nothing from the hardest negatives, and much from random ones of grouped batches.
  negatives: "random",
  epochs: 5,
  lr: 2e-3,
  "cache-mb": 64,
  candidates: 128,
  "checkpoint-every": 100,
  overwrite: true,
};
