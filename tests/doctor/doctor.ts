/**
 * `deno task doctor [--out FILE] [--no-measure]`: what the adapter is, whether every family of kernels gives right values on it, and
 * how fast it is. `--out` writes the report as JSON (report.ts says what it holds), to attach to a bug. The exit status is 0 if all
 * families are right, else 1.
 */
import { parseArgs } from "@std/cli";
import { defaultDevice } from "../../src/gpu/device.ts";
import { writeFileAtomic } from "../../src/io/atomic.ts";
import { setUpAdapter } from "../../src/io/setup.ts";
import { examine, wrongFamilies } from "./examine.ts";

async function main(): Promise<number> {
  const { out, measure } = parseArgs(Deno.args, {
    string: ["out"],
    boolean: ["measure"],
    negatable: ["measure"],
    default: { measure: true },
    unknown: (word: string) => {
      throw new RangeError(`Cannot understand "${word}": the doctor takes --out FILE and --no-measure`);
    },
  });
  await setUpAdapter();
  const report = await examine(await defaultDevice(), console.log, { measured: measure });
  if (out) await writeFileAtomic(out, JSON.stringify(report, null, 2) + "\n");
  const wrong = wrongFamilies(report);
  console.log(wrong.length ? `wrong: ${wrong.join(", ")}` : "all families of kernels are right");
  return wrong.length ? 1 : 0;
}

if (import.meta.main) {
  try {
    Deno.exit(await main());
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(1);
  }
}
