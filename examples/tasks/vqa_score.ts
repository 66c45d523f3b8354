/** The figures of answers to questions. */
import { vqaAccuracy, type VqaAnnotation, type VqaDataset, type VqaExample } from "../../mod.ts";
import { majority } from "./batches.ts";
import type { Score } from "./task.ts";

/** The figures of answers by the index of their question. */
export function scoreOf(dataset: VqaDataset, answers: ReadonlyMap<number, string>): Score {
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
