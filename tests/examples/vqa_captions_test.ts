import { assert, assertEquals } from "@std/assert";
import { questionCaptions } from "../../examples/tasks/vqa_captions.ts";
import type { VqaDataset, VqaQuestion } from "../../src/data/vqa.ts";
import { Random } from "../../src/random/random.ts";

const question = (path: string, text: string, ...answers: [text: string, weight: number][]): VqaQuestion => ({
  images: [{ path, id: 0 }],
  question: text,
  questionId: 0,
  answers: answers.map(([text, weight]) => ({ text, weight })),
});

const rows = [
  question("a.png", "What colour is it?", ["red", 0.9], ["pink", 0.1]),
  question("b.png", "Is it red?", ["no", 1]),
  question("a.png", "What shape?", ["circle", 1]),
  question("a.png", "Is it round?", ["yes", 1]),
  question("c.png", "Unanswered?"),
];

Deno.test("questionCaptions: an entry for each image, two of its questions with an answer by its weight", async () => {
  const dataset: VqaDataset = {
    name: "q",
    skipped: [],
    length: rows.length,
    entry: (i) => rows[i]!,
    example: (i) => rows[i]!,
  };
  const captions = questionCaptions(dataset), random = new Random(1), counts = new Map<string, number>();
  assertEquals(captions.length, 2);
  assertEquals(captions.example(1, random), {
    images: [{ path: "b.png", id: 1 }],
    caption: "is it red no",
    imageId: 1,
  });
  for (let i = 0; i < 2000; i++) {
    const { caption, images: [{ path }] } = await captions.example(0, random);
    assertEquals(path, "a.png");
    counts.set(caption, (counts.get(caption) ?? 0) + 1);
  }
  const red = "what colour is it red", pink = "what colour is it pink", shape = "what shape circle";
  const expected = [[red, shape, 0.45], [shape, red, 0.45], [pink, shape, 0.05], [shape, pink, 0.05]] as const;
  assertEquals(counts.size, expected.length);
  for (const [first, second, share] of expected) {
    const found = counts.get(`${first} ${second}`)! / 2000;
    assert(Math.abs(found - share) < 0.05, `${first} ${second}: ${found}`);
  }
});
