/** Image-text retrieval: ITC with all captions of an image as positives, ITM; evaluated by cosine and by re-ranking. */
import {
  type CaptionDataset,
  type CaptionPair,
  officialNames,
  openDataset,
  type PairObjective,
  retrieval as recipe,
  RetrievalEvaluator,
  type RetrievalSet,
  settings,
} from "../../mod.ts";
import { readableSet, round, roundedRecalls } from "../_run.ts";
import { withUsual } from "../_settings.ts";
import type { DownstreamTask } from "./task.ts";

const { count, none, oneOf } = settings;

const free = { resume: "free" } as const;

export const retrieval: DownstreamTask<CaptionPair, CaptionDataset> = {
  title: recipe.title,
  files: "captions: ALBEF JSON list, COCO captions JSON, or TSV of path and caption",
  demo: { files: "captions", preset: () => ({ groupBy: "image", k: 16, captions: 1 }) },
  paper: { epochs: "5 (COCO), 10 (Flickr)", lr: "1e-5", warmup: "none" },
  usual: { epochs: 10, lr: 5e-4 },
  training: {
    groupBy: oneOf(
      ["row", "caption", "image"],
      "row",
      "what an example is: a row of the files, a caption, an image with its captions",
    ),
    // A small model that starts from scratch is told more by the keys of its own mini-batch than by those of a copy that lags behind.
    ...withUsual(recipe.fields, { momentumKeys: false }),
  },
  evaluation: {
    k: count(128, "candidates that the matching head re-ranks; 0: none", {
      min: 0,
      paper: "256 (COCO), 128 (Flickr)",
      ...free,
    }),
    captions: count(5, "captions of each image that are candidates", { paper: "5", ...free }),
    candidates: count(none, "most images to retrieve from; without it all", {
      paper: "5000 (COCO), 1000 (Flickr)",
      ...free,
    }),
  },
  open: ({ annotations: _, ...files }, use, { groupBy }) =>
    openDataset({ ...files, groupBy: use === "train" ? groupBy : "image" }),
  *texts(dataset) {
    for (let i = 0; i < dataset.length; i++) yield* dataset.entry(i).captions;
  },
  objective: (setup, values) => recipe.objective(setup, values),
  start: (names, config) => officialNames("retrieval", names, config),
  official: "retrieval",
  evaluator({ config, tokenizer, textLength: maxLength, values, objective, batch, onError }) {
    const { k, captions, candidates } = values, { resolution } = config.vision;
    // deno-lint-ignore no-explicit-any
    const { model } = objective as unknown as PairObjective<any, any, any>;
    const evaluator = new RetrievalEvaluator(model, { k, batch }), sets = new Map<CaptionDataset, RetrievalSet>();
    const setOf = async (dataset: CaptionDataset): Promise<RetrievalSet> => {
      const options = { resolution, maxLength, captions, ...(candidates ? { images: candidates } : {}) };
      const set = sets.get(dataset) ?? await readableSet(dataset, tokenizer, options, onError);
      sets.set(dataset, set);
      return set;
    };
    return {
      protocol: { k, captions },
      check: async (dataset) => void await setOf(dataset),
      async evaluate(params, dataset) {
        const found = await evaluator.evaluate(params, await setOf(dataset)), { candidates, cosine, reranked } = found;
        const { mean } = reranked ?? cosine, line = reranked ? "after re-ranking" : "by cosine";
        return {
          score: mean,
          line: `mean recall ${mean.toFixed(1)} % ${line}`,
          figures: {
            images: candidates.images,
            texts: candidates.texts,
            k: candidates.k,
            chance: { i2t: round(100 * captions / candidates.texts), t2i: round(100 / candidates.images) },
            ...roundedRecalls(found),
          },
        };
      },
      close: () => Promise.resolve(evaluator.destroy()),
    };
  },
};
