/**
 * The settings of pretrain.ts that all recipes share. Each is declared once: type, flag, key in files, check, help, what a resumed run
 * may change, and the README's table follow from it.
 */
import { pairRecipes, sceneFiles, settings, streamRecipes } from "../mod.ts";
import { help, inputFields, modelFields, optimizationFields, reportFields, startFields } from "./_settings.ts";

const { count, fields, group, list, none, number, oneOf, text, toggle } = settings;

const free = { resume: "free" } as const, once = { once: true } as const;

export const common = fields({
  recipe: text(
    "grit",
    `${
      Object.keys({ ...pairRecipes, ...streamRecipes }).join(", ")
    }, or the path of a module whose default export is a recipe`,
  ),
  // Section 4.1, "Data".
  ...group("Data", {
    data: list(
      [],
      "caption files: ALBEF JSON list, COCO captions JSON, Karpathy's JSON, or TSV or CSV of path and caption",
      {
        ...free, // their content is compared, not their paths
      },
    ),
    images: text(none, "folder that image paths are relative to", free),
    split: text(none, 'entries of this "split" of the files alone, several joined by +: train+restval of Karpathy\'s'),
    groupBy: oneOf(
      ["row", "caption", "image"],
      "row",
      "what an example is: a row of the files, a caption, an image with its captions",
    ),
    valData: list([], "held-out captions for retrieval; without them there is none", free),
    valImages: text(none, "folder of the held-out images", free),
    valSplit: text(none, 'held-out captions of this "split" alone, val of Karpathy\'s', free),
    regions: text(none, "regions of the images, for --recipe regions: a .tsv file, or a folder of .npz files", free),
    valRegions: text(none, "regions of the held-out images", free),
    regionNames: text(none, "file with the name of a class of regions on each line"),
    mostRegions: count(36, "the most regions of an image", { paper: "36" }),
    valCaptions: count(5, "captions of each held-out image", { paper: "5", ...free }),
    valBatch: count(none, "held-out mini-batch of a recipe of one stream; without it --batch", { min: 2, ...free }),
    ...inputFields,
  }),
  // Section 3.1.
  ...group("Model", modelFields),
  // Section 3.2, "Grouped mini-batch sampling".
  ...group("Mini-batches", {
    grit: oneOf(["on", "off", "no-shuffle", "naive"], "on", "how mini-batches are made", { paper: "on" }),
    batch: count(32, "mini-batch N", { paper: "96", min: 2 }),
    subQueue: count(160, "search space M, a multiple of N", { paper: "960", min: 2 }),
    queue: count(960, "queue L, a multiple of M", { paper: "48000", min: 2 }),
  }),
  // Section 4.1, "Implementation details".
  ...group("Optimization", {
    ...optimizationFields,
    curriculum: oneOf(
      ["none", "efficient-train"],
      "none",
      "efficient-train: 60 % of the epochs on images of 5/7 of the side, 20 % on 6/7, with weaker RandAugment",
      { paper: "none" },
    ),
  }),
  // Gan et al. 2020, section 3: around any recipe.
  ...group("Adversarial training", {
    adversarialSteps: count(0, "steps in which embeddings are perturbed so that the loss rises (VILLA); 0: none", {
      min: 0,
      paper: "0 (VILLA: 3)",
    }),
    adversarialStepSize: number(1e-3, "length of such a step, of each example", { min: 0, paper: "1e-3" }),
    adversarialBall: number(0, "largest L2 norm of a perturbation; 0: there is none, and they start as zeros", {
      min: 0,
      paper: "0",
    }),
    adversarialKl: number(1.5, "weight of the divergence between predictions with and without the perturbation", {
      min: 0,
      paper: "1.5",
    }),
    adversarialSides: oneOf(
      ["both", "image", "text"],
      "both",
      "whose embeddings are perturbed; both: images in one pass, texts in another",
      { paper: "both" },
    ),
  }),
  ...group("Run", {
    out: text("runs/pretrain", "folder for checkpoints, settings, tokenizer and metrics", free),
    ...reportFields,
    shortlist: count(16, "candidates that the matching head re-ranks", { min: 0, paper: "256", ...free }),
    candidates: count(1000, "most held-out images to retrieve from", { paper: "5000 (COCO)", ...free }),
    scenes: count(3072, "training scenes of the demo", { min: 2 }),
    ...startFields,
    demo: toggle(false, "make a small world of scenes first and learn it", once),
    help,
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
    regions: train.regions,
    valRegions: test.regions,
    mostRegions: 3,
    images: train.images,
    groupBy: "image",
    valData: [test.captions],
    valImages: test.images,
    valCaptions: 1,
    textLength: 24,
    augment: "none",
    // One patch to a cell of the scenes' grid: everything is learned in fewer steps.
    resolution: 66,
    patch: 22,
    batch: 64,
    subQueue: 192,
    epochs: 15,
    lr: 4e-3,
    clip: 1,
    cacheMb: 64,
    candidates: 128,
    checkpointEvery: 100,
    overwrite: out === DEMO, // checkpoints of another folder are not the demo's to delete
  };
}
