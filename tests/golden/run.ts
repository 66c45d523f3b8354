/**
 * `deno task golden DIR`: compares our numbers with a folder of values from the official code. One row per file; the last line
 * counts; the exit status is 1 if anything failed.
 */
import { coreSets } from "./core.ts";
import { Golden, type Verdict } from "./golden.ts";
import { momentumSets } from "./momentum.ts";
import { nlvrSets } from "./nlvr.ts";
import { retrievalSets } from "./retrieval.ts";
import { epochSet, groupSet, tiesSet } from "./sampler.ts";
import { tableSets } from "./tables.ts";
import { vqaSets } from "./vqa.ts";

type Check = (golden: Golden, file: string) => Promise<Verdict>;

const checks: Readonly<Record<string, Check>> = {
  ...coreSets,
  ...momentumSets,
  ...retrievalSets,
  ...tableSets,
  ...vqaSets,
  ...nlvrSets,
  grouping_ties: tiesSet,
};

/** The check of a set by its name; undefined for sets that are not known. */
function checkOf(set: string): Check | undefined {
  if (Object.hasOwn(checks, set)) return checks[set];
  return set.startsWith("group_") ? groupSet : set.startsWith("epoch_") ? epochSet : undefined;
}

/** The set that a file belongs to: its name without folder and ending. Inputs and weights are read by the checks. */
function setOf(file: string): string {
  return file.split("/").at(-1)!.replace(/\.(safetensors|json)$/, "");
}

function isInput(file: string): boolean {
  return /(^|_)(inputs|weights)$/.test(setOf(file));
}

/** Checks all files of a folder (or those whose path contains `only`) and prints the table. */
export async function runGolden(
  dir: string,
  only = "",
): Promise<{ passed: number; failed: number; uncovered: number }> {
  const golden = await Golden.open(dir);
  const counts = { passed: 0, failed: 0, uncovered: 0 };
  for (const file of Object.keys(golden.index.files).filter((f) => !isInput(f) && f.includes(only))) {
    const check = checkOf(setOf(file));
    if (!check) {
      counts.uncovered++;
      console.log(`${file.padEnd(44)} not covered`);
      continue;
    }
    try {
      const verdict = await check(golden, file);
      for (const name of verdict.left) verdict.failures.push(`${name}: not compared`);
      const ok = verdict.failures.length === 0;
      ok ? counts.passed++ : counts.failed++;
      console.log(
        `${file.padEnd(44)} ${ok ? "ok    " : "FAILED"} ${String(verdict.compared).padStart(4)} compared, worst ${
          verdict.worst.toPrecision(2)
        } of the tolerance: ${verdict.worstName}`,
      );
      for (const failure of verdict.failures.slice(0, 5)) console.log(`    ${failure}`);
    } catch (error) {
      counts.failed++;
      console.log(`${file.padEnd(44)} FAILED ${error instanceof Error ? error.message : error}`);
      if (Deno.env.get("GOLDEN_TRACE")) console.log(error);
    }
  }
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.uncovered} not covered`);
  return counts;
}

if (import.meta.main) {
  const [dir, only] = Deno.args;
  if (!dir) {
    console.error("usage: deno task golden DIR [PART OF A FILE NAME]");
    Deno.exit(2);
  }
  const { failed, uncovered } = await runGolden(dir, only);
  Deno.exit(failed + uncovered > 0 ? 1 : 0);
}
