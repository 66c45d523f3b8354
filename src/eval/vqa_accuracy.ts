/**
 * The accuracy of VQA v2, to the last digit that of its official script (GT-Vision-Lab/VQA,
 * PythonEvaluationTools/vqaEvaluation/vqaEval.py): what looks odd below is odd there, and results depend on it.
 *
 * @module
 */

/** An answer that a person gave. */
export interface HumanAnswer {
  /** As it was written. */
  readonly answer: string;
  /** How sure the person was. */
  readonly confidence?: string;
  /** Which of the question's answers it is. */
  readonly id?: number;
}

/** What is known of a question: its kind, and the answers that people gave, 10 in VQA v2. */
export interface VqaAnnotation {
  /** The question's number. */
  readonly questionId: number;
  /** How the question begins, such as "how many". */
  readonly questionType: string;
  /** "yes/no", "number" or "other". */
  readonly answerType: string;
  /** At least one. */
  readonly answers: readonly HumanAnswer[];
}

/** Accuracies in percent, rounded to 2 digits as Python rounds. */
export interface VqaAccuracy {
  /** The mean over all questions. */
  readonly overall: number;
  /** The mean over the questions of each type of answer. */
  readonly perAnswerType: Readonly<Record<string, number>>;
  /** The mean over the questions of each type of question. */
  readonly perQuestionType: Readonly<Record<string, number>>;
  /** Each question's by its number, in the order of the annotations. */
  readonly perQuestion: ReadonlyMap<number, number>;
}

/**
 * The accuracy of one answer to each question. An answer scores the mean, over the sets of all human answers but one,
 * of min(1, matches / 3). Answers are normalised only where the human ones are not all equal.
 *
 * @param annotations The questions, none twice.
 * @param answers The answers by the question's number.
 * @throws {RangeError} If there is no question, a question comes twice or has no human answer, or the questions that
 * are answered are not those that are annotated.
 */
export function vqaAccuracy(annotations: readonly VqaAnnotation[], answers: ReadonlyMap<number, string>): VqaAccuracy {
  if (!annotations.length) throw new RangeError("Cannot evaluate: there must be at least one question");
  const scores = new Map<number, number>();
  for (const annotation of annotations) {
    const { questionId } = annotation, answer = answers.get(questionId);
    if (answer === undefined) throw new RangeError(`Cannot evaluate: question ${questionId} must have an answer`);
    if (scores.has(questionId)) throw new RangeError(`Cannot evaluate: question ${questionId} must come once`);
    if (!annotation.answers.length) {
      throw new RangeError(`Cannot evaluate: question ${questionId} must have human answers`);
    }
    scores.set(questionId, scoreOf(annotation.answers, answer));
  }
  for (const questionId of answers.keys()) {
    if (!scores.has(questionId)) {
      throw new RangeError(`Cannot evaluate: question ${questionId} is answered but not annotated`);
    }
  }
  const meanOf = (chosen: readonly VqaAnnotation[]): number =>
    round2(100 * sum(chosen.map(({ questionId }) => scores.get(questionId)!)) / chosen.length);
  const meansBy = (type: (annotation: VqaAnnotation) => string): Record<string, number> => {
    const types = [...Map.groupBy(annotations, type)].sort(([a], [b]) => a < b ? -1 : 1);
    return Object.fromEntries(types.map(([name, chosen]) => [name, meanOf(chosen)]));
  };
  return {
    overall: meanOf(annotations),
    perAnswerType: meansBy(({ answerType }) => answerType),
    perQuestionType: meansBy(({ questionType }) => questionType),
    perQuestion: new Map([...scores].map(([questionId, score]) => [questionId, round2(100 * score)])),
  };
}

/** The score of an answer, from 0 to 1. */
function scoreOf(human: readonly HumanAnswer[], answer: string): number {
  let given = human.map((one) => ({ ...one, answer: oneLine(one.answer) })), own = oneLine(answer);
  if (new Set(given.map((one) => one.answer)).size > 1) {
    given = given.map((one) => ({ ...one, answer: normalizeVqaAnswer(one.answer) }));
    own = normalizeVqaAnswer(own);
  }
  const scores = given.map((left) => {
    // The script leaves out what equals the answer in every field, not the answer itself.
    const others = given.filter((one) => !isSame(one, left));
    return Math.min(1, others.filter((one) => one.answer === own).length / 3);
  });
  return sum(scores) / scores.length;
}

function isSame(a: HumanAnswer, b: HumanAnswer): boolean {
  return a.answer === b.answer && a.confidence === b.confidence && a.id === b.id;
}

/** Python's white space, which is not quite JavaScript's. */
const blanks = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
const outerBlanks = new RegExp(`^${blanks}|${blanks}$`, "g"), innerBlanks = new RegExp(blanks);

function oneLine(text: string): string {
  return text.replace(/[\n\t]/g, " ").replace(outerBlanks, "");
}

/**
 * An answer as the script compares it: without punctuation and articles, in lower case, numbers up to ten as digits,
 * and with the apostrophes of contractions. It may be empty.
 */
export function normalizeVqaAnswer(text: string): string {
  const words = withoutPunctuation(text).toLowerCase().split(innerBlanks).filter((word) => word !== "");
  return words.map((word) => digits.get(word) ?? word).filter((word) => !articles.has(word))
    .map((word) => contractions.get(word) ?? word).join(" ");
}

const punctuation = [...`;/[]"{}()=+\\_-><@\`,?!`];

/** How many periods the script removes: it passes the flag re.UNICODE, which is 32, where re.sub takes a count. */
const MOST_PERIODS = 32;

function withoutPunctuation(text: string): string {
  const joins = /\p{Nd},\p{Nd}/u.test(text);
  let result = text;
  for (const mark of punctuation) {
    // The text as it was decides, however it has changed meanwhile.
    const deleted = joins || text.includes(`${mark} `) || text.includes(` ${mark}`);
    result = result.replaceAll(mark, deleted ? "" : " ");
  }
  let periods = 0;
  // Its pattern also means to spare a period behind a digit, but looks ahead for "<=" instead, which a period never is.
  return result.replace(/\.(?!\p{Nd})/gu, (period) => ++periods > MOST_PERIODS ? period : "");
}

const articles = new Set(["a", "an", "the"]);

const digits = new Map([
  ["none", "0"],
  ...["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    .map((word, i) => [word, String(i)] as const),
]);

/**
 * The contractions that the script knows. It mends those that lack one apostrophe, so `can't` is made of `cant`, and
 * `couldn't've` of `couldnt've` and `couldn'tve`. Those that it spells with a capital never match lower case: `im`
 * stays.
 */
const contracted = `
  ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
  he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
  o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
  someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
  there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
  what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
  wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
`.trim().split(/\s+/);

const contractions = new Map([
  ...contracted.flatMap((word) => [...word.matchAll(/'/g)].map(({ index }) => [without(word, index), word] as const)),
  ["somebody'd", "somebodyd"], // the script has this one the wrong way round
]);

function without(word: string, index: number): string {
  return word.slice(0, index) + word.slice(index + 1);
}

/** From left to right, as Python's sum() until 3.11 did; later ones compensate for rounding, which moves ties. */
function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Python's round(x, 2) for a percentage: to the nearest of the exact binary value, ties to the even digit. */
function round2(x: number): number {
  // Only odd eighths are ties: 100 x must end in .5 exactly. toFixed() is exact but for ties, which it rounds up.
  if (Math.abs(x * 8 % 2) !== 1) return Number(x.toFixed(2));
  const below = Math.floor(x * 100);
  return (below % 2 === 0 ? below : below + 1) / 100;
}
