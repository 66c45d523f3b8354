/**
 * `deno task doctor [--out FILE] [--no-measure]`: what the adapter is, whether every family of kernels gives right values on it, and
 * how fast it is. `--out` writes the report as JSON (report.ts says what it holds), to attach to a bug. The exit status is 0 if all
 * families are right, else 1.
 */
import { parseArgs } from "@std/cli";
import { defaultDevice, type Device } from "../../src/gpu/device.ts";
import { writeFileAtomic } from "../../src/io/atomic.ts";
import { setUpAdapter } from "../../src/io/setup.ts";
import { families, type Family } from "./checks.ts";
import { takeMeasurements } from "./measurements.ts";
import { adapterLines, adapterOf, checkFamily, outcomeLine, type Report, systemOf } from "./report.ts";

/** Examines `device`, the default one. Speeds of kernels that are wrong say nothing, so they are left out then. */
export async function examine(
  device: Device,
  show: (line: string) => void,
  { measured = true, checked = families }: { readonly measured?: boolean; readonly checked?: readonly Family[] } = {},
): Promise<Report> {
  const adapter = await adapterOf(device), checks = [];
  show(adapterLines(adapter));
  for (const family of checked) {
    const outcome = await checkFamily(family, device);
    show(outcomeLine(outcome));
    checks.push(outcome);
  }
  const report: Report = { format: 1, date: new Date().toISOString(), system: systemOf(), adapter, checks };
  if (!measured || isWrong(report)) return report;
  return { ...report, measurements: await takeMeasurements(device, show) };
}

/** Whether a family gave wrong values. */
export function isWrong({ checks }: Pick<Report, "checks">): boolean {
  return checks.some(({ state }) => state === "wrong");
}

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
  const wrong = report.checks.filter(({ state }) => state === "wrong").map(({ family }) => family);
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
