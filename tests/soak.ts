/**
 * Trains a tiny model for a long time and looks whether anything grows: GPU memory, process memory, open files, time per step. Blocks of
 * steps are averaged, and a line is fitted through the second half of them, after caches and the workers' heaps have filled, with its 95 %
 * confidence interval. What it saw is kept beside the command.
 *
 * JavaScript's garbage is collected before each sample: a GPUCommandEncoder is a few bytes to V8 and 2 kB to the process, so V8 lets tens of
 * thousands of them lie before it looks (tests/bench/submits.ts shows it without our code), and what lies there hides what leaks. The main
 * thread cannot collect in the image Workers, whose garbage was 1 MB a thousand steps for thousands of steps: so the space of young objects is
 * held at 1 MB in all isolates, and whoever fills it collects the old ones too (`--gc-global`). Part of what is left is
 * what sharp takes for its first 28,000 images (tests/bench/decodes.ts, without our code too).
 *
 *     deno task soak [--steps 10000] [--keep tests/bench/results/soak.json]
 */
import { parseArgs } from "@std/cli";
// jStat has Student's quantile in one package without dependencies.
import jstat from "npm:jstat@1.9.6";
import { defaultDevice } from "../src/gpu/device.ts";
import { writeFileAtomic } from "../src/io/atomic.ts";
import { setUpAdapter } from "../src/io/setup.ts";
import { ProgressLine } from "../src/io/terminal.ts";
import { grit } from "../src/recipes/grit.ts";
import { grouped } from "../src/recipes/grouped.ts";
import { train } from "../src/train/train.ts";
import { fit } from "./bench/fit.ts";
import { World } from "./testing/world.ts";

/** Means over a block of steps. */
interface Block {
  /** The last step of it. */
  readonly step: number;
  readonly gpuBytes: number;
  readonly processBytes: number;
  /** What JavaScript's heap holds, and buffers outside of it: the part of the process's memory that the main thread's collector knows. */
  readonly heapBytes: number;
  readonly openFiles: number;
  readonly msPerStep: number;
}

/** How a quantity grows. */
export interface Slope {
  /** Mean over the blocks. */
  readonly mean: number;
  /** Per 1,000 steps. */
  readonly slope: number;
  /** Its 95 % confidence interval by Student's t. */
  readonly interval: readonly [low: number, high: number];
  /** Whether the interval holds 0, or 10,000 steps would add less than 1 % of the mean even at its upper end. */
  readonly flat: boolean;
}

/** The slope of a line through points, at least 3. */
export function slopeOf(steps: readonly number[], values: readonly number[]): Slope {
  const thousands = steps.map((step) => step / 1000), n = steps.length;
  const [offset, slope] = fit(thousands, values, [0, 1]).coefficients as [number, number];
  const mean = values.reduce((a, b) => a + b, 0) / n, centre = thousands.reduce((a, b) => a + b, 0) / n;
  const error = values.reduce((sum, y, i) => sum + (y - offset - slope * thousands[i]!) ** 2, 0) / (n - 2);
  const spread = thousands.reduce((sum, x) => sum + (x - centre) ** 2, 0);
  const half = jstat.studentt.inv(0.975, n - 2) * Math.sqrt(error / spread);
  const [low, high] = [slope - half, slope + half];
  return { mean, slope, interval: [low, high], flat: low <= 0 && high >= 0 || high < 0 || 10 * high < mean / 100 };
}

function openFiles(): number {
  return Array.from(Deno.readDirSync("/proc/self/fd")).length;
}

/** Samples of a block that are averaged, and the steps between them. */
const SAMPLES = 25, LOG_EVERY = 10;

async function blocksOf(steps: number, collect: () => void): Promise<Block[]> {
  await using world = await World.make();
  const objective = grit.objective(world.setup(4, 0.1), { mask: 0.5, negatives: "multinomial" });
  await using loader = world.loader(objective.collate);
  const sampler = { examples: 20, miniBatch: 4, subQueue: 8, queue: 16, seed: 1 };
  const blocks: Block[] = [], line = new ProgressLine();
  let samples: Block[] = [];
  await train(grouped(objective, { loader, embedding: 8, sampler }), {
    steps,
    learningRate: () => 1e-4,
    logEvery: LOG_EVERY,
    checkpointEvery: 500,
    out: `${world.dir}/run`,
    progress: false,
    onMetrics({ step, gpuBytes, stepsPerSecond }) {
      collect();
      const { rss: processBytes, heapUsed, external } = Deno.memoryUsage(), heapBytes = heapUsed + external;
      samples.push({
        step,
        gpuBytes,
        processBytes,
        heapBytes,
        openFiles: openFiles(),
        msPerStep: 1000 / stepsPerSecond,
      });
      if (samples.length < SAMPLES) return;
      const mean = (of: (sample: Block) => number): number => samples.reduce((n, s) => n + of(s), 0) / samples.length;
      blocks.push({
        step,
        gpuBytes: mean((s) => s.gpuBytes),
        processBytes: mean((s) => s.processBytes),
        heapBytes: mean((s) => s.heapBytes),
        openFiles: mean((s) => s.openFiles),
        msPerStep: mean((s) => s.msPerStep),
      });
      line.show(JSON.stringify(blocks.at(-1)));
      samples = [];
    },
  });
  line.end();
  return blocks;
}

async function main(): Promise<void> {
  const { gc: collect } = globalThis as { gc?: () => void };
  if (!collect) {
    throw new Error(
      "The soak collects garbage before it measures: run it with `--v8-flags=--expose-gc`, as `deno task soak` does",
    );
  }
  const { steps, keep } = parseArgs(Deno.args, {
    string: ["steps", "keep"],
    default: { steps: "10000", keep: "tests/bench/results/soak.json" },
  });
  await setUpAdapter();
  const blocks = await blocksOf(Number(steps), collect);
  const counted = blocks.filter(({ step }) => step > Number(steps) / 2);
  const at = counted.map(({ step }) => step);
  const slopes = Object.fromEntries(
    (["gpuBytes", "processBytes", "heapBytes", "openFiles", "msPerStep"] as const)
      .map((name) => [name, slopeOf(at, counted.map((block) => block[name]))]),
  );
  const { adapter } = await defaultDevice(), command = `deno task soak --steps ${steps}`;
  await writeFileAtomic(keep, `${JSON.stringify({ command, adapter, slopes, blocks }, null, 1)}\n`);
  console.log(JSON.stringify({ command, adapter, slopes }));
  if (Object.values(slopes).some(({ flat }) => !flat)) Deno.exitCode = 1;
}

if (import.meta.main) await main();
