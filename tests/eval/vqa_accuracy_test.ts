import { assertEquals } from "@std/assert";
import { normalizeVqaAnswer, vqaAccuracy, type VqaAnnotation } from "../../src/eval/vqa_accuracy.ts";
import { vqaFileAccuracy } from "../../src/eval/vqa_files.ts";
import { assertRefused } from "../testing/refusals.ts";

const fixture = (name: string): string => Deno.readTextFileSync(new URL(`fixtures/${name}`, import.meta.url));
const named = (name: string, text = fixture(name)) => ({ name, text });

Deno.test("vqaAccuracy() meets the official script on real questions, each and in the mean", () => {
  const { perQuestion, ...accuracy } = vqaFileAccuracy({
    questions: named("vqa_questions.json"),
    annotations: named("vqa_annotations.json"),
    results: named("vqa_results.json"),
  });
  const expected = JSON.parse(fixture("vqa_expected.json"));
  assertEquals(Object.fromEntries(perQuestion), expected.perQuestion);
  assertEquals(accuracy, expected.accuracy);
});

Deno.test("vqaAccuracy() normalises only where the human answers differ", () => {
  const { questions, annotations, cases } = JSON.parse(fixture("vqa_three.json"));
  for (const [name, { results, accuracy, perQuestion }] of Object.entries<Record<string, unknown>>(cases)) {
    const { perQuestion: each, ...means } = vqaFileAccuracy({
      questions: named("questions", JSON.stringify({ questions })),
      annotations: named("annotations", JSON.stringify({ annotations })),
      results: named(name, JSON.stringify(results)),
    });
    assertEquals([means, Object.fromEntries(each)], [accuracy, perQuestion], name);
  }
});

Deno.test("normalizeVqaAnswer() makes of answers what the official script does", () => {
  for (const [given, expected] of JSON.parse(fixture("vqa_normaliser.json"))) {
    assertEquals(normalizeVqaAnswer(given), expected, given);
  }
});

Deno.test("normalizeVqaAnswer() keeps what is odd in the official script", () => {
  const table = {
    "somebody'd": "somebodyd",
    "somebodyd": "somebodyd",
    "couldnt've couldn'tve y'allll yall'd've 'ows'at twas":
      "couldn't've couldn't've y'all'll y'all'd've 'ow's'at 'twas",
    "Id've Im shed its constructor": "id've im shed its constructor",
    "a,b c, d": "ab c d", // a comma that touches a space somewhere goes everywhere
    "x-y 1,5 p/q": "xy 15 pq", // digit, comma, digit: everything is removed
    "x-y 1, 5 p/q": "x y 1 5 p q",
    ["x" + ".".repeat(34)]: "x..", // 32 periods at most
    "1.5 .5 5.": "1.5 .5 5",
    "\u0663,\u0664 .\u0663": "\u0663\u0664 .\u0663", // digits of any script
    "b\x85c\x1cd\ufeffe": "b c d\ufeffe", // Python's white space
  };
  for (const [given, expected] of Object.entries(table)) assertEquals(normalizeVqaAnswer(given), expected, given);
});

/** A question whose human answers are all "yes", or as given. */
function question(questionId: number, answers: readonly string[] = Array(10).fill("yes")): VqaAnnotation {
  return {
    questionId,
    questionType: "is",
    answerType: "yes/no",
    answers: answers.map((answer, id) => ({ answer, confidence: "yes", id })),
  };
}

Deno.test("an answer that 0, 1, 2, 3, 4, 10 people gave scores 0, 30, 60, 90, 100, 100", () => {
  for (const [same, score] of [[0, 0], [1, 30], [2, 60], [3, 90], [4, 100], [10, 100]] as const) {
    const one = question(7, Array.from({ length: 10 }, (_, i) => i < same ? "red" : `blue ${i}`));
    assertEquals(vqaAccuracy([one], new Map([[7, "red"]])).perQuestion, new Map([[7, score]]));
  }
});

Deno.test("people who are equal in every field are left out together", () => {
  const one = question(7, ["red", "red", "red", "blue"]);
  const alike = { ...one, answers: one.answers.map((answer) => ({ ...answer, id: 1 })) };
  // The first three each see none of their own kind, the last one all three.
  assertEquals(vqaAccuracy([alike], new Map([[7, "red"]])).overall, 25);
  assertEquals(vqaAccuracy([one], new Map([[7, "red"]])).overall, 75);
});

Deno.test("means are rounded as in Python: ties to the even digit", () => {
  for (const [right, mean] of [[1, 3.12], [3, 9.38], [5, 15.62], [7, 21.88], [2, 6.25]] as const) {
    const questions = Array.from({ length: 32 }, (_, i) => question(i));
    const answers = new Map(questions.map(({ questionId }) => [questionId, questionId < right ? "yes" : "no"]));
    assertEquals(vqaAccuracy(questions, answers).overall, mean);
  }
});

Deno.test("vqaAccuracy() refuses answers that are not those to the questions", async () => {
  await assertRefused(
    [() => vqaAccuracy([], new Map()), "there must be at least one question"],
    [() => vqaAccuracy([question(1)], new Map()), "question 1 must have an answer"],
    [() => vqaAccuracy([question(1), question(1)], new Map([[1, "yes"]])), "question 1 must come once"],
    [() => vqaAccuracy([question(1, [])], new Map([[1, "yes"]])), "question 1 must have human answers"],
    [() => vqaAccuracy([question(1)], new Map([[1, "yes"], [2, "no"]])), "question 2 is answered but not annotated"],
  );
});
