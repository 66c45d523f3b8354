/**
 * The runs of the paper's ablations, and which of them each table shows. A run differs from the others in its method only: model, data,
 * start, budget, rates and evaluation are the world's, and no run has settings of its own beyond those that its row names.
 */
import type { GritMode, pairRecipes } from "../../mod.ts";

/** A method: a recipe with some of its settings, and how mini-batches are made. */
export interface Method {
  readonly recipe: keyof typeof pairRecipes;
  readonly grit: GritMode;
  /** Settings of the recipe that are not its defaults. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** GRIT-VLP's losses; `lambda` is the weight of the consistency term, `mask` the share of masked tokens. */
function grit(mode: GritMode, lambda: number, mask: number, more: Method["values"] = {}): Method {
  return { recipe: "grit", grit: mode, values: { consistency: lambda, mask, ...more } };
}

/** The contrastive loss alone: a dual encoder. */
const dual = { itmWeight: 0, mlmWeight: 0 };

/** All runs by key. */
export const methods = {
  // Table 4: the sampler, the consistency term and the share of masked tokens.
  "albef-base": grit("off", 0, 0.15),
  "albef-base-50": grit("off", 0, 0.5),
  "grit-50": grit("grit", 0, 0.5),
  "naive-50": grit("naive", 0, 0.5),
  "no-shuffle-50": grit("no-shuffle", 0, 0.5),
  "grit-cons-15": grit("grit", 0.2, 0.15),
  "grit-cons-50": grit("grit", 0.2, 0.5),
  // Table 1: the objectives. Without ITC, hard negatives follow the features of the common start, which no loss moves directly.
  "itm-random": grit("off", 0, 0.15, { itcWeight: 0, negatives: "random" }),
  "itm-random-itc": grit("off", 0, 0.15, { negatives: "random" }),
  "itm-hard": grit("off", 0, 0.15, { itcWeight: 0 }),
  // Table 5: the contrastive loss alone.
  "itc": grit("off", 0, 0.5, dual),
  "itc-queue": { recipe: "albef-queue", grit: "off", values: {} },
  "itc-grit": grit("grit", 0, 0.5, dual),
  "itc-cons-grit": grit("grit", 0.2, 0.5, dual),
  // Table 6: TCL, and with grouping and more masking; its soft targets stand for the consistency term.
  "tcl": { recipe: "tcl", grit: "off", values: {} },
  "tcl-grit-50": { recipe: "tcl", grit: "grit", values: { mask: 0.5 } },
  // MAFA, and its parts: smoothed targets alone, and the judge alone.
  "grit-smooth-50": grit("grit", 0, 0.5, { itcSmoothing: 0.5, itcSmoothingFrom: 1 }),
  "judge-50": { recipe: "mafa", grit: "grit", values: { itcSmoothing: 0 } },
  "mafa-50": { recipe: "mafa", grit: "grit", values: {} },
  // Momentum distillation: the same keys of momentum encoders and queues, without and with their soft targets.
  "albef-hard": { recipe: "albef", grit: "off", values: { alpha: 0 } },
  "albef": { recipe: "albef", grit: "off", values: {} },
} satisfies Record<string, Method>;

/** A run's key. */
export type RunKey = keyof typeof methods;

/** A row of a table. */
export interface Row {
  readonly label: string;
  readonly run: RunKey;
}

/** A table of the paper. */
export interface Table {
  readonly title: string;
  /** The first row is the baseline. */
  readonly rows: readonly Row[];
}

/** The tables by the name that the command takes. */
export const tables = {
  "1": {
    title: "Table 1: objectives",
    rows: [
      { label: "MLM + ITM random", run: "itm-random" },
      { label: "MLM + ITM random + ITC", run: "itm-random-itc" },
      { label: "MLM + ITM hard", run: "itm-hard" },
      { label: "MLM + ITM hard + ITC (ALBEF_Base)", run: "albef-base" },
    ],
  },
  "2": {
    title: "Table 2: share of masked tokens",
    rows: [
      { label: "ALBEF_Base, 15 %", run: "albef-base" },
      { label: "ALBEF_Base, 50 %", run: "albef-base-50" },
    ],
  },
  "4": {
    title: "Table 4: sampler, consistency, masking",
    rows: [
      { label: "random batches, 15 % (ALBEF_Base)", run: "albef-base" },
      { label: "random batches, 50 %", run: "albef-base-50" },
      { label: "GRIT, 50 %", run: "grit-50" },
      { label: "naive GRIT, 50 %", run: "naive-50" },
      { label: "GRIT without shuffles, 50 %", run: "no-shuffle-50" },
      { label: "GRIT + consistency, 15 %", run: "grit-cons-15" },
      { label: "GRIT + consistency, 50 % (GRIT-VLP)", run: "grit-cons-50" },
    ],
  },
  "5": {
    title: "Table 5: the contrastive loss alone",
    rows: [
      { label: "ITC", run: "itc" },
      { label: "ITC with queues", run: "itc-queue" },
      { label: "ITC + GRIT", run: "itc-grit" },
      { label: "ITC with consistency + GRIT", run: "itc-cons-grit" },
    ],
  },
  "6": {
    title: "Table 6: TCL",
    rows: [
      { label: "TCL", run: "tcl" },
      { label: "TCL + GRIT, 50 %", run: "tcl-grit-50" },
    ],
  },
  "mafa": {
    title: "MAFA: false negatives of grouped mini-batches",
    rows: [
      { label: "GRIT + consistency, 50 % (GRIT-VLP)", run: "grit-cons-50" },
      { label: "GRIT, 50 %", run: "grit-50" },
      { label: "GRIT + smoothing, 50 %", run: "grit-smooth-50" },
      { label: "GRIT + judge, 50 %", run: "judge-50" },
      { label: "GRIT + judge + smoothing, 50 % (MAFA)", run: "mafa-50" },
    ],
  },
  "distillation": {
    title: "ALBEF's momentum distillation",
    rows: [
      { label: "without (alpha 0)", run: "albef-hard" },
      { label: "with (alpha 0.4)", run: "albef" },
    ],
  },
  "figure4": {
    title: "Figure 4: usage of vision",
    rows: [
      { label: "ALBEF_Base, 15 %", run: "albef-base" },
      { label: "ALBEF_Base, 50 %", run: "albef-base-50" },
    ],
  },
} as const satisfies Record<string, Table>;

/** A table's name. */
export type TableName = keyof typeof tables;
