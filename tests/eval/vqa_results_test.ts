import { assertEquals, assertRejects } from "@std/assert";
import { vqaFileAccuracy } from "../../src/eval/vqa_files.ts";
import { type VqaResult, writeVqaResults } from "../../src/eval/vqa_results.ts";
import { withFolder } from "../testing/folders.ts";

const results: VqaResult[] = [
  { questionId: 7, answer: 'a "red" cube', scores: [["yes", -0.5], ["2", -1.25]] },
  { questionId: 3, answer: "2", scores: [["2", -0.1]] },
];

async function* streamed(): AsyncGenerator<VqaResult> {
  for (const result of results) yield await Promise.resolve(result);
}

Deno.test("writeVqaResults() writes what the server and our accuracy take, and scores line by line", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/results.json`, scores = `${folder}/scores.jsonl`;
    assertEquals(await writeVqaResults(path, streamed(), { scores }), 2);
    const text = await Deno.readTextFile(path);
    assertEquals(JSON.parse(text), [{ question_id: 7, answer: 'a "red" cube' }, { question_id: 3, answer: "2" }]);
    const lines = (await Deno.readTextFile(scores)).trimEnd().split("\n");
    assertEquals(lines, [
      '{"question_id": 7, "scores": {"yes": -0.5, "2": -1.25}}',
      '{"question_id": 3, "scores": {"2": -0.1}}',
    ]);
    const annotation = (id: number, answer: string) => {
      const answers = [1, 2, 3, 4].map((answer_id) => ({ answer, answer_id }));
      return { question_id: id, question_type: "what", answer_type: "other", answers };
    };
    const { overall } = vqaFileAccuracy({
      questions: { name: "q", text: JSON.stringify({ questions: [{ question_id: 3 }, { question_id: 7 }] }) },
      annotations: { name: "a", text: JSON.stringify({ annotations: [annotation(3, "2"), annotation(7, "blue")] }) },
      results: { name: "r", text },
    });
    assertEquals(overall, 50);
  });
});

Deno.test("writeVqaResults() writes nothing if a result cannot be used", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/results.json`, scores = `${folder}/scores.jsonl`;
    await Deno.writeTextFile(path, "old");
    const write = (last: VqaResult, options = {}) => () => writeVqaResults(path, [...results, last], options);
    await assertRejects(write({ questionId: 3, answer: "x" }), RangeError, "question 3 must come once");
    await assertRejects(write({ questionId: 0.5, answer: "x" }), RangeError, "must be whole: it is 0.5");
    await assertRejects(
      write({ questionId: 4, answer: "x", scores: [["x", NaN]] }, { scores }),
      RangeError,
      'Cannot write results: the score of "x" to question 4 must be a finite number: it is NaN',
    );
    assertEquals(await Deno.readTextFile(path), "old");
    assertEquals((await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name), ["results.json"]);
  });
});
