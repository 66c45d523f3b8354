/** NLVR2: whether a sentence is true of two images; a step of pre-training by text assignment may come before. */
import {
  albefNames,
  albefNamesForTwoImages,
  nlvr2 as recipe,
  nlvrAccuracy,
  nlvrCollate,
  type NlvrDataset,
  nlvrLogits,
  type NlvrSentence,
  openNlvr,
  patched,
} from "../../mod.ts";
import { round } from "../_run.ts";
import { majority } from "./batches.ts";
import { classEvaluator, interval } from "./classes.ts";
import type { DownstreamTask, Score } from "./task.ts";

export const nlvr2: DownstreamTask<NlvrSentence, NlvrDataset> = {
  title: recipe.title,
  files: "sentences about two images: ALBEF's list, or the JSON lines of NLVR2 or NLVR",
  usual: { epochs: 10, lr: 5e-4, augment: "none" }, // sentences tell left from right
  training: recipe.fields,
  evaluation: {},
  open: ({ annotations: _, ...files }) => openNlvr(files),
  *texts(dataset) {
    for (let i = 0; i < dataset.length; i++) yield dataset.entry(i).sentence;
  },
  objective: (setup) => recipe.objective(setup),
  start(names, { text: { fusionLayer, layers } }) {
    const heads = { allowMissing: ["cls_head.*"] };
    // Text assignment and fine-tuning have doubled the fusion layers already.
    const doubled = names.some((name) => name.includes(`encoder.layer.${2 * layers - fusionLayer - 1}.`));
    return doubled ? { table: albefNames(), ...heads } : { table: albefNamesForTwoImages(fusionLayer), ...heads };
  },
  evaluator(context) {
    const { config, tokenizer, textLength } = context;
    const view = { resolution: config.vision.resolution, transform: "eval" } as const;
    const collate = nlvrCollate({ view, maxLength: textLength, tokenizer });
    return classEvaluator(context, collate, (p, input) => nlvrLogits(p, patched(input, config), { config }), scoreOf);
  },
};

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
