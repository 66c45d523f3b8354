import { assert, assertEquals, assertRejects } from "@std/assert";
import { main } from "../../examples/ablate.ts";
import { readResults } from "../../examples/ablate/result.ts";
import { methods, tables } from "../../examples/ablate/rows.ts";
import { withFolder } from "../testing/folders.ts";

Deno.test("a run of an ablation goes from the common start to a line, a table and a page, and is not run again", async () => {
  await withFolder(async (dir) => {
    const { error } = console, said: string[] = [];
    console.error = (line: string) => void said.push(line);
    const flags = ["--quick", "--runs", "grit-cons-50", "--work", `${dir}/work`, "--results", `${dir}/results`];
    try {
      await main(["4", ...flags]);
      await main(["4", ...flags]);
      await main(["figure1", "--quick", "--work", `${dir}/work`, "--results", `${dir}/results`]);
    } finally {
      console.error = error;
    }
    const results = await readResults(`${dir}/results/scenes-quick.jsonl`);
    assertEquals(results.map(({ run, seed, steps, batch }) => [run, seed, steps, batch]), [["grit-cons-50", 1, 16, 8]]);
    const [{ curve, usual, hard, vision, secondsPerEpoch }] = results as [typeof results[number]];
    assertEquals(curve.map(({ step }) => step), [2, 4, 6, 8, 10, 12, 14, 16]);
    assert(curve.every(({ falseNegatives }) => falseNegatives !== undefined), "false negatives are counted");
    assert(usual.reranked && hard?.reranked && hard.matching !== undefined && vision!.length === 8);
    assert(secondsPerEpoch! > 0);
    assertEquals(said.filter((line) => line.includes("of them to be done")), [
      "1 runs, 1 of them to be done",
      "1 runs, 0 of them to be done",
    ]);
    const page = await Deno.readTextFile(`${dir}/results/scenes-quick/index.html`);
    assert(page.includes("GRIT + consistency, 50 % (GRIT-VLP)"));
    const figure = await Deno.readTextFile(`${dir}/results/scenes-quick/figure-1.svg`);
    assertEquals(figure.match(/<image /g)?.length, 5 * 4);
    assert(page.includes(figure));
  });
});

Deno.test("every row of every table names a run", () => {
  for (const { rows } of Object.values(tables)) for (const { run } of rows) assert(run in methods, run);
});

Deno.test("ablate refuses what it does not know", async () => {
  await assertRejects(
    () => main(["7"]),
    Error,
    "The first argument must be one of 1, 2, 4, 5, 6, mafa, distillation, figure4, all, figure1, time, page",
  );
  await assertRejects(() => main(["4", "--quck"]), Error, "quick");
  await withFolder(async (dir) => {
    const flags = ["--quick", "--work", `${dir}/work`, "--results", `${dir}/results`, "--runs", "grit-60"];
    await assertRejects(() => main(["4", ...flags]), Error, '--runs has "grit-60": it must be of albef-base');
    await assertRejects(
      () => main(["4", "--world", "photos", "--results", `${dir}/results`]),
      Error,
      "--photos is missing",
    );
  });
});
