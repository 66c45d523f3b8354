import { assertEquals } from "@std/assert";
import { cleanCaption, cleanQuestion } from "../../src/data/captions.ts";

interface Case {
  text: string;
  max_words: number;
  pre_caption: string;
  pre_question: string;
}

const golden: Case[] = JSON.parse(
  await Deno.readTextFile(new URL("./fixtures/text_preprocess.json", import.meta.url)),
);

Deno.test("cleanCaption() and cleanQuestion() equal the official code on its golden strings", () => {
  assertEquals(golden.length > 8, true);
  for (const { text, max_words, pre_caption, pre_question } of golden) {
    assertEquals(cleanCaption(text, max_words), pre_caption);
    assertEquals(cleanQuestion(text, max_words), pre_question);
  }
});

Deno.test("cleanCaption() keeps the first 30 words", () => {
  const words = Array.from({ length: 40 }, (_, i) => `w${i}`);
  assertEquals(cleanCaption(words.join(" ")), words.slice(0, 30).join(" "));
});

Deno.test("cleanCaption() gives an empty string where nothing is left", () => {
  assertEquals(cleanCaption(" ?!. \n"), "");
  assertEquals(cleanCaption(""), "");
});

Deno.test("cleanCaption() keeps characters that the originals keep", () => {
  assertEquals(cleanCaption("50% off & more_of [this] $5"), "50% off & more_of [this] $5");
});
