/**
 * `deno task golden DIR`: compares our numbers with a folder of values from the official code. One row per file; the last line
 * counts; the exit status is 1 if anything failed.
 */
import { setUpAdapter } from "../../src/gpu/setup.ts";
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

/** How many files passed, failed, or belong to no known set. */
export interface GoldenCounts {
  passed: number;
  failed: number;
  uncovered: number;
}

/** Compares one file; the lines say what came of it. */
async function checkFile(golden: Golden, file: string): Promise<[keyof GoldenCounts, ...string[]]> {
  const check = checkOf(setOf(file)), name = file.padEnd(44);
  if (!check) return ["uncovered", `${name} not covered`];
  try {
    const verdict = await check(golden, file), { compared, worst, worstName } = verdict;
    const failures = [...verdict.failures, ...verdict.left.map((left) => `${left}: not compared`)];
    if (compared === 0) failures.push("nothing was compared");
    const row = `${String(compared).padStart(4)} compared, worst ${
      worst.toPrecision(2)
    } of the tolerance: ${worstName}`;
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
  for (const file of Object.keys(golden.index.files).filter((f) => !isInput(f) && f.includes(only))) {
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
