/**
 * `deno task test:classes [CLASS ...] [FILES]`: the tests of the kernels, the golden sets and steps of GRIT-VLP once for each class
 * of adapters that kernels differ by. One line a class; the last one counts; the exit status is 1 if anything failed. Every class
 * takes as long as those tests do.
 */
import { setUpAdapter } from "../../src/io/setup.ts";
import { addCounts, type Counts, countTests } from "../testing/counts.ts";
import { adapterClasses, kernelTests, testArguments } from "./classes.ts";

/** Runs the tests of one class; only failures are shown. */
async function testClass(name: string, files: readonly string[]): Promise<Counts> {
  const { env, about } = adapterClasses[name]!, start = performance.now();
  const { stdout, success } = await new Deno.Command("deno", {
    args: testArguments(adapterClasses[name]!, files),
    env: { NO_COLOR: "1", DENO_JOBS: String(Math.min(navigator.hardwareConcurrency, 4)), ...env },
    stderr: "null",
  }).output();
  const output = new TextDecoder().decode(stdout), counts = countTests(output, success);
  const seconds = Math.round((performance.now() - start) / 1000);
  if (counts.failed) console.log(output.slice(Math.max(0, output.indexOf("\n ERRORS"))));
  const ignored = counts.ignored.length ? `, ${counts.ignored.length} ignored` : "";
  console.log(
    `${name.padEnd(11)} ${counts.passed} passed, ${counts.failed} failed${ignored} in ${seconds} s (${about})`,
  );
  return counts;
}

const names = Deno.args.filter((arg) => arg in adapterClasses);
const files = Deno.args.filter((arg) => !(arg in adapterClasses));
Deno.env.set("GRITSTONE_CACHE", "off");
await setUpAdapter();
const all: Counts[] = [];
for (const name of names.length ? names : Object.keys(adapterClasses)) {
  all.push(await testClass(name, files.length ? files : kernelTests));
}
const { passed, failed } = addCounts(all);
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed ? 1 : 0);
