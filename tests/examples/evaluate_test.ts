import { assert, assertEquals } from "@std/assert";
import { main } from "../../examples/evaluate.ts";
import { UsageError } from "../../src/settings/errors.ts";
import { testInFolder, withFolder } from "../testing/folders.ts";
import { runExample } from "../testing/permissions.ts";

const fixtures = new URL("../eval/fixtures/", import.meta.url).pathname;
const files = { questions: "vqa_questions.json", annotations: "vqa_annotations.json", results: "vqa_results.json" };

/** Flags of vqa-accuracy, the fixtures' files where nothing else is given. */
function vqa(paths: Partial<typeof files> = {}): string[] {
  const all = { ...Object.fromEntries(Object.entries(files).map(([key, name]) => [key, fixtures + name])), ...paths };
  return ["vqa-accuracy", ...Object.entries(all).flatMap(([key, path]) => [`--${key}`, path])];
}

/** What a run in this process prints. */
async function printed(...args: string[]): Promise<string> {
  const lines: string[] = [], { log } = console;
  console.log = (text: string) => void lines.push(`${text}\n`);
  try {
    await main(args);
  } finally {
    console.log = log;
  }
  return lines.join("");
}

/** Asserts that a run is refused with one sentence, all of it given. */
async function assertRefused(args: readonly string[], sentence: string, usage = false): Promise<void> {
  const error = await printed(...args).then(() => undefined, (error: Error) => error);
  assertEquals(error?.message, sentence);
  assertEquals(error instanceof UsageError, usage);
}

testInFolder("evaluate.ts vqa-accuracy prints one line and writes the accuracy of each question", async (dir) => {
  const expected = JSON.parse(await Deno.readTextFile(`${fixtures}vqa_expected.json`));
  const line = await printed(...vqa(), "--per-question", `${dir}/each.json`);
  assertEquals(JSON.parse(line), expected.accuracy);
  assert(line.startsWith('{"overall":') && line.indexOf("\n") === line.length - 1);
  const each = await Deno.readTextFile(`${dir}/each.json`);
  assertEquals(JSON.parse(each), expected.perQuestion);
  const { annotations } = JSON.parse(await Deno.readTextFile(fixtures + files.annotations));
  const ids = annotations.map((a: { question_id: number }) => String(a.question_id));
  assertEquals([...each.matchAll(/"(\d+)":/g)].map(([, id]) => id), ids);
  assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name), ["each.json"]);
  const none = `${dir}/none/each.json`;
  await assertRefused(
    [...vqa(), "--per-question", none],
    `Cannot write "${none}": the folder is gone (581 B needed, 0 B written)`,
  );
  await assertRefused(
    [...vqa(), "--per-question", dir],
    `Cannot write "${dir}": a folder is there (581 B needed, 581 B written)`,
  );
});

testInFolder("evaluate.ts vqa-accuracy says what is wrong with a file, where, and what was expected", async (dir) => {
  const file = `${dir}/file.json`, annotations = fixtures + files.annotations;
  const results: { question_id: number; answer: string }[] = JSON.parse(
    await Deno.readTextFile(fixtures + files.results),
  );
  const refused = async (key: keyof typeof files, text: string, sentence: string): Promise<void> => {
    await Deno.writeTextFile(file, text);
    await assertRefused(vqa({ [key]: file }), sentence);
  };
  const first = results[0]!, last = results.at(-1)!;
  const cases: [unknown, string][] = [
    [{}, `"${file}" must be a list: it is {}`],
    [[5], `"${file}": result 0 must be an object: it is 5`],
    [[{ answer: "yes" }], `"${file}": result 0: "question_id" must be a whole number: it is missing`],
    [[{ ...first, question_id: "1" }], `"${file}": result 0: "question_id" must be a whole number: it is "1"`],
    [[{ ...first, answer: 3 }], `"${file}": result 0: "answer" must be a text: it is 3`],
    [
      [...results, { question_id: 5, answer: "yes" }],
      `"${file}": result ${results.length}: "question_id" must be a question of "${annotations}": it is 5`,
    ],
    [
      [...results, first],
      `"${file}": result ${results.length}: question ${first.question_id} must come once: it comes twice`,
    ],
    [results.slice(0, -1), `"${file}" must answer question ${last.question_id} of "${annotations}": it does not`],
  ];
  for (const [value, sentence] of cases) await refused("results", JSON.stringify(value), sentence);
  await refused("questions", "{}", `"${file}": "questions" must be a list: it is missing`);
  await refused(
    "questions",
    '{"questions": []}',
    `"${file}" must have question ${first.question_id} of "${annotations}": it has not`,
  );
  await refused("annotations", '{"annotations": []}', `"${file}" must have at least one annotation: it has none`);
  const [annotation] = JSON.parse(await Deno.readTextFile(annotations)).annotations;
  const at = `"${file}": annotation 0: `;
  for (
    const [change, sentence] of [
      [{ question_type: undefined }, '"question_type" must be a text: it is missing'],
      [{ answer_type: 1 }, '"answer_type" must be a text: it is 1'],
      [{ answers: "yes" }, '"answers" must be a list: it is "yes"'],
      [{ answers: [] }, '"answers" must have at least one answer: it has none'],
      [{ answers: [{ answer: 1 }] }, 'answer 0: "answer" must be a text: it is 1'],
    ] as const
  ) await refused("annotations", JSON.stringify({ annotations: [{ ...annotation, ...change }] }), at + sentence);
  await assertRefused(vqa({ results: `${dir}/none` }), `Cannot read "${dir}/none": there is no such file`);
  await assertRefused(vqa({ results: dir }), `Cannot read "${dir}": it is a folder`);
  await Deno.writeTextFile(file, "[\n{]");
  const error = await printed(...vqa({ questions: file })).catch((error: Error) => error.message);
  assert(error.startsWith(`"${file}" must be JSON: `) && !error.includes("\n"), error);
});

testInFolder("evaluate.ts nlvr-accuracy prints one line, or names the line that it cannot use", async (dir) => {
  const data = `${fixtures}nlvr_data.jsonl`, predictions = `${dir}/p.csv`;
  const rows = (await Deno.readTextFile(data)).trim().split("\n").map((line) => JSON.parse(line));
  const lines: string[] = rows.map(({ identifier, label }) => `${identifier},${label}`);
  const flags = ["nlvr-accuracy", "--data", data, "--predictions", predictions];
  await Deno.writeTextFile(predictions, `${lines.join("\n")}\n`);
  assertEquals(await printed(...flags), '{"precision":1,"consistency":1}\n');

  const n = lines.length + 1, [id] = lines[0]!.split(",");
  const cases: [string[], string][] = [
    [[...lines, "1-0"], `"${predictions}": line ${n} must be identifier,true|false: it is "1-0"`],
    [["1-0,yes"], `"${predictions}": line 1 must be identifier,true|false: it is "1-0,yes"`],
    [["", ...lines], `"${predictions}": line 1 must be identifier,true|false: it is ""`],
    [[...lines, "x-0,true"], `"${predictions}": line ${n}: the identifier must be in "${data}": it is "x-0"`],
    [[...lines, lines[0]!], `"${predictions}": line ${n}: "${id}" must come once: it comes twice`],
    [lines.slice(1), `"${predictions}" must predict "${id}" of "${data}": it does not`],
  ];
  for (const [rows, sentence] of cases) {
    await Deno.writeTextFile(predictions, rows.join("\n"));
    await assertRefused(flags, sentence);
  }
  const own = `${dir}/d.jsonl`;
  for (
    const [text, sentence] of [
      ["", `"${own}" must have at least one line: it has none`],
      ["[]", `"${own}": line 1 must be an object: it is []`],
      ['{"label":"true"}', `"${own}": line 1: "identifier" must be a text: it is missing`],
      ['{"identifier":"1-0","label":1}', `"${own}": line 1: "label" must be true or false: it is 1`],
      ['{"identifier":"1-0","label":true}\n'.repeat(2), `"${own}": line 2: "1-0" must come once: it comes twice`],
    ] as const
  ) {
    await Deno.writeTextFile(own, text);
    await assertRefused(["nlvr-accuracy", "--data", own, "--predictions", predictions], sentence);
  }
});

Deno.test("evaluate.ts refuses flags that it does not know, and lists those that it does", async () => {
  const first =
    "The first argument must be one of retrieval, vqa, nlvr2, entailment, grounding, vqa-accuracy, nlvr-accuracy: ";
  await assertRefused([], `${first}nothing is given`, true);
  await assertRefused(["vga"], `${first}it is "vga"`, true);
  await assertRefused(["vqa-accuracy"], "--questions is missing: give the path of a file", true);
  await assertRefused(
    ["vqa-accuracy", "--result", "r"],
    "Unknown flag --result; did you mean --results?",
    true,
  );
  assert((await printed("--help")).includes("--per-question TEXT"));
  assert((await printed("nlvr-accuracy", "--help")).includes("--predictions TEXT"));
});

Deno.test("evaluate.ts ends with a sentence and no stack: status 1 for files, 2 for flags", async () => {
  await withFolder(async (dir) => {
    const run = async (...args: string[]) => {
      const { code, out, err } = await runExample("evaluate", ...args);
      return [code, out, err];
    };
    const none = `${dir}/none.json`;
    const missing = `error: Cannot read "${none}": there is no such file\n`;
    assertEquals(await run(...vqa({ results: none })), [1, "", missing]);
    const unknown = "error: Unknown flag --dat; did you mean --data?\n";
    assertEquals(await run("nlvr-accuracy", "--dat", none), [2, "", unknown]);
  });
});
