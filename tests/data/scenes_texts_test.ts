import { assert, assertEquals, assertRejects } from "@std/assert";
import { type ClozeTask, readClozeTasks, sceneTextFiles, writeSceneTexts } from "../../src/data/scenes/corpus.ts";
import { SHAPES } from "../../src/data/scenes/world.ts";
import { parseCaption } from "../../src/data/scenes/truth.ts";
import { readTexts } from "../../src/data/texts.ts";
import { snapshot, testInFolder } from "../testing/folders.ts";

const small = { train: 600, val: 200, cloze: 100, seed: 3 };

const singulars = new Map([...SHAPES, "thing"].map((word) => [word.endsWith("s") ? `${word}es` : `${word}s`, word]));
const plural = (word: string) => singulars.has(word);

/** Who has each thing at the end of a story. */
function owners(story: string): Map<string, string> {
  const has = new Map<string, string>();
  for (const [, who, thing] of story.matchAll(/(\w+) has an? \w+ \w+ (\w+)\./g)) has.set(thing!, who!);
  for (const [, who, thing, to] of story.matchAll(/(\w+) gives the (\w+) to (\w+)\./g)) {
    assertEquals(has.get(thing!), who, `who gives must have: ${story}`);
    has.set(thing!, to!);
  }
  return has;
}

/** What a description says of colours, shapes and numbers, checked against an answer; undefined for other questions. */
function checkReading(text: string): number {
  const caption = text.slice(0, text.indexOf("."));
  const { objects } = parseCaption(caption);
  const like = (words: string) =>
    objects.filter((o) =>
      words.split(" ").map((w) => singulars.get(w) ?? w).every((w) => [o.size, o.color, o.shape, "thing"].includes(w))
    );
  let checked = 0;
  for (const [, question, answer] of text.matchAll(/question: ([^?]+)\? answer: (\w+)\./g)) {
    const [, kind, words] = /^(is there an?|how many|what color is the) (.+?)(?: are there)?$/.exec(question!)!;
    const found = like(words!);
    if (kind === "how many") assertEquals(String(found.length), answer, text);
    else if (kind!.startsWith("is")) assertEquals(found.length > 0 ? "yes" : "no", answer, text);
    else assertEquals(found.map(({ color }) => color), [answer], text);
    checked++;
  }
  return checked;
}

testInFolder("writeSceneTexts() tells the truth in every kind of text", async (dir) => {
  assertEquals(await writeSceneTexts(dir, small), true);
  const rows = (await Deno.readTextFile(sceneTextFiles(dir).train)).trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(rows.length, 600);
  const kinds = Object.groupBy(rows, ({ kind }) => kind) as Record<string, { text: string }[]>;
  assertEquals(Object.fromEntries(Object.entries(kinds).map(([kind, all]) => [kind, all!.length])), {
    reading: 270,
    story: 150,
    sentences: 120,
    facts: 60,
  });
  let questions = 0, agreements = 0;
  for (const { text } of kinds.reading!) questions += checkReading(text);
  for (const { text } of kinds.story!) {
    const [, thing, who] = /who has the (\w+)\? answer: (\w+)\.$/.exec(text)!;
    assertEquals(owners(text).get(thing!), who, text);
  }
  for (const { text } of kinds.sentences!) {
    for (const sentence of text.split(". ")) {
      const turned = /^if the (\w+) is (.+) the (\w+) then the (\w+) is (.+) the (\w+?)\.?$/.exec(sentence);
      if (turned) {
        const [, a, relation, b, c, back, d] = turned;
        assertEquals([c, d], [b, a]);
        const pairs = ["left of/right of", "right of/left of", "above/below", "below/above"];
        assert(pairs.includes(`${relation}/${back}`), sentence);
      } else {
        const [, subject, verb] = /^the (\w+) .* (is|are) \w+\.?$/.exec(sentence)!;
        assertEquals(verb, plural(subject!) ? "are" : "is", sentence);
        agreements++;
      }
    }
  }
  assert(questions > 400 && agreements > 200, `${questions} ${agreements}`);
});

testInFolder("cloze tasks are true, balanced, and nothing of them is in training", async (dir) => {
  await writeSceneTexts(dir, small);
  const files = sceneTextFiles(dir), tasks = await readClozeTasks(files.cloze);
  const by = Object.groupBy(tasks, ({ task }) => task) as Record<ClozeTask["task"], ClozeTask[]>;
  assertEquals(Object.values(by).map((all) => all.length), [100, 100, 100, 100]);
  for (const [task, options] of [["agreement", 2], ["inverse", 2], ["tracking", 3], ["reading", 2]] as const) {
    const counts = Array<number>(options).fill(0);
    for (const { options: all, answer } of by[task]) {
      assertEquals([all.length, new Set(all).size], [options, options]);
      counts[answer]!++;
    }
    for (const count of counts) assert(Math.abs(count - 100 / options) < 17, `${task}: ${counts}`);
  }
  for (const { prefix, options, answer } of by.tracking) {
    assertEquals(` ${owners(prefix).get(/who has the (\w+)/.exec(prefix)![1]!)}`, options[answer]);
  }
  for (const { prefix, options, answer } of by.reading) assertEquals(checkReading(prefix + options[answer]), 1);
  for (const { prefix, options, answer } of by.agreement) {
    assertEquals(options[answer], plural(prefix.split(" ")[1]!) ? " are" : " is");
  }
  const training = (await Array.fromAsync(readTexts({ data: [files.train] }))).flat(),
    sentences = training.join(" ").split(". ");
  for (const { task, prefix, options } of tasks) {
    const whole = task === "reading" ? training : sentences;
    const known = (option: string) => whole.some((text) => text.startsWith(`${prefix}${option}`));
    if (task !== "tracking") assertEquals(options.some(known), false, prefix);
  }
  const last = Object.values(by.agreement).filter(({ prefix, answer }) =>
    Number(plural(prefix.split(" ").at(-1)!)) === answer
  );
  assert(Math.abs(last.length - 50) < 17, `the last noun agrees in ${last.length} %`);
});

testInFolder("the same options give the same files, which are left as they are; others are refused", async (dir) => {
  await writeSceneTexts(`${dir}/a`, small);
  await writeSceneTexts(`${dir}/b`, small);
  const [a, b] = [await snapshot(`${dir}/a`), await snapshot(`${dir}/b`)];
  assertEquals(Object.values(a), Object.values(b));
  assertEquals(await writeSceneTexts(`${dir}/a`, small), false);
  await assertRejects(
    () => writeSceneTexts(`${dir}/a`, { ...small, seed: 4 }),
    Error,
    'says "seed": 3 where "seed": 4 is wanted',
  );
  await assertRejects(() => writeSceneTexts(`${dir}/c`, { train: 0 }), RangeError, '"train" is 0');
  await Deno.writeTextFile(`${dir}/x.jsonl`, '{"prefix":"a","options":["b"],"answer":1}\n');
  await assertRejects(() => readClozeTasks(`${dir}/x.jsonl`), SyntaxError, "line 1 must have");
});
