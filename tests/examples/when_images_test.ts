import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { pointsOf } from "../../examples/when_images/charts.ts";
import { checkRuns, tablesOf, writePage } from "../../examples/when_images/page.ts";
import { planRuns, type Run, runName } from "../../examples/when_images/plan.ts";
import { readResults, type Result } from "../../examples/when_images/result.ts";
import { branchRates, curveRate } from "../../examples/when_images/schedule.ts";
import { centred, lossFigure, majority, scoresOf, unigramLoss } from "../../examples/when_images/scores.ts";
import { branchStages, imageParts, tuneFreeze, writeInterleaved } from "../../examples/when_images/variant.ts";
import { buildTextTokenizer, openDataset } from "../../mod.ts";
import { appendLine } from "../../examples/_lines.ts";
import { main } from "../../examples/when_images.ts";
import { testInFolder } from "../testing/folders.ts";

Deno.test("when-images has one budget at a time", async () => {
  await assertRejects(
    () => main(["--quick", "--chat"]),
    Error,
    "--quick must not be given with --chat: each is a budget",
  );
});

const curve = { steps: 1000, warmup: 100, rate: 1e-2, floor: 1e-4 };

Deno.test("a branch goes on at the main run's rate and ends at its floor", () => {
  assertEquals([0, 99, 100].map((step) => curveRate(curve, step)), [1e-4, 1e-2, 1e-2]);
  assertAlmostEquals(curveRate(curve, 1000), 1e-4, 1e-12);
  for (const start of [0.2, 0.4, 0.6, 0.8]) {
    const rate = branchRates(curve, { start, steps: 101, rewarm: 0.5 });
    assertEquals(rate(0), curveRate(curve, 1000 * start));
    assertAlmostEquals(rate(50), (rate(0) + 1e-4) / 2, 1e-12);
    assertAlmostEquals(rate(100), 1e-4, 1e-12);
  }
});

Deno.test("a branch from the beginning warms up, one from the end warms up again", () => {
  const first = branchRates(curve, { start: 0, steps: 50, rewarm: 0.5 }),
    last = branchRates(curve, { start: 1, steps: 50, rewarm: 0.5 });
  assertEquals([0, 3, 4, 5].map((step) => Number(first(step).toFixed(6))), [0.002, 0.008, 0.01, 0.01]);
  assertEquals([0, 3, 4, 5].map((step) => Number(last(step).toFixed(6))), [0.001, 0.004, 0.005, 0.005]);
  for (const rate of [first, last]) assertAlmostEquals(rate(49), 1e-4, 1e-12);
  const early = branchRates({ ...curve, warmup: 300 }, { start: 0.298, steps: 50, rewarm: 0.5 });
  assertEquals(
    [early(1), early(2)].map((rate) => Number(rate.toFixed(6))),
    [0.01, 0.01],
    "two steps of the rise are left",
  );
});

Deno.test("figures are centred on chance, and scores are means of them", () => {
  assertEquals([
    centred({ value: 0.5, chance: 0.5 }),
    centred({ value: 1, chance: 0.3 }),
    centred({ value: 0.25, chance: 0.5 }),
  ], [0, 1, -0.5]);
  assertThrows(() => centred({ value: 1, chance: 1 }), RangeError, "chance must be below 1: it is 1");
  assertEquals(lossFigure(1, 4), { value: 0.75, chance: 0 });
  const figures = {
    vision: { a: { value: 0.75, chance: 0.5 }, b: { value: 0.5, chance: 0.5 } },
    text: { c: { value: 0.75, chance: 0.5 } },
  };
  assertEquals(scoresOf(figures), { vision: 0.25, text: 0.5, mean: 0.375 });
});

Deno.test("unigramLoss() is the cross-entropy of frequencies with one more of each", () => {
  const expected = -(2 * Math.log(3 / 7) + Math.log(1 / 7)) / 3; // counts 2, 1, 0 of ids 0, 1, 2 and one more of 4 each
  assertAlmostEquals(unigramLoss([[0, 1], [0]], [[0, 0], [2]], 4), expected, 1e-12);
});

Deno.test("majority() gives the most frequent answer to each question, of all where it is new", () => {
  const guess = majority(
    [["q", "a"], ["q", "b"], ["q", "b"], ["r", "a"], ["r", "a"]].map(([question, answer]) => ({
      question: question!,
      answer: answer!,
    })),
  );
  assertEquals(["q", "r", "s"].map(guess), ["b", "a", "a"]);
  assertThrows(() => majority([]), RangeError, "there must be questions");
});

Deno.test("planRuns() has every start with every share, and the control, seed after seed", () => {
  const runs = planRuns({ starts: [0, 1], shares: [0, 0.1], seeds: [1, 2], shuffled: { start: 0.8, share: 0.1 } });
  assertEquals(runs.slice(0, 5).map(runName), [
    "start 0 %, images 0 %, seed 1",
    "start 0 %, images 10 %, seed 1",
    "start 100 %, images 0 %, seed 1",
    "start 100 %, images 10 %, seed 1",
    "start 80 %, images 10 % shuffled, seed 1",
  ]);
  assertEquals([runs.length, new Set(runs.map(runName)).size], [10, 10]);
  assertThrows(
    () => planRuns({ starts: [2], shares: [0], seeds: [1] }),
    RangeError,
    "each start must be from 0 to 1: one is 2",
  );
  assertThrows(() => planRuns({ starts: [0], shares: [], seeds: [1] }), RangeError, "there must be a share");
});

/** A made-up result: no run gave it. */
function madeUp(run: Run, vision: number, text: number): Result {
  const epoch = (epoch: number) => ({
    epoch,
    loss: 2 - 0.1 * epoch,
    text: { cloze: { value: 0.5 + text / 2, chance: 0.5 } },
    vision: { vqa: { value: vision - 0.1 * (2 - epoch), chance: 0 } },
    blank: { vqa: { value: 0.25, chance: 0.3 } },
    scores: { vision: vision - 0.1 * (2 - epoch), text, mean: (vision + text) / 2 },
  });
  return {
    ...run,
    steps: { main: 10, branch: 5, tune: 6 },
    tokens: { texts: 100 },
    losses: { branch: 1, tune: 0.5 },
    epochs: [0, 1, 2].map(epoch),
    seconds: 3,
    command: "made <up>",
    commit: "abc",
    adapter: "made up",
  };
}

const results = [1, 2].flatMap((seed) =>
  [0, 0.8, 1].flatMap((start) =>
    [0, 0.1].map((share) => madeUp({ start, share, captions: "own", seed }, 0.2 + share + seed / 100, start / 2))
  )
).concat([1, 2].map((seed) => madeUp({ start: 0.8, share: 0.1, captions: "shuffled", seed }, 0.1, 0.4)));

Deno.test("tables have means and deviations over seeds, chance and the controls", () => {
  const { Scores, Figures, Controls } = tablesOf(results);
  assertEquals(Scores!.length, 1 + 6 + 1);
  assertEquals(Scores![5], ["80 %", "10 %", "2", "31.5 ± 0.7", "40.0 ± 0.0", "35.8 ± 0.4", "11.5 ± 0.7", "40.0 ± 0.0"]);
  assertEquals(Scores!.at(-1)!.slice(0, 4), ["80 %", "10 % shuffled", "2", "10.0 ± 0.0"]);
  assertEquals(Figures![1], ["chance", "", "0.0", "50.0", ""]);
  assertEquals(Figures![2]!.at(-1), "6.05 ± 0.00");
  assertEquals(Controls![1]!.slice(2), ["30.0", "25.0 ± 0.0", "21.5 ± 0.7"]);
  assertEquals(pointsOf(results).length, 12 * 3 * 3, "controls are in no chart");
});

testInFolder("a page has every chart, and the results may have been lines of a file", async (dir) => {
  for (const result of results) await appendLine(`${dir}/results.jsonl`, result);
  const read = await readResults(`${dir}/results.jsonl`);
  assertEquals(read.length, results.length);
  const paths = await writePage(`${dir}/page`, read);
  assertEquals(paths.map((path) => path.split("/").at(-1)), [
    "start.png",
    "share.png",
    "epochs.png",
    "tables.md",
    "index.html",
  ]);
  const page = await Deno.readTextFile(`${dir}/page/index.html`);
  assertEquals(page.match(/<svg/g)?.length, 3);
  assert(page.includes("made &#60;up&#62;") && page.includes("images, % of tokens"));
  assertEquals(await writePage(`${dir}/none`, []), []);
  await assertRejects(
    () => writePage(dir, [...read, read[0]!]),
    RangeError,
    '"start 0 %, images 0 %, seed 1" is there twice',
  );
  const other = { ...read[0]!, seed: 9, steps: { ...read[0]!.steps, branch: 6 } };
  await assertRejects(
    () => writePage(dir, [...read, other]),
    RangeError,
    'those of "start 0 %, images 0 %, seed 9" differ',
  );
});

testInFolder(
  "variants are rows of their own, in no chart beside usual runs, and may tune for other steps",
  async (dir) => {
    const vila = [1, 2].map((seed) => {
      const run = madeUp({ start: 0.8, share: 0.1, captions: "own", seed, tuneText: 0.5, stages: "vila" }, 0.9, 0.5);
      return { ...run, steps: { ...run.steps, tune: 12 } };
    });
    const { Scores } = tablesOf([...results, ...vila]);
    assertEquals(Scores!.length, 1 + 7 + 1);
    assertEquals(Scores!.at(-1)!.slice(0, 4), [
      "80 %",
      "10 %, stages of vila, 50 % texts in tuning",
      "2",
      "90.0 ± 0.0",
    ]);
    assertEquals(pointsOf([...results, ...vila]), pointsOf(results));
    assertEquals(pointsOf(vila).length, 2 * 3 * 3);
    for (const result of vila) await appendLine(`${dir}/results.jsonl`, result);
    assertEquals((await readResults(`${dir}/results.jsonl`)).map(runName), [
      "start 80 %, images 10 %, stages of vila, 50 % texts in tuning, seed 1",
      "start 80 %, images 10 %, stages of vila, 50 % texts in tuning, seed 2",
    ]);
    checkRuns([...results, ...vila]);
  },
);

Deno.test("VILA's stages: the projector alone, then all but the encoder", () => {
  const stages = branchStages({ share: 0.1, stages: "vila" }, 25, []);
  assertEquals(stages, [{ from: 0, to: 3, freeze: ["encoder", "decoder"] }, { from: 3, to: 25, freeze: ["encoder"] }]);
  assertEquals(branchStages({ share: 0, stages: "vila" }, 25, []), [{ from: 0, to: 25, freeze: ["encoder"] }]);
  assertEquals(branchStages({ share: 0.1 }, 25, ["projector"]), [{ from: 0, to: 25, freeze: ["projector"] }]);
  assertEquals([tuneFreeze({ stages: "vila" }, []), tuneFreeze({}, ["decoder"])], [["encoder"], ["decoder"]]);
});

testInFolder("interleaved documents have every picture once, and their share of a branch", async (dir) => {
  const files = Array.from({ length: 4 }, (_, i) => `${dir}/${i}.png`);
  for (const file of files) await Deno.writeFile(file, new Uint8Array([0x89, 0x50, 0x4e, 0x47])); // never decoded
  await Deno.writeTextFile(
    `${dir}/pairs.json`,
    JSON.stringify(files.map((image, i) => ({ image, caption: `no ${i}` }))),
  );
  const pairs = await openDataset({ data: [`${dir}/pairs.json`], outside: true }), interleaved = `${dir}/docs.jsonl`;
  await writeInterleaved(interleaved, pairs, ["only words."]);
  const rows = (await Deno.readTextFile(interleaved)).trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(rows.map(({ text_list }) => text_list[2]), ["only words.", "only words."]);
  const shown = rows.flatMap(({ text_list, image_info }) =>
    image_info.map(({ image_name, matched_text_index: at }: { image_name: string; matched_text_index: number }) => [
      image_name,
      text_list[at],
    ])
  );
  assertEquals(shown.sort(), files.map((file, i) => [file, `no ${i}.`]));
  const tokenizer = buildTextTokenizer(["no 0. only words."], { size: 300 }), world = { pairs, interleaved };
  const parts = (imagesIn: "captions" | "interleaved" | "both") =>
    imageParts({ share: 0.2, imagesIn }, world, { tokenizer, imageTokens: 4 });
  assertEquals(parts("captions").map(({ source, share }) => [source.name, share]), [["pairs", 0.2]]);
  assertEquals(parts("interleaved").map(({ source, share }) => [source.name, share]), [["interleaved", 0.2]]);
  assertEquals(parts("both").map(({ share }) => share), [0.1, 0.1]);
  const { tokens, learned, images } = await parts("interleaved")[0]!.source.next();
  assertEquals(images.length, 2);
  assertEquals(tokens.filter((id) => id === tokenizer.imageId).length, 8);
  assert(tokens.every((id, i) => learned[i] === (id === tokenizer.imageId || id === tokenizer.beginId ? 0 : 1)));
});

testInFolder("readResults() names file, line and field", async (dir) => {
  const refuse = async (change: object, message: string) => {
    await Deno.writeTextFile(`${dir}/a.jsonl`, JSON.stringify({ ...results[0], ...change }));
    await assertRejects(() => readResults(`${dir}/a.jsonl`), Error, `"${dir}/a.jsonl", line 1: ${message}`);
  };
  await refuse({ captions: "none" }, '"captions" must be "own" or "shuffled": it is "none"');
  await refuse({ start: 2 }, '"start" must be a number from 0 to 1: it is 2');
  await refuse({ epochs: [{}] }, '"epochs[0].epoch" must be');
  await refuse({ more: 1 }, '"more" is no field');
});
