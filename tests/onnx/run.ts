/**
 * `deno task onnx PATH [--filter OP] [--json FILE]`: runs operator tests of ONNX's form on our ops. PATH is a folder or a tar.gz.
 * The last lines count; the exit status is 1 if anything failed or ended in an error, or nothing passed.
 */
import { parseArgs } from "@std/cli";
import { setUpAdapter } from "../../src/io/setup.ts";
import { readFiles, testsOf } from "./archive.ts";
import { type Outcome, runTest } from "./judge.ts";
import { byOperator, summary } from "./report.ts";

async function main(): Promise<number> {
  const { _: [path], filter = "", json } = parseArgs(Deno.args, { string: ["_", "filter", "json"] });
  if (!path) {
    console.error("usage: deno task onnx PATH [--filter PART OF AN OPERATOR'S OR A TEST'S NAME] [--json FILE]");
    return 2;
  }
  const tests = testsOf(await readFiles(String(path))), outcomes: Outcome[] = [];
  await setUpAdapter();
  const start = performance.now();
  for (const test of tests) {
    const outcome = await runTest(test, filter);
    if (!outcome) continue;
    outcomes.push(outcome);
    if (outcome.result === "failed" || outcome.result === "error") {
      console.log(`${outcome.result} ${outcome.name}: ${outcome.reason}`);
    }
    if (outcomes.length % 100 === 0) {
      console.error(`${outcomes.length} tests, ${((performance.now() - start) / 1000).toFixed(0)} s`);
    }
  }
  const seconds = (performance.now() - start) / 1000;
  for (const line of [...byOperator(outcomes), ...summary(outcomes, seconds)]) console.log(line);
  if (json) await Deno.writeTextFile(json, JSON.stringify({ seconds, outcomes }, null, 1) + "\n");
  const bad = outcomes.some((o) => o.result === "failed" || o.result === "error");
  return bad || !outcomes.some((o) => o.result === "passed") ? 1 : 0;
}

if (import.meta.main) {
  try {
    Deno.exit(await main());
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(2);
  }
}
