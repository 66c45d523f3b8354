/** Visual question answering: a decoder writes the answer; evaluated by ranking a list of answers. */
import {
  cleanQuestion,
  grit,
  listedAnswers,
  officialNames,
  openVqa,
  type RecipeSetup,
  settings,
  toDevice,
  type Tokenizer,
  vqa as recipe,
  type VqaDataset,
  type VqaQuestion,
} from "../../mod.ts";
import { withUsual } from "../_settings.ts";
import { Splits, textCollate } from "./batches.ts";
import type { DownstreamTask, Values } from "./task.ts";
import { ranker, readAnswers, writer } from "./vqa_answers.ts";
import { questionCaptions, QUESTIONS_OF_A_CAPTION } from "./vqa_captions.ts";
import { scoreOf } from "./vqa_score.ts";

const { count, none, text, toggle } = settings;

const free = { resume: "free" } as const;

/** The longest answers that are learned whole, in tokens. */
const LONGEST = 10;

export const vqa: DownstreamTask<VqaQuestion, VqaDataset> = {
  title: recipe.title,
  files: "questions with answers: ALBEF's list, VQA v2's questions, or easy-VQA's",
  predictions: "VQA's JSON for the evaluation server",
  demo: { files: "questions" },
  paper: { epochs: "8", lr: "2e-5" },
  usual: { epochs: 8, lr: 1e-3, textLength: 16, augment: "flip" },
  training: {
    ...withUsual(recipe.fields, { alpha: 0 }),
    pretrainSteps: count(0, "steps of GRIT-VLP's losses before, on the questions with their answers as captions", {
      min: 0,
    }),
    answersPerQuestion: count(
      none,
      "answers of a question that count, the most frequent ones; without it all, at most 10",
    ),
    answerLength: count(
      none,
      "tokens per answer, [CLS] and [SEP] included; without it the longest answer's, at most 10",
      {
        min: 3,
      },
    ),
  },
  evaluation: {
    answers: text(
      none,
      "answers to rank: a JSON list, or a line each; without it all answers of the training data",
      free,
    ),
    k: count(128, "answers that are scored in full, those with the most probable first token", {
      paper: "128",
      ...free,
    }),
    generate: count(
      none,
      "write answers instead of ranking some: how many side by side, 1 is greedy, more a beam search",
      free,
    ),
    officialScore: toggle(false, "count the first token's probability twice, as the official code does", {
      paper: "true",
      ...free,
    }),
  },
  open: (files) => openVqa(files),
  *texts(dataset) {
    for (let i = 0; i < dataset.length; i++) {
      const { question, answers } = dataset.entry(i);
      yield question;
      for (const { text } of answers) yield text;
    }
  },
  prepare,
  keep: ({ candidates }) => ({ "answers.json": JSON.stringify(candidates, null, 1) + "\n" }),
  objective(setup, { candidates, answersPerQuestion, answerLength, ...values }) {
    const longest = (tokenizer: Tokenizer): number =>
      candidates.length ? Math.min(LONGEST, listedAnswers(tokenizer, candidates).ids.shape[1]!) : LONGEST;
    return recipe.objective(setup, {
      ...values,
      answersPerQuestion,
      answerLength: answerLength ?? (setup.tokenizer ? longest(setup.tokenizer) : LONGEST),
    });
  },
  before({ pretrainSteps: steps }, training) {
    if (!steps) return undefined;
    const dataset = questionCaptions(training);
    return {
      name: "pretraining",
      dataset,
      texts: () => [],
      // Where the same is asked of many images, the hardest negatives are none.
      objectiveOf: (setup) => grit.objective({ ...setup, textLength: captionLength(setup) }, { negatives: "random" }),
      steps,
      start: (names, config) => officialNames("pretraining", names, config),
    };
  },
  start: (names, config) => officialNames("vqa", names, config),
  official: "vqa",
  evaluator({ config, tokenizer, textLength, values, batch, workers, onError }) {
    const textOf = ({ question }: VqaQuestion): string => cleanQuestion(question, Infinity);
    const splits = new Splits(textCollate({ config, textLength, tokenizer }, textOf), { batch, workers, onError });
    const answerer = (values.generate ? writer : ranker)(config, tokenizer, values);
    return {
      protocol: answerer.protocol,
      async evaluate(params, dataset) {
        const answers = new Map<number, string>();
        await toDevice(params);
        for await (const { input, indices } of splits.batches(dataset)) {
          const found = await answerer.answer(params, input);
          indices.forEach((index, row) => index !== undefined && answers.set(index, found[row]!));
        }
        return scoreOf(dataset, answers);
      },
      async close() {
        answerer.destroy();
        await splits.close();
      },
    };
  },
};

/** Tokens of a caption that is made of questions. */
function captionLength({ textLength, config }: RecipeSetup): number {
  return Math.min(QUESTIONS_OF_A_CAPTION * textLength, config.text.maxPositions);
}

/** The answers that are ranked, and how long and how many the answers of a question are. */
async function prepare(values: Values, training: VqaDataset | undefined): Promise<Values> {
  const found = new Set<string>();
  let most = 1;
  for (let i = 0; i < (training?.length ?? 0); i++) {
    const { answers } = training!.entry(i);
    for (const { text } of answers) found.add(text);
    most = Math.max(most, answers.length);
  }
  const candidates = values.answers ? await readAnswers(values.answers) : [...found];
  if (!candidates.length && !values.generate) {
    throw new settings.UsageError("--answers is missing: give the file of the answers to rank");
  }
  return { ...values, candidates, answersPerQuestion: values.answersPerQuestion ?? Math.min(most, 10) };
}
