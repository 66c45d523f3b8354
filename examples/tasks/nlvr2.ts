/** NLVR2: whether a sentence is true of two images; a step of pre-training by text assignment may come before. */
import {
  nlvr2 as recipe,
  nlvrAccuracy,
  nlvrCollate,
  type NlvrDataset,
  nlvrLogits,
  type NlvrSentence,
  officialNames,
  openDataset,
  openNlvr,
  patched,
  settings,
  textAssignment,
} from "../../mod.ts";
import { round } from "../_run.ts";
import { majority } from "./batches.ts";
import { classEvaluator, interval } from "./classes.ts";
import { retrieval } from "./retrieval.ts";
import type { Before, DownstreamTask, Score, Values } from "./task.ts";

const { count, list, none, text } = settings;

export const nlvr2: DownstreamTask<NlvrSentence, NlvrDataset> = {
  title: recipe.title,
  files: "sentences about two images: ALBEF's list, or the JSON lines of NLVR2 or NLVR",
  predictions: "NLVR's lines of identifier,true|false",
  demo: { files: "statements" },
  paper: { epochs: "10", lr: "2e-5", batch: "16", warmup: "100" },
  usual: { epochs: 10, lr: 5e-4, augment: "none" }, // sentences tell left from right
  training: {
    ...recipe.fields,
    assignmentSteps: count(0, "steps of pre-training by text assignment, before", { min: 0, paper: "an epoch" }),
    assignmentData: list([], "caption files of that pre-training", { resume: "free" }),
    assignmentImages: text(none, "folder that their image paths are relative to", { resume: "free" }),
  },
  evaluation: {},
  open: ({ annotations: _, ...files }) => openNlvr(files),
  *texts(dataset) {
    for (let i = 0; i < dataset.length; i++) yield dataset.entry(i).sentence;
  },
  objective: (setup) => recipe.objective(setup),
  before: ({ assignmentSteps, ...values }) => assignmentSteps ? assignment(assignmentSteps, values) : undefined,
  start: (names, config) => officialNames("nlvr", names, config),
  official: "nlvr",
  evaluator(context) {
    const { config, tokenizer, textLength } = context;
    const view = { resolution: config.vision.resolution, transform: "eval" } as const;
    const collate = nlvrCollate({ view, maxLength: textLength, tokenizer });
    return classEvaluator(context, collate, (p, input) => nlvrLogits(p, patched(input, config), { config }), scoreOf);
  },
};

/** Pre-training by text assignment. */
async function assignment(
  steps: number,
  { assignmentData: data, assignmentImages: images, onError, outside }: Values,
): Promise<Before> {
  if (!data.length) throw new settings.UsageError("--assignment-data is missing: give caption files, with images");
  const dataset = await openDataset({ data, ...(images ? { images } : {}), onError, outside });
  return {
    name: "assignment",
    dataset,
    texts: () => retrieval.texts(dataset),
    objectiveOf: (setup) => textAssignment.objective(setup),
    steps,
    start: (names, config) => ({ ...officialNames("nlvr", names, config), allowMissing: ["ta_head.*"] }),
  };
}

function scoreOf(dataset: NlvrDataset, classes: ReadonlyMap<number, number>): Score {
  const statements = [...classes.keys()].map((index) => dataset.entry(index));
  const predictions = new Map([...classes].map(([index, kind]) => [dataset.entry(index).identifier, kind === 1]));
  const { precision, consistency } = nlvrAccuracy(statements, predictions), count = statements.length;
  const { label, share } = majority(statements.map(({ label }) => label));
  return {
    score: 100 * precision,
    line: `precision ${(100 * precision).toFixed(2)} % of ${count} sentences`,
    figures: {
      sentences: count,
      precision: round(precision),
      interval95: interval(precision, count).map(round),
      consistency: round(consistency),
      majority: { label, precision: round(share) },
    },
    predictions: [...predictions].map(([identifier, is]) => `${identifier},${is}\n`).join(""),
  };
}
