/** The examination of an adapter, in Deno and in a browser. */
import type { Device } from "../../src/gpu/device.ts";
import { families, type Family } from "./families.ts";
import { takeMeasurements } from "./measurements.ts";
import { mend } from "./remedies.ts";
import { adapterLines, adapterOf, checkFamily, type Outcome, outcomeLine, type Report, systemOf } from "./report.ts";

/**
 * Examines `device`, the default one, which avoids from then on what the report says. Speeds of kernels that are wrong say nothing, so
 * they are left out where a family stays wrong.
 */
export async function examine(
  device: Device,
  show: (line: string) => void,
  { measured = true, checked = families }: { readonly measured?: boolean; readonly checked?: readonly Family[] } = {},
): Promise<Report> {
  const adapter = await adapterOf(device), checks: Outcome[] = [];
  show(adapterLines(adapter));
  for (const family of checked) {
    const outcome = await checkFamily(family, device);
    show(outcomeLine(outcome));
    checks.push(outcome);
  }
  const wrong = checked.filter((_, i) => checks[i]!.state === "wrong"), mended = await mend(device, wrong);
  if (mended.avoid.length) show(`avoided from now on, with right values: ${mended.avoid.join(", ")}`);
  if (mended.left.length) show(`nothing makes right: ${mended.left.join(", ")}`);
  const report: Report = { format: 1, date: new Date().toISOString(), system: systemOf(), adapter, checks, mended };
  if (!measured || mended.left.length) return report;
  return { ...report, measurements: await takeMeasurements(device, show) };
}

/** Names of the families that gave wrong values. */
export function wrongFamilies({ checks }: Pick<Report, "checks">): string[] {
  return checks.filter(({ state }) => state === "wrong").map(({ family }) => family);
}
