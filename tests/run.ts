/**
 * The gate, `deno task test`: formatting, lint, types, documentation, tests and the examples of the documentation. The last
 * line has the counts.
 *
 *     deno task test [--filter NAME] [FILES]    arguments go to deno test, and the examples are left out
 */
import { setUpAdapter } from "../src/io/setup.ts";
import { addCounts, type Counts, countTests, summary } from "./testing/counts.ts";

const checks: [string, string[]][] = [
  ["formatting", ["fmt", "--check"]],
  ["lint", ["lint", "--quiet"]],
  ["types", ["check", "--doc", "--quiet"]],
];

/** What users import: the face of the library, what is beside it, and the engine's inside. */
const faces = ["mod.ts", "src/settings/mod.ts", "src/internal.ts"];

/** The examples in the documentation as tests. */
const examples = ["--doc", "mod.ts", "src"];

/** What tests may do; README.md says why. WebGPU needs no permission. */
const permissions = [
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-ffi",
  "--allow-net=127.0.0.1",
  "--allow-run=deno",
];

/** Whether a check passes; counted as one test. */
async function check(name: string, args: string[]): Promise<Counts> {
  console.log(`${name}: deno ${args.join(" ")}`);
  const { success } = await new Deno.Command("deno", { args, stdin: "null" }).spawn().status;
  if (!success) console.log(`${name} FAILED`);
  return { passed: success ? 1 : 0, failed: success ? 0 : 1, ignored: [] };
}

/** Whether everything public is documented; counted as one test. Types of declared settings are inferred, so they may be missing. */
async function documentation(): Promise<Counts> {
  const args = ["doc", "--lint", "--quiet", ...faces];
  console.log(`documentation: deno ${args.join(" ")}`);
  const { success, stderr } = await new Deno.Command("deno", { args, env: { NO_COLOR: "1" }, stdout: "null" }).output();
  const faults = new TextDecoder().decode(stderr).split(/^(?=error)/m)
    .filter((text) => text.startsWith("error") && !/^error(\[missing-explicit-type\].*\n.*recipes|: Found)/.test(text));
  if (!success && !stderr.length) faults.push("error: deno doc failed");
  for (const fault of faults) console.error(fault.trimEnd());
  if (faults.length) console.log("documentation FAILED");
  return { passed: faults.length ? 0 : 1, failed: faults.length ? 1 : 0, ignored: [] };
}

/** Files that are tested at a time: compiling kernels takes one core each, and a GPU's memory is shared. */
const MOST_FILES = 4;

/** Runs `deno test`, showing its output as it comes. */
async function test(args: string[]): Promise<Counts> {
  const child = new Deno.Command("deno", {
    args: ["test", "--no-check", "--parallel", ...permissions, ...args],
    env: { NO_COLOR: "1", DENO_JOBS: String(Math.min(navigator.hardwareConcurrency, MOST_FILES)) },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    await Deno.stdout.write(new TextEncoder().encode(text));
  }
  const { success, signal } = await child.status;
  if (signal) console.error(`The process of the tests was ended by ${signal}`);
  return countTests(output, success);
}

async function main(args: string[]): Promise<number> {
  // Set-up leaves OpenGL out where there is another adapter. Where there is not, all tests may pass and the process die after the
  // last: `deno test` runs each file on a thread that it ends as late as itself, and libEGL frees twice what it keeps for it.
  Deno.env.set("GRITSTONE_CACHE", "off"); // what a user's doctor has kept must not decide on tests
  await setUpAdapter();
  const all: Counts[] = [];
  for (const [name, command] of checks) all.push(await check(name, command));
  all.push(await documentation());
  all.push(await test(args));
  if (args.length === 0) all.push(await test(examples));
  const counts = addCounts(all);
  console.log(summary(counts));
  return counts.failed ? 1 : 0;
}

try {
  Deno.exit(await main(Deno.args));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
