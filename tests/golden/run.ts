/**
 * `deno task golden DIR`: compares our numbers with a folder of values from the official code. One row per file; the last line
 * counts; the exit status is 1 if anything failed.
 */
import { setUpAdapter } from "../../src/io/setup.ts";
import { Golden } from "./golden.ts";
import { judge, resultFiles } from "./sets.ts";

/** How many files passed, failed, or belong to no known set. */
export interface GoldenCounts {
  passed: number;
  failed: number;
  uncovered: number;
}

/** Compares one file; the lines say what came of it. */
async function checkFile(golden: Golden, file: string): Promise<[keyof GoldenCounts, ...string[]]> {
  const name = file.padEnd(44);
  try {
    const judged = await judge(golden, file);
    if (!judged) return ["uncovered", `${name} not covered`];
    const { row, failures } = judged;
    if (failures.length === 0) return ["passed", `${name} ok     ${row}`];
    return ["failed", `${name} FAILED ${row}`, ...failures.slice(0, 5).map((failure) => `    ${failure}`)];
  } catch (error) {
    const trace = error instanceof Error && Deno.env.get("GOLDEN_TRACE") ? [error.stack ?? ""] : [];
    return ["failed", `${name} FAILED ${error instanceof Error ? error.message : error}`, ...trace];
  }
}

/** Checks all files of a folder (or those whose path contains `only`) and prints the table. */
export async function runGolden(
  dir: string,
  only = "",
  print: (line: string) => void = console.log,
): Promise<GoldenCounts> {
  const golden = await Golden.open(dir);
  const counts: GoldenCounts = { passed: 0, failed: 0, uncovered: 0 };
  for (const file of resultFiles(golden).filter((f) => f.includes(only))) {
    const [outcome, ...lines] = await checkFile(golden, file);
    counts[outcome]++;
    for (const line of lines) print(line);
  }
  print(`${counts.passed} passed, ${counts.failed} failed, ${counts.uncovered} not covered`);
  return counts;
}

/** The exit status: 0 if files were compared and every one of them passed. */
export function statusOf({ passed, failed, uncovered }: GoldenCounts): number {
  return passed > 0 && failed + uncovered === 0 ? 0 : 1;
}

if (import.meta.main) {
  const [dir, only] = Deno.args;
  if (!dir) {
    console.error("usage: deno task golden DIR [PART OF A FILE NAME]");
    Deno.exit(2);
  }
  await setUpAdapter();
  Deno.exit(statusOf(await runGolden(dir, only)));
}
