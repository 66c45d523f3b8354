/** Visual question answering: a decoder writes the answer; evaluated by ranking a list of answers. */
import {
  albefNames,
  albefNamesForAnswers,
  type Candidates,
  cleanQuestion,
  compile,
  type Dataset,
  patched,
  rankAnswers,
  settings,
  type Tensor,
  tensor,
  toHost,
  type Tokenizer,
  vqa as recipe,
  type VqaExample,
} from "../../mod.ts";
import { round } from "../_run.ts";
import { withUsual } from "../_settings.ts";
import { majority, Splits, type TextBatch, textCollate } from "./batches.ts";
import type { DownstreamTask, Parameters } from "./task.ts";

const { count, none, text, toggle } = settings;

const free = { resume: "free" } as const;

interface Questions extends Dataset<VqaExample> {
  entry(index: number): VqaExample & { questionId?: number };
}

/** The longest answers that are learned whole, in tokens. */
const LONGEST = 10;

export const vqa: DownstreamTask<VqaExample, Questions> = {
  title: recipe.title,
  files: "questions",
  usual: { epochs: 8, lr: 1e-3, textLength: 16, augment: "flip" },
  training: {
    ...withUsual(recipe.fields, { alpha: 0 }),
    answersPerQuestion: count(none, "answers of a question that count, the most frequent ones; without it all, at most 10"),
    answerLength: count(none, "tokens per answer, [CLS] and [SEP] included; without it the longest answer's, at most 10", {
      min: 3,
    }),
  },
  evaluation: {
    answers: text(none, "answers to rank: a JSON list, or a line each; without it all answers of the training data", free),
    k: count(128, "answers that are scored in full, those with the most probable first token", { paper: "128", ...free }),
    officialScore: toggle(false, "count the first token's probability twice, as the official code does", {
      paper: "true",
      ...free,
    }),
  },
  open: (files) => openQuestions(files),
  *texts(dataset) {
    for (let i = 0; i < dataset.length; i++) {
      const { question, answers } = dataset.entry(i);
      yield question;
      for (const { text } of answers) yield text;
    }
  },
  objective: (setup, { answersPerQuestion = 1, answerLength = 3, ...values }) =>
    recipe.objective(setup, { ...values, answersPerQuestion, answerLength }),
  start: (names, { text: { fusionLayer } }) =>
    names.some((name) => name.startsWith("text_decoder."))
      ? { table: albefNames() }
      : { table: albefNamesForAnswers(fusionLayer) },
};
