/** Visual question answering: a decoder writes the answer; evaluated by ranking a list of answers. */
import {
  type Candidates,
  cleanQuestion,
  compile,
  listedAnswers,
  officialNames,
  openVqa,
  patched,
  rankAnswers,
  settings,
  toDevice,
  toHost,
  type Tokenizer,
  vqa as recipe,
  vqaAccuracy,
  type VqaAnnotation,
  type VqaDataset,
  type VqaExample,
  type VqaQuestion,
} from "../../mod.ts";
import { withUsual } from "../_settings.ts";
import { majority, Splits, type TextBatch, textCollate } from "./batches.ts";
import type { DownstreamTask, Parameters, Score, Values } from "./task.ts";

const { count, none, text, toggle } = settings;

const free = { resume: "free" } as const;

/** The longest answers that are learned whole, in tokens. */
const LONGEST = 10;

export const vqa: DownstreamTask<VqaQuestion, VqaDataset> = {
  title: recipe.title,
  files: "questions with answers: ALBEF's list, VQA v2's questions, or easy-VQA's",
  demo: { files: "questions" },
  paper: { epochs: "8", lr: "2e-5" },
  usual: { epochs: 8, lr: 1e-3, textLength: 16, augment: "flip" },
  training: {
    ...withUsual(recipe.fields, { alpha: 0 }),
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
      Math.min(LONGEST, listedAnswers(tokenizer, candidates).ids.shape[1]!);
    return recipe.objective(setup, {
      ...values,
      answersPerQuestion,
      answerLength: answerLength ?? (setup.tokenizer ? longest(setup.tokenizer) : LONGEST),
    });
  },
  start: (names, config) => officialNames("vqa", names, config),
  official: "vqa",
  evaluator({ config, tokenizer, textLength, values: { candidates, k, officialScore }, batch, workers, onError }) {
    const texts: readonly string[] = candidates;
    const collate = textCollate<VqaQuestion>(
      { config, textLength, tokenizer },
      ({ question }) => cleanQuestion(question, Infinity),
    );
    const splits = new Splits(collate, { batch, workers, onError }),
      options = { k, countFirstTokenTwice: officialScore };
    const rank = compile((p: Parameters, { images, ids, mask }: TextBatch, listed: Candidates) => {
      const questions = { ...patched({ images, ids, mask }, config), ids, mask };
      return rankAnswers(p, questions, listed, { config }, options).answers; // [B, k], the best first
    });
    const listed = toDevice(listedAnswers(tokenizer, texts));
    return {
      protocol: {
        answers: texts.length,
        k: Math.min(k, texts.length),
        score: officialScore ? "likelihood, first token counted twice" : "likelihood",
      },
      async evaluate(params, dataset) {
        const answers = new Map<number, string>();
        await toDevice(params);
        for await (const { input, indices } of splits.batches(dataset)) {
          const [ranked] = await toHost([await rank(params, input, await listed)]), width = ranked!.length / batch;
          indices.forEach((index, row) => index !== undefined && answers.set(index, texts[ranked![row * width]!]!));
        }
        return scoreOf(dataset, answers);
      },
      async close() {
        rank.destroy();
        await splits.close();
      },
    };
  },
};

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
  if (!candidates.length) throw new settings.UsageError("--answers is missing: give the file of the answers to rank");
  return { ...values, candidates, answersPerQuestion: values.answersPerQuestion ?? Math.min(most, 10) };
}

/** A JSON list of texts, or lines. @throws {SyntaxError} If the file holds anything else. */
async function readAnswers(path: string): Promise<string[]> {
  const content = await Deno.readTextFile(path).catch((error) => {
    throw error instanceof Deno.errors.NotFound ? new Error(`Cannot read "${path}": there is no such file`) : error;
  });
  const lines = content.split(/\r?\n/).filter((line) => line !== "");
  const answers: unknown = content.trimStart().startsWith("[") ? parseList(content, path) : lines;
  if (Array.isArray(answers) && answers.every((answer) => typeof answer === "string" && answer !== "")) return answers;
  throw new SyntaxError(`Cannot read "${path}": it must be a JSON list of answers, or have an answer in each line`);
}

function parseList(content: string, path: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new SyntaxError(`Cannot read "${path}": it is not JSON (${(error as Error).message})`);
  }
}

/** The figures of answers by the index of their question. */
function scoreOf(dataset: VqaDataset, answers: ReadonlyMap<number, string>): Score {
  const questions = [...answers].map(([index, answer]) => ({ index, answer, ...dataset.entry(index) }));
  const predictions = JSON.stringify(questions.map(({ questionId, answer }) => ({ question_id: questionId, answer })));
  const annotated = questions.filter(({ answers }) => answers.length);
  if (!annotated.length) {
    const line = `${questions.length} questions without answers`;
    return { score: 0, line, figures: { questions: questions.length, accuracy: null }, predictions };
  }
  const annotations = annotated.map(({ index, answers }) => annotationOf(index, answers));
  const given = new Map(annotated.map(({ index, answer }) => [index, answer]));
  const { overall, perAnswerType } = vqaAccuracy(annotations, given);
  const { label } = majority(annotated.map(({ answers }) => best(answers)));
  const guess = vqaAccuracy(annotations, new Map(annotated.map(({ index }) => [index, label])));
  return {
    score: overall,
    line: `accuracy ${overall.toFixed(2)} % of ${annotated.length} questions`,
    figures: {
      questions: annotated.length,
      metric: annotated.some(({ answers }) => answers.length > 1) ? "VQA accuracy" : "exact match",
      accuracy: overall,
      perAnswerType,
      majority: { answer: label, accuracy: guess.overall },
    },
    predictions,
  };
}

function best(answers: VqaExample["answers"]): string {
  return answers.reduce((a, b) => b.weight > a.weight ? b : a).text;
}

/** Human answers as VQA's script takes them: 10, or one, which then all of them gave. */
function annotationOf(questionId: number, answers: VqaExample["answers"]): VqaAnnotation {
  const times = (weight: number): number => answers.length > 1 ? Math.round(10 * weight) : 10;
  const texts = answers.flatMap(({ text, weight }) => Array.from({ length: times(weight) }, () => text));
  const humans = texts.map((answer, id) => ({ answer, id })); // without numbers equal ones would be one and the same
  return { questionId, questionType: "all", answerType: typeOf(best(answers)), answers: humans };
}

/** VQA's types of answers. */
function typeOf(answer: string): string {
  return /^(yes|no)$/i.test(answer) ? "yes/no" : /^\d+$/.test(answer) ? "number" : "other";
}
