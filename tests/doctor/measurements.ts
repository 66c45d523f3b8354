/** Speeds of an adapter in about a minute, with the works of the benchmarks. */
import type { Device } from "../../src/gpu/device.ts";
import { line, measure } from "../bench/measure.ts";
import { measurePeak } from "../bench/peak.ts";
import { stepWork } from "../bench/step.ts";
import { attentionWork, blockWork, matmulWork, type Ready } from "../bench/works.ts";
import type { Measurements } from "./report.ts";

/** Works by the words that `deno task bench` takes; GPUs get larger ones, since small ones measure the way to them. */
function works(kind: "cpu" | "gpu"): Readonly<Record<string, () => Promise<Ready>>> {
  const n = kind === "cpu" ? 512 : 2048, batch = kind === "cpu" ? 2 : 32;
  return {
    [`matmul ${n}`]: () => matmulWork(n, false),
    [`attention ${batch} 4 257 64`]: () => attentionWork(batch, 4, 257, 64),
    [`block ${batch} 65 256 4`]: () => blockWork(batch, 65, 256, 4),
    "step tiny 8": () => stepWork("tiny", 8),
  };
}

/** Measures the default device, which `device` must be. */
export async function takeMeasurements({ profile }: Device, show: (line: string) => void): Promise<Measurements> {
  const { gflops, gigabytesPerSecond } = await measurePeak();
  show(`peak ${gflops} GFLOP/s, copies ${gigabytesPerSecond} GB/s`);
  const lines = [];
  for (const [name, make] of Object.entries(works(profile.kind))) {
    const { flop, run } = await make();
    const measured = line("gritstone", "webgpu", name, flop, await measure(run, 3));
    show(`${name.padEnd(24)} ${measured.median_ms} ms, ${measured.gflops} GFLOP/s`);
    lines.push(measured);
  }
  return { peak: { gflops, gigabytesPerSecond }, works: lines };
}
