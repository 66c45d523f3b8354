import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { openDataset } from "../../src/data/datasets.ts";
import { openEntailment } from "../../src/data/entailment.ts";
import { type Box, openExpressions, readDetections } from "../../src/data/expressions.ts";
import { openNlvr } from "../../src/data/nlvr.ts";
import { drawBalanced } from "../../src/data/scenes/balance.ts";
import { drawHypotheses } from "../../src/data/scenes/hypotheses.ts";
import { drawQuestions, possibleAnswers } from "../../src/data/scenes/questions.ts";
import { referTo } from "../../src/data/scenes/referring.ts";
import { drawStatements } from "../../src/data/scenes/statements.ts";
import { taskSceneFiles, type TaskSceneOptions, writeTaskScenes } from "../../src/data/scenes/tasks.ts";
import { captionHolds } from "../../src/data/scenes/truth.ts";
import { drawScenes, type Scene, type SceneObject } from "../../src/data/scenes/world.ts";
import { sceneFiles, writeScenes } from "../../src/data/scenes/write.ts";
import { openVqa } from "../../src/data/vqa.ts";
import { Random } from "../../src/random/random.ts";
import { snapshot, withFolder } from "../testing/folders.ts";

const kinds = { objects: [2, 4], colors: 5, shapes: 5 } as const;
const scenes = drawScenes({ ...kinds, seed: 11, counts: { train: 500, val: 0, test: 0 }, twins: 0.25 }).train;

/** The objects that words such as "red circles" or "small thing" are about, found word by word. */
function meant(words: string, scene: Scene): SceneObject[] {
  const singular = words.replace(/sses$/, "ss").replace(/([^s])s$/, "$1").split(" ");
  return scene.filter((o) =>
    singular.every((word) => word === "thing" || [o.size, o.color, o.shape].includes(word as "red"))
  );
}

/** Whether an object lies to another as is said, by the truth of a caption that names both. */
function lies(a: SceneObject, relation: string, b: SceneObject, scene: Scene): boolean {
  const name = (o: SceneObject) => `a ${o.size} ${o.color} ${o.shape}`;
  return captionHolds(`${name(a)} is ${relation} ${name(b)}`, scene);
}

const relation = "(left of|right of|above|below)";

function answerTo(question: string, scene: Scene): string {
  let words: string[] | null;
  const found = (pattern: string) => (words = new RegExp(`^${pattern}$`).exec(question)?.slice(1) ?? null);
  if (found("is there an? (.*)\\?")) return meant(words![0]!, scene).length ? "yes" : "no";
  if (found("how many (.*) are there\\?")) return String(meant(words![0]!, scene).length);
  if (found("what color is the (.*)\\?")) {
    const objects = meant(words![0]!, scene);
    assertEquals(objects.length, 1, question);
    return objects[0]!.color;
  }
  assert(found(`is the (.*) ${relation} the (.*)\\?`), question);
  const [first, how, second] = words!, a = meant(first!, scene), b = meant(second!, scene);
  assertEquals([a.length, b.length], [1, 1], question);
  return lies(a[0]!, how!, b[0]!, scene) ? "yes" : "no";
}

/** How often each answer is given to each text. */
function answersByText(rows: readonly { text: string; answer: string }[]): number[][] {
  return Object.values(Object.groupBy(rows, ({ text }) => text)).map((rows) =>
    Object.values(Object.groupBy(rows!, ({ answer }) => answer)).map((same) => same!.length)
  );
}

Deno.test("drawQuestions() asks what is true, as often of each type, and texts do not tell their answers", () => {
  const questions = drawQuestions(scenes, kinds, new Random(1)), answers = possibleAnswers(kinds);
  assertEquals(answers, ["yes", "no", "0", "1", "2", "3", "4", "red", "orange", "yellow", "green", "cyan"]);
  for (const { scene, text, answer } of questions) {
    assertEquals(answer, answerTo(text, scenes[scene]!), text);
    assert(answers.includes(answer));
  }
  assertEquals(new Set(questions.map(({ scene, text }) => `${scene} ${text}`)).size, questions.length);
  // The best guess by the text alone is little better than by chance among 2, 3, 2 answers and 5 colours.
  const limits = { existence: 0.52, count: 0.36, color: 0.3, relation: 0.52 };
  for (const [type, limit] of Object.entries(limits)) {
    const own = questions.filter((question) => question.type === type);
    assertEquals(own.length, scenes.length, type);
    const right = answersByText(own).reduce((sum, counts) => sum + Math.max(...counts), 0);
    assert(right / own.length < limit, `${type}: ${right / own.length}`);
  }
});

Deno.test("drawHypotheses() labels by what is drawn, each text as often entailed, contradicted and open", () => {
  const rows = drawHypotheses(scenes, kinds, new Random(2));
  assert(rows.length > 1000, `${rows.length}`);
  for (const { scene: index, text, answer } of rows) {
    const scene = scenes[index]!,
      [, first, how, second] = new RegExp(`^the (.*) is ${relation} the (.*)$`).exec(text) ?? [];
    const [, subject, claim] = /^the (.*) is (?:a )?(\w+)$/.exec(text) ?? [];
    const subjects = (first ? [first, second!] : [subject!]).map((words) => meant(words, scene));
    const drawn = subjects.every((objects) => objects.length);
    assertEquals(answer === "neutral", !drawn, text);
    if (!drawn) continue;
    assertEquals(subjects.map((objects) => objects.length), subjects.map(() => 1), text);
    const [a, b] = subjects.map(([object]) => object!);
    const holds = first ? lies(a!, how!, b!, scene) : meant(claim!, [a!]).length === 1;
    assertEquals(answer, holds ? "entailment" : "contradiction", text);
    if (first && !holds) assert(lies(b!, how!, a!, scene), `${text}: not of one row or column`);
  }
  for (const counts of answersByText(rows)) assertEquals(counts, [counts[0], counts[0], counts[0]]);
});

Deno.test("drawStatements() tells two true and two false things with one sentence", () => {
  const numbers: Record<string, number> = { one: 1, two: 2, three: 3 };
  const checks: [string, (left: number, right: number, said: string) => boolean][] = [
    ["the left picture shows an? (.*)", (l) => l > 0],
    ["the right picture shows an? (.*)", (_, r) => r > 0],
    ["both pictures show an? (.*)", (l, r) => l > 0 && r > 0],
    ["only one picture shows an? (.*)", (l, r) => (l > 0) !== (r > 0)],
    ["the left picture shows more (.*) than the right", (l, r) => l > r],
    ["the left picture shows fewer (.*) than the right", (l, r) => r > l],
    ["both pictures show the same number of (.*)", (l, r) => l === r],
    ["in all there (?:is|are) (?:one|two|three) (.*)", (l, r, said) => l + r === numbers[said.split(" ")[4]!]],
  ];
  const used = new Set<string>();
  for (const { text, pairs } of drawStatements(scenes, 150, kinds, new Random(3))) {
    const [pattern, holds] = checks.find(([pattern]) => new RegExp(`^${pattern}$`).test(text))!;
    const [, words] = new RegExp(`^${pattern}$`).exec(text)!;
    used.add(pattern);
    for (const { left, right, label } of pairs) {
      const [l, r] = [left, right].map((i) => meant(words!, scenes[i]!).length) as [number, number];
      assertEquals(label, holds(l, r, text), text);
    }
    assertEquals(pairs.filter(({ label }) => label).length, 2);
    assertEquals(new Set(pairs.map(({ left, right }) => `${left} ${right}`)).size, 4);
  }
  assertEquals(used.size, checks.length);
  assertThrows(() => drawStatements(scenes.slice(0, 2), 1, kinds, new Random(0)), RangeError, "pairs of 2 scenes");
});

Deno.test("referTo() fits the object and no other, by attributes or by place", () => {
  let places = 0;
  const random = new Random(4);
  for (const [n, scene] of scenes.entries()) {
    for (const [i, object] of scene.entries()) {
      const text = referTo(object, scene, random.fork(n, i));
      const [, how, landmark] = new RegExp(`^the thing ${relation} the (.*)$`).exec(text) ?? [];
      if (!how) {
        assertEquals(meant(text.replace("the ", ""), scene), [object], text);
        continue;
      }
      const marks = meant(landmark!, scene);
      assertEquals(marks.length, 1);
      assertEquals(scene.filter((o) => o !== marks[0] && lies(o, how, marks[0]!, scene)), [object], text);
      places++;
    }
  }
  assert(places > 100);
});

Deno.test("drawBalanced() keeps the most frequent answers equally often and drops texts with fewer", () => {
  const some = scenes.slice(0, 20), index = (scene: Scene) => some.indexOf(scene);
  const prompts = [
    { text: "a", answer: (scene: Scene) => index(scene) < 12 ? "x" : index(scene) < 17 ? "y" : "z" },
    { text: "b", answer: () => "x" },
    { text: "c", answer: (scene: Scene) => index(scene) < 2 ? "x" : undefined },
  ];
  const rows = drawBalanced(prompts, some, { equal: 2, count: 99 }, new Random(0));
  assertEquals(
    rows.map(({ text, answer }) => text + answer).sort().join(" "),
    "ax ax ax ax ax ay ay ay ay ay az az az",
  );
  for (const { scene, answer } of rows) assertEquals(answer, prompts[0]!.answer(some[scene]!));
  assertEquals(drawBalanced(prompts, some, { equal: 2, count: 4 }, new Random(0)), rows.slice(0, 4));
});

const few: TaskSceneOptions = { train: 20, val: 0, test: 16, size: 32, seed: 5, colors: 4, shapes: 4 };

Deno.test("writeTaskScenes() writes what the readers open, true of its pictures", () =>
  withFolder(async (folder) => {
    const progress: number[] = [];
    assert(await writeTaskScenes(folder, few, ({ done, total }) => progress.push(done, total)));
    assertEquals([progress.length, progress.at(-2), progress.at(-1)], [72, 36, 36]);
    const detections = await readDetections(taskSceneFiles(folder, "test").detections), ids = new Set<number>();
    for (const split of ["train", "test"] as const) {
      const files = taskSceneFiles(folder, split), { images } = files, count = few[split]!;
      const facts = JSON.parse(await Deno.readTextFile(files.facts)).images;
      const sceneOf = new Map<string, Scene>(
        facts.map((f: { file_name: string; objects: Scene }) => [f.file_name, f.objects]),
      );
      const name = (image: { path: string }) => image.path.slice(images.length + 1);
      for (const file of sceneOf.keys()) assert((await Deno.stat(`${images}/${file}`)).isFile);

      const captions = await openDataset({ data: [files.captions], images });
      assertEquals(captions.length, count);
      for (let i = 0; i < count; i++) {
        const { image, captions: texts } = captions.entry(i);
        for (const text of texts) assert(captionHolds(text, sceneOf.get(name({ path: image }))!), text);
      }
      const vqa = await openVqa({ data: [files.questions], images });
      for (let i = 0; i < vqa.length; i++) {
        const { images, question, answers, questionId, questionType } = vqa.entry(i);
        assertEquals(answers, [{ text: answerTo(question, sceneOf.get(name(images[0]))!), weight: 1 }]);
        assert(["existence", "count", "color", "relation"].includes(questionType!));
        assert(!ids.has(questionId));
        ids.add(questionId);
      }
      const nlvr = await openNlvr({ data: [files.statements], images });
      assertEquals([nlvr.length, nlvr.entry(5).identifier], [2 * count, `${split}-1-1-0`]);
      for (const { path } of nlvr.entry(5).images) assert(sceneOf.has(name({ path })));
      const entailment = await openEntailment({ data: [files.entailment], images });
      for (const { path } of entailment.entry(0).images) assert(sceneOf.has(name({ path })));

      const expressions = await openExpressions({ data: [files.expressions], images });
      assertEquals(expressions.length, [...sceneOf.values()].flat().length);
      for (let i = 0; i < expressions.length; i++) {
        const { images, text, box, imageId } = expressions.entry(i), scene = sceneOf.get(name(images[0]))!;
        const object = scene.find((o) => String((o as unknown as { bbox: Box }).bbox) === String(box))!;
        if (!/ of | above | below /.test(text)) assertEquals(meant(text.replace("the ", ""), scene), [object]);
        const found = detections.get(imageId)!, good = found.filter((other) => iou(other, box!) > 0.6);
        assertEquals([found.length, good.length], [scene.length, 1]);
      }
    }
    const answers = await Deno.readTextFile(taskSceneFiles(folder, "train").answers);
    assertEquals(JSON.parse(answers), possibleAnswers({ objects: [2, 3], colors: 4 }));
  }));

function iou(a: Box, b: Box): number {
  const overlap = (axis: 0 | 1) =>
    Math.min(a[axis] + a[axis + 2]!, b[axis] + b[axis + 2]!) - Math.max(a[axis], b[axis]);
  const both = Math.max(0, overlap(0)) * Math.max(0, overlap(1));
  return both / (a[2] * a[3] + b[2] * b[3] - both);
}

Deno.test("writeTaskScenes() follows from its options, and takes the scenes of writeScenes()", () =>
  withFolder(async (folder) => {
    const small = { ...few, train: 16, test: 0 };
    assert(await writeTaskScenes(`${folder}/a`, small));
    const written = await snapshot(`${folder}/a`);
    await Deno.rename(`${folder}/a/manifest.json`, `${folder}/a/unfinished.json`);
    await Deno.truncate(`${folder}/a/answers.json`, 3);
    assert(await writeTaskScenes(`${folder}/a`, small));
    assertEquals(await snapshot(`${folder}/a`), written);
    assertEquals(await writeTaskScenes(`${folder}/a`, small), false);

    await writeScenes(`${folder}/b`, { ...few, train: 20 });
    const read = async (path: string) => JSON.parse(await Deno.readTextFile(path)).images;
    assertEquals(
      await read(taskSceneFiles(`${folder}/a`, "train").facts),
      (await read(sceneFiles(`${folder}/b`, "train").facts)).slice(0, 16),
    );
    const wanted =
      'its "manifest.json" says "format": "gritstone-scenes" where "format": "gritstone-task-scenes" is wanted';
    await assertRejects(() => writeTaskScenes(`${folder}/b`, small), Error, wanted);
    await assertRejects(
      () => writeTaskScenes(`${folder}/c`, { ...few, val: 3 }),
      RangeError,
      '"val" is 3, but it must be 0 or',
    );
    await assertRejects(() => writeTaskScenes(`${folder}/c`, { ...few, size: 8 }), RangeError, '"size" is 8');
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["a", "b"]);
  }));
