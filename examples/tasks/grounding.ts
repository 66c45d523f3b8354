/** Visual grounding without boxes: the retrieval model, fine-tuned on expressions; Grad-CAM's maps choose among detected boxes. */
import {
  asMatcher,
  type Box,
  cleanCaption,
  type ExpressionDataset,
  type ExpressionExample,
  type GroundingAccuracy,
  GroundingEvaluator,
  groundingLayer,
  type GroundingSet,
  groundingSet,
  openExpressions,
  type PairBatch,
  pairCollate,
  readDetections,
  retrieval as recipe,
  settings,
} from "../../mod.ts";
import { round } from "../_run.ts";
import { withUsual } from "../_settings.ts";
import { retrieval } from "./retrieval.ts";
import type { DownstreamTask, EvaluationContext, Score } from "./task.ts";

const { count, none, oneOf, text } = settings;

const free = { resume: "free" } as const;

export const grounding: DownstreamTask<ExpressionExample, ExpressionDataset> = {
  title: "weakly supervised grounding: retrieval's losses on expressions, whose maps choose among boxes",
  files: "expressions about images, with boxes where they are evaluated",
  demo: { files: "expressions", preset: ({ detections }) => ({ detections }) },
  paper: { epochs: "5", lr: "1e-5", warmup: "none" },
  usual: { epochs: 5, lr: 5e-4, augment: "none" }, // expressions tell left from right
  training: withUsual(recipe.fields, { momentumKeys: false }),
  evaluation: {
    detections: text(
      none,
      "boxes to choose among: a JSON object of image ids; without it only pointing is scored",
      free,
    ),
    mapsBy: oneOf(["itm", "itc"], "itm", "what is explained: the matching head's logit or the cosine", {
      paper: "itm",
      ...free,
    }),
    layer: count(
      none,
      "layer whose attention is looked at; without it the third fusion layer, or the last (itc: block)",
      {
        min: 0,
        paper: "8",
        ...free,
      },
    ),
  },
  open: ({ annotations: _, ...files }) => openExpressions(files),
  *texts(dataset) {
    for (let i = 0; i < dataset.length; i++) yield dataset.entry(i).text;
  },
  objective(setup, values) {
    const { view, textLength: maxLength, tokenizer } = setup, pairs = pairCollate({ view, maxLength, tokenizer });
    const collate: EvaluationContext<ExpressionExample>["objective"]["collate"] = {
      ...pairs,
      // An expression is a caption of its image, and expressions of one image are not told apart: the official code does so too.
      collate: (examples, images, random): PairBatch =>
        pairs.collate(
          examples.map(({ images, text }) => ({ images, caption: cleanCaption(text), imageId: images[0].id })),
          images,
          random,
        ),
    };
    return { ...recipe.objective(setup, values), collate };
  },
  start: retrieval.start,
  official: "grounding",
  evaluator({ config, tokenizer, textLength: maxLength, values, batch }) {
    const { mapsBy: by, layer = groundingLayer(config, by), detections: path } = values;
    const evaluator = new GroundingEvaluator(config, { by, layer, batch });
    const sets = new Map<ExpressionDataset, Promise<GroundingSet>>();
    let detections: Promise<Map<string, Box[]>> | undefined;
    const makeSet = async (dataset: ExpressionDataset): Promise<GroundingSet> => {
      const boxes = path ? await (detections ??= readDetections(path)) : undefined;
      const { resolution } = config.vision;
      return await groundingSet(dataset, tokenizer, { resolution, maxLength, ...(boxes ? { detections: boxes } : {}) });
    };
    const setOf = (dataset: ExpressionDataset) => sets.getOrInsertComputed(dataset, () => makeSet(dataset));
    return {
      protocol: { mapsBy: by, layer, detections: path ?? null, overlap: 0.5, trainedWithBoxes: false },
      check: async (dataset) => void await setOf(dataset),
      async evaluate(params, dataset) {
        return scoreOf(await evaluator.evaluate(asMatcher(params), await setOf(dataset)));
      },
      close: () => Promise.resolve(evaluator.destroy()),
    };
  },
};

/** Over all splits the mean of the boxes' accuracy, or of pointing where there are no boxes to choose among. */
function scoreOf(splits: Record<string, GroundingAccuracy>): Score {
  const rows = Object.values(splits), total = rows.reduce((sum, { texts }) => sum + texts, 0);
  const mean = (of: (row: GroundingAccuracy) => number): number =>
    100 * rows.reduce((sum, row) => sum + row.texts * of(row), 0) / total;
  const boxes = rows.some(({ accuracy }) => accuracy !== undefined), pointing = mean((row) => row.pointing);
  const accuracy = mean((row) => row.accuracy ?? 0);
  const rounded = (row: GroundingAccuracy) =>
    Object.fromEntries(Object.entries(row).map(([key, x]) => [key, round(x)]));
  return {
    score: boxes ? accuracy : pointing,
    line: `${boxes ? `boxes ${accuracy.toFixed(2)} %, ` : ""}pointing ${pointing.toFixed(2)} % of ${total} expressions`,
    figures: {
      expressions: total,
      splits: Object.fromEntries(Object.entries(splits).map(([k, row]) => [k, rounded(row)])),
    },
  };
}
