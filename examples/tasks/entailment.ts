/** Visual entailment: what an image says about a sentence. */
import {
  entailment as recipe,
  ENTAILMENT_CLASSES,
  entailmentCollate,
  type EntailmentDataset,
  type EntailmentExample,
  entailmentLogits,
  officialNames,
  openEntailment,
  patched,
} from "../../mod.ts";
import { round } from "../_run.ts";
import { withUsual } from "../_settings.ts";
import { majority } from "./batches.ts";
import { classEvaluator, interval } from "./classes.ts";
import type { DownstreamTask, Score } from "./task.ts";

export const entailment: DownstreamTask<EntailmentExample, EntailmentDataset> = {
  title: recipe.title,
  files: "sentences about images: ALBEF's list, or SNLI-VE's JSON lines",
  predictions: "JSON lines",
  demo: { files: "entailment" },
  paper: { epochs: "5", lr: "2e-5", warmup: "100" },
  usual: { epochs: 5, lr: 5e-4, augment: "none" }, // sentences tell left from right
  training: withUsual(recipe.fields, { alpha: 0 }),
  evaluation: {},
  open: ({ annotations: _, ...files }) => openEntailment(files),
  *texts(dataset) {
    for (let i = 0; i < dataset.length; i++) yield dataset.entry(i).sentence;
  },
  objective: (setup, values) => recipe.objective(setup, values),
  start: (names, config) => officialNames("entailment", names, config),
  official: "entailment",
  evaluator(context) {
    const { config, tokenizer, textLength } = context;
    const view = { resolution: config.vision.resolution, transform: "eval" } as const;
    const collate = entailmentCollate({ view, maxLength: textLength, tokenizer });
    return classEvaluator(
      context,
      collate,
      (p, input) => entailmentLogits(p, patched(input, config), { config }),
      scoreOf,
    );
  },
};

function scoreOf(dataset: EntailmentDataset, classes: ReadonlyMap<number, number>): Score {
  const rows = [...classes].map(([index, kind]) => ({ ...dataset.entry(index), found: ENTAILMENT_CLASSES[kind]! }));
  const shareOf = (of: typeof rows): number => of.filter(({ label, found }) => label === found).length / of.length;
  const accuracy = shareOf(rows), byClass = Object.groupBy(rows, ({ label }) => label);
  const guess = majority(rows.map(({ label }) => label));
  return {
    score: 100 * accuracy,
    line: `accuracy ${(100 * accuracy).toFixed(2)} % of ${rows.length} sentences`,
    figures: {
      sentences: rows.length,
      accuracy: round(accuracy),
      interval95: interval(accuracy, rows.length).map(round),
      perClass: Object.fromEntries(Object.entries(byClass).map(([label, own]) => [label, round(shareOf(own))])),
      majority: { label: guess.label, accuracy: round(guess.share) },
    },
    predictions: rows.map(({ images, sentence, found }) =>
      `${JSON.stringify({ image: images[0].path, sentence, prediction: found })}\n`
    ).join(""),
  };
}
