/**
 * `deno task doctor [--out FILE] [--no-measure]`: what the adapter is, whether every family of kernels gives right values on it, how fast
 * it is, and which products are fastest on it. What it finds is kept in the user's cache folder by adapter and driver, where every later
 * run finds it. `--out` writes the report as JSON (report.ts says what it holds), to attach to a bug. The exit status is 0 if all families
 * are right, else 1.
 */
import { parseArgs } from "@std/cli";
import { type Device, openDevice, setDefaultDevice } from "../../src/gpu/device.ts";
import { keepNotes } from "../../src/io/adapter_notes.ts";
import { writeFileAtomic } from "../../src/io/atomic.ts";
import { setUpAdapter } from "../../src/io/setup.ts";
import { keepWidth, WIDTH_VARIABLE } from "../../src/io/vector_width.ts";
import { type TunedStep, tuneProducts } from "../bench/tune.ts";
import { examine, wrongFamilies } from "./examine.ts";
import type { Report } from "./report.ts";
import { chooseWidth } from "./widths.ts";

/** Steps whose products are tuned, and for how many seconds at most; deno task tune does it for others. */
const TUNED: Readonly<Record<"cpu" | "gpu", readonly TunedStep[]>> = {
  cpu: [{ model: "tiny", batch: 32 }, { model: "small", batch: 32 }],
  gpu: [{ model: "small", batch: 96 }, { model: "base", batch: 96 }],
};
const TUNING_SECONDS = 30;

/** Examines the adapter as if nothing were known of it, and keeps what is found. */
async function diagnose(measured: boolean): Promise<{ report: Report; kept: string | undefined }> {
  const isFree = Deno.build.os === "linux" && !Deno.env.get(WIDTH_VARIABLE);
  await setUpAdapter({ tuning: false });
  const widths = measured && isFree ? await chooseWidth(console.log) : [];
  const device = await openDevice({ cache: "off" });
  setDefaultDevice(device);
  const report = await examine(device, console.log, { measured }), { avoid, left } = report.mended;
  if (left.length && widths.length) await keepWidth(undefined); // the driver's own width may be right
  const products = report.measurements && await tune(device);
  const kept = await keepNotes(device, { avoid, wrong: left, ...(products ? { shapes: products } : {}) });
  return { report: { ...report, ...(widths.length ? { widths } : {}), ...(products ? { products } : {}) }, kept };
}

async function tune(device: Device): Promise<Report["products"]> {
  const { features } = device.gpu, { kind } = device.profile;
  if (features.has("timestamp-query")) return await tuneProducts(device, TUNED[kind], console.log, TUNING_SECONDS);
  console.log("products are not tuned: the adapter has no time stamps (timestamp-query)");
  return undefined;
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
  const { report, kept } = await diagnose(measure), wrong = wrongFamilies(report);
  if (out) await writeFileAtomic(out, JSON.stringify(report, null, 2) + "\n");
  console.log(kept ? `kept for later runs in ${kept}` : "not kept for later runs: there is no cache folder");
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
