/**
 * The checks of all sets that are known.
 */
import { coreSets } from "./core.ts";
import type { Golden, Verdict } from "./golden.ts";
import { groundingSets } from "./grounding.ts";
import { lmSets } from "./lm.ts";
import { momentumSets } from "./momentum.ts";
import { nlvrSets } from "./nlvr.ts";
import { retrievalSets } from "./retrieval.ts";
import { epochSet, groupSet, tiesSet } from "./sampler.ts";
import { tableSets } from "./tables.ts";
import { tclSets } from "./tcl.ts";
import { entailmentSets } from "./ve.ts";
import { viltSets } from "./vilt.ts";
import { vqaSets } from "./vqa.ts";

type Check = (golden: Golden, file: string) => Promise<Verdict>;

const checks: Readonly<Record<string, Check>> = {
  ...coreSets,
  ...momentumSets,
  ...tclSets,
  ...retrievalSets,
  ...tableSets,
  ...vqaSets,
  ...nlvrSets,
  ...entailmentSets,
  ...groundingSets,
  ...viltSets,
  ...lmSets,
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

/** The files of a folder that hold results. */
export function resultFiles(golden: Golden): string[] {
  return Object.keys(golden.index.files).filter((file) => !/(^|_)(inputs|weights)$|^weights_/.test(setOf(file)));
}

/** Compares one file: what was compared, and a line for each failure. Undefined for sets that are not known. */
export async function judge(golden: Golden, file: string): Promise<{ row: string; failures: string[] } | undefined> {
  const check = checkOf(setOf(file));
  if (!check) return undefined;
  const verdict = await check(golden, file), { compared, worst, worstName } = verdict;
  const failures = [...verdict.failures, ...verdict.left.map((left) => `${left}: not compared`)];
  if (compared === 0) failures.push("nothing was compared");
  const worstRatio = worst.toPrecision(2);
  const remarks = verdict.remarks.map((remark) => `; ${remark}`).join("");
  const row = `${String(compared).padStart(4)} compared, worst ${worstRatio} of the tolerance: ${worstName}${remarks}`;
  return { row, failures };
}
