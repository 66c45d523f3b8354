/**
 * The gate, `deno task test`: formatting, lint, types, documentation and tests. The last line has the counts.
 *
 *     deno task test [--filter NAME] [FILES]    arguments go to deno test
 */
import { setUpAdapter } from "../src/io/setup.ts";
import { type Counts, countTests, endedAfterTests, summary } from "./testing/counts.ts";

const checks: [string, string[]][] = [
  ["formatting", ["fmt", "--check"]],
  ["lint", ["lint", "--quiet"]],
  ["types", ["check", "--quiet"]],
  ["documentation", ["doc", "--lint", "--quiet", "mod.ts"]],
];

/** What tests may do; README.md says why. WebGPU needs no permission. */
const permissions = [
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-ffi",
  "--allow-net=127.0.0.1",
  "--allow-run=deno",
];

async function check(args: string[]): Promise<boolean> {
  return (await new Deno.Command("deno", { args, stdin: "null" }).spawn().status).success;
}

/** Runs `deno test`, showing its output as it comes. */
async function test(args: string[]): Promise<Counts> {
  const child = new Deno.Command("deno", {
    args: ["test", "--no-check", ...permissions, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    await Deno.stdout.write(new TextEncoder().encode(text));
  }
  const { success, signal } = await child.status;
  if (!signal) return countTests(output, success);
  // Mesa's software driver was seen to free memory twice while the process ends; every test has been counted by then.
  const afterwards = endedAfterTests(output);
  console.error(
    `The process of the tests was ended by ${signal}${afterwards ? " after the last test, in the driver" : ""}`,
  );
  return countTests(output, afterwards);
}

async function main(): Promise<number> {
  await setUpAdapter();
  let passed = 0, failed = 0;
  for (const [name, args] of checks) {
    console.log(`${name}: deno ${args.join(" ")}`);
    if (await check(args)) passed++;
    else failed++, console.log(`${name} FAILED`);
  }
  const tests = await test(Deno.args);
  passed += tests.passed;
  failed += tests.failed;
  console.log(summary({ passed, failed, skipped: tests.skipped }));
  return failed ? 1 : 0;
}

try {
  Deno.exit(await main());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
