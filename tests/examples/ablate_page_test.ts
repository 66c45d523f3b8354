import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { paper, paperAbove } from "../../examples/ablate/paper.ts";
import { writePage } from "../../examples/ablate/page.ts";
import { appendLine } from "../../examples/_lines.ts";
import { type AblationResult, readResults } from "../../examples/ablate/result.ts";
import { pairedDifference, standardDeviation, verdict } from "../../examples/ablate/statistics.ts";
import { textTables } from "../../examples/ablate/table.ts";
import { testInFolder } from "../testing/folders.ts";

/** A made-up result: no run gave it. */
function madeUp(run: string, seed: number, mean: number): AblationResult {
  const recall = { r1: mean, r5: mean, r10: mean, mean }, recalls = { i2t: recall, t2i: recall, mean };
  const curve = [1, 2, 3].map((epoch) => ({
    step: 10 * epoch,
    epoch,
    loss: 9 - epoch,
    itc: 3 - epoch / 2,
    falseNegatives: 2 * epoch,
  }));
  const vision = [0.15, 0.5].flatMap((mask) => [1, 5].map((k) => ({ mask, k, with: 50 + k, without: 40 - mean / 10 })));
  const about = { command: "made <up> & co", commit: "abc", adapter: "made up", world: "scenes" as const };
  return {
    ...about,
    run,
    seed,
    steps: 30,
    batch: 8,
    examples: 80,
    secondsPerEpoch: 1.5,
    curve,
    usual: { cosine: recalls, reranked: recalls },
    vision,
  };
}

const table = {
  title: "Made up <b>",
  rows: [{ label: "fifteen", run: "albef-base" }, { label: "fifty <i>", run: "albef-base-50" }],
};
const results = [40, 42, 44].flatMap((
  v,
  seed,
) => [madeUp("albef-base", seed, v), madeUp("albef-base-50", seed, v + 3 + seed)]);

Deno.test("paired differences have Student's interval, and a verdict", () => {
  assertAlmostEquals(standardDeviation([1, 2, 4])!, Math.sqrt(7 / 3), 1e-12);
  const values = (list: number[]) => new Map(list.map((v, i) => [i, v]));
  const found = pairedDifference(values([3, 5, 7, 9]), values([1, 2, 3]))!; // differences 2, 3, 4: 3 ± 4.30265 / sqrt(3)
  assertEquals([found.seeds, found.mean], [3, 3]);
  assertAlmostEquals(found.interval![0], 0.5158623, 1e-6);
  assertAlmostEquals(found.interval![1], 5.4841377, 1e-6);
  assertEquals([verdict(found), verdict(found, false)], ["as in the paper", "opposite"]);
  assertEquals(verdict({ seeds: 1, mean: 9 }), "not separated");
  assertEquals(pairedDifference(values([1]), new Map([[7, 1]])), undefined);
});

Deno.test("tables have means, deviations, differences and the paper's order", () => {
  const [usual] = textTables("2", table, results), row = usual!.rows[1]!;
  assertEquals(row[0], ["fifty <i>", "albef-base-50, 3 seeds"]);
  assertEquals(row[1], ["75.6 / 58.8", "82.9"]);
  assertEquals(row[2], ["46.0 ± 3.0", "+4.0 [+1.5, +6.5]"]);
  assertEquals(row.at(-1), ["as in the paper"]);
  assertEquals(paperAbove(paper["5"]!, "itc-grit", "itc"), true);
});

testInFolder("results are read strictly: errors name file, line and field", async (dir) => {
  const path = `${dir}/r.jsonl`;
  await appendLine(path, results[0]!);
  assertEquals(await readResults(path), [results[0]!]);
  const refused = async (line: unknown, sentence: string) => {
    await Deno.writeTextFile(path, `${JSON.stringify(results[0])}\n${JSON.stringify(line)}\n`);
    await assertRejects(() => readResults(path), Error, `"${path}", line 2: ${sentence}`);
  };
  await refused({ ...results[0], seed: "1" }, '"seed" must be a whole number of 0 or more: it is "1"');
  await refused({ ...results[0], sed: 1 }, '"sed" is no field');
  await refused({ ...results[0], curve: [{ step: 1, epoch: 1 }] }, '"curve[0].loss" must be a number: it is missing');
});

testInFolder("the page has every chart, escapes texts and needs no network", async (dir) => {
  const paths = await writePage(dir, { "2": table, figure4: table }, results);
  const kinds = ["2-scenes-recall", "2-scenes-loss", "figure4-scenes-vision"];
  const pngs = kinds.map((kind) => `${dir}/table-${kind}.png`);
  assertEquals(paths, [...pngs, `${dir}/index.html`, `${dir}/tables.md`]);
  const page = await Deno.readTextFile(`${dir}/index.html`);
  assertEquals(page.match(/<figure /g)?.length, 3);
  assert(page.includes("made &#60;up&#62; &#38; co") && page.includes("fifty &#60;i&#62;"));
  assert(!/<script|<i>|<up>|<b>/.test(page));
  assert(!/(src|href)="(?!#)|url\((?!#)/.test(page), "no external address");
  await assertRejects(
    () => writePage(dir, { "2": table }, [...results, results[0]!]),
    RangeError,
    "seed 0 is there twice",
  );
});
