/**
 * `deno task kernels`: what the compilers of GPU vendors make of our kernels, on a machine without their GPUs. README.md beside
 * this file says where the compilers come from and what the figures are.
 *
 *     deno task kernels [--step] [--keep] [COMPILER ...]
 *
 * --step: only the kernels of training steps, not those of the op tests. --keep: the figures are the ones to compare with from now on.
 */
import { parseArgs } from "@std/cli";
import { setUpAdapter } from "../../src/io/setup.ts";
import { withFolder } from "../testing/folders.ts";
import { type Collected, distinct, stepKernels } from "./collect.ts";
import type { Compiled } from "./compile.ts";
import { type Compiler, findCompilers } from "./compilers.ts";
import { regressions, type Report, reportOf, table } from "./report.ts";

const root = new URL("../../", import.meta.url).pathname;
const results = new URL("results.json", import.meta.url).pathname;

/** Figures by set of kernels and compiler with its version. */
type Kept = Record<string, Record<string, Report>>;

/** The sets of kernels, by what needs them. */
async function sets(folder: string, onlySteps: boolean): Promise<Record<string, Collected[]>> {
  const base = await stepKernels("base", 8), small = await stepKernels("small", 8);
  const steps = { "a step of base (heads of 64)": base, "a step of small (heads of 32)": small };
  return onlySteps ? steps : { ...steps, "op tests": await opKernels(`${folder}/ops.jsonl`) };
}

/** Runs the op tests and takes what they compile. */
async function opKernels(file: string): Promise<Collected[]> {
  console.error("running the op tests for their kernels");
  const args = [
    "test",
    "--no-check",
    "--parallel",
    "--quiet",
    "-A",
    "--preload",
    `${root}tests/kernels/preload.ts`,
    `${root}tests/ops`,
  ];
  const { success, stdout } = await new Deno.Command("deno", { args, env: { KERNELS_FILE: file, NO_COLOR: "1" } })
    .output();
  if (!success) console.error(new TextDecoder().decode(stdout));
  const lines = (await Deno.readTextFile(file)).trim().split("\n");
  return distinct(lines.map((line) => JSON.parse(line)));
}

/** Compiles in a process of its own, whose environment chooses the driver. */
async function compile({ script, env }: Compiler, kernels: readonly Collected[], folder: string): Promise<Compiled[]> {
  const list = `${folder}/kernels.json`, log = `${folder}/statistics.jsonl`;
  await Deno.writeTextFile(list, JSON.stringify(kernels));
  const args = ["run", "--quiet", "--no-lock", "-A", script, list, log];
  const { stdout, stderr } = await new Deno.Command("deno", { args, env: { ...env, SHIM_STATISTICS: log } }).output();
  const compiled = new TextDecoder().decode(stdout).trim().split("\n").filter(Boolean).map((l) => JSON.parse(l));
  if (compiled.length === kernels.length) return compiled;
  throw new Error(`ended after ${compiled.length} of ${kernels.length} kernels: ${new TextDecoder().decode(stderr)}`);
}

async function main(folder: string): Promise<number> {
  const { step, keep, _: names } = parseArgs(Deno.args, { boolean: ["step", "keep"] });
  const { found, missing } = await findCompilers(folder);
  const chosen = found.filter(({ name }) => names.length === 0 || names.includes(name));
  for (const { names, reason } of missing) console.log(`${names.join(", ")} missing: ${reason}`);
  const kept: Kept = JSON.parse(await Deno.readTextFile(results).catch(() => "{}"));
  const faults: string[] = [];
  for (const [set, kernels] of Object.entries(await sets(folder, step))) {
    const reports: Record<string, Report> = {};
    for (const compiler of chosen) {
      const key = `${compiler.name}, ${compiler.version}`;
      try {
        const report = reports[compiler.name] = reportOf(kernels, await compile(compiler, kernels, folder));
        const before = kept[set]?.[key];
        if (before) faults.push(...regressions(compiler.name, before, report));
        else console.log(`${key}: nothing is kept of ${set} to compare with`);
        if (keep) (kept[set] ??= {})[key] = report;
      } catch (error) {
        faults.push(`${key}: ${(error as Error).message}`);
      }
    }
    console.log(`\n${set}: registers / spills / occupancy\n\n${table(reports)}`);
  }
  if (keep) await Deno.writeTextFile(results, JSON.stringify(kept, null, 1) + "\n");
  for (const fault of faults) console.log(`worse: ${fault}`);
  console.log(`${chosen.length} compilers, ${faults.length} figures worse than those kept`);
  return faults.length && !keep ? 1 : 0;
}

Deno.env.set("GRITSTONE_CACHE", "off");
await setUpAdapter();
Deno.exit(await withFolder(main));
