/**
 * Answers of a model as files: what the evaluation server of VQA v2 takes, and all scores for those who want to look closer.
 *
 * @module
 */
import { writeFileAtomic } from "../io/atomic.ts";

/** An answer to a question. */
export interface VqaResult {
  /** The question's number. */
  readonly questionId: number;
  /** The answer. */
  readonly answer: string;
  /** Scores by answer, such as log-likelihoods, for the file of scores. */
  readonly scores?: Iterable<readonly [answer: string, score: number]>;
}

/** Further files of {@linkcode writeVqaResults}. */
export interface VqaResultOptions {
  /**
   * Path of the file that gets the scores, one line of JSON a question: `{"question_id": 1, "scores": {"yes": -0.1, ...}}`, in
   * the order given. Written as results come: the scores of all questions are never in memory.
   */
  readonly scores?: string;
}

/**
 * Writes `[{"question_id": 1, "answer": "yes"}, ...]`, in the order given. The server wants every question of a split answered, those of
 * test-standard too, even for a result on test-dev. Files are replaced when all is written, or not at all.
 *
 * @returns The number of answers.
 * @throws {RangeError} If a question comes twice, its number is not whole, or a score is not a finite number.
 */
export async function writeVqaResults(
  path: string,
  results: Iterable<VqaResult> | AsyncIterable<VqaResult>,
  { scores: scoresPath }: VqaResultOptions = {},
): Promise<number> {
  const answers = new Map<number, string>(), encoder = new TextEncoder();
  async function* scoreLines(): AsyncGenerator<Uint8Array> {
    for await (const { questionId, answer, scores = [] } of results) {
      if (!Number.isSafeInteger(questionId)) refuse(`the number of a question must be whole: it is ${questionId}`);
      if (answers.has(questionId)) refuse(`question ${questionId} must come once`);
      answers.set(questionId, answer);
      if (scoresPath !== undefined) yield encoder.encode(scoreLine(questionId, scores));
    }
  }
  if (scoresPath !== undefined) await writeFileAtomic(scoresPath, scoreLines());
  else for await (const _ of scoreLines());
  const entries = [...answers].map(([question_id, answer]) => JSON.stringify({ question_id, answer }));
  await writeFileAtomic(path, `[${entries.join(",\n")}]\n`);
  return answers.size;
}

/** By hand: an object would put answers such as "2" in front. */
function scoreLine(questionId: number, scores: Iterable<readonly [string, number]>): string {
  const fields = Array.from(scores, ([answer, score]) => {
    if (Number.isFinite(score)) return `${JSON.stringify(answer)}: ${score}`;
    return refuse(`the score of "${answer}" to question ${questionId} must be a finite number: it is ${score}`);
  });
  return `{"question_id": ${questionId}, "scores": {${fields.join(", ")}}}\n`;
}

function refuse(sentence: string): never {
  throw new RangeError(`Cannot write results: ${sentence}`);
}
