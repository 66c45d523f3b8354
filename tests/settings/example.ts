/**
 * Settings of every kind, for the tests of their room.
 */
import { fields, group, none } from "../../src/settings/field.ts";
import { count, list, number, oneOf, share, text, toggle } from "../../src/settings/kinds.ts";

export const example = fields({
  ...group("Data", {
    data: list([], "caption files"),
    textLength: count(25, "tokens per caption, [CLS] included", { min: 2, max: 512, paper: "25" }),
    resolution: count(none, "side of the images", { paper: "256" }),
    augment: oneOf(["full", "none"], "full", "full | flip"),
    workers: count(1, "threads that decode images", { resume: "free" }),
  }),
  ...group("Objectives", {
    mask: share(0.5, "share of the tokens that MLM masks", { paper: "0.5" }),
    offset: number(0, "any number"),
    lr: number(1e-3, "largest learning rate", { above: 0 }),
    dropout: number(none, "of the text encoder", { min: 0, below: 1 }),
    negatives: oneOf(["top1", "random"], none, "how ITM's negatives are chosen"),
    detachKeys: toggle(true, "no gradient through ITC's key side"),
    remat: toggle(false, "recompute activations", { resume: "free" }),
  }),
  out: text("runs/x", "folder of the run", { resume: "free" }),
  init: text(none, "start from a checkpoint"),
  overwrite: toggle(false, "delete an earlier run", { once: true }),
});
