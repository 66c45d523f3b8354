/**
 * Measures the matmul variants on the products of a model's training step and keeps the fastest of each class of shapes:
 *
 *     deno task tune [CONFIG BATCH [FILE]]
 *
 * What `deno task doctor` does for two sizes of its own, for the model and mini-batch at hand. The choices are added to those that the
 * doctor has kept of the adapter, where every later run finds them; with FILE they go there, for `--tuning FILE`.
 */
import type { TunedShape } from "../../src/gpu/adapter_notes.ts";
import { defaultDevice, type Device, type DeviceProfile } from "../../src/gpu/device.ts";
import { keepNotes } from "../../src/io/adapter_notes.ts";
import { saveTuning } from "../../src/io/matmul_tuning.ts";
import { setUpAdapter } from "../../src/io/setup.ts";
import { configs } from "../../src/models/config.ts";
import { matmul } from "../../src/ops/matmul.ts";
import {
  type MatmulChoice,
  type MatmulSizes,
  matmulVariants,
  overrideMatmulChoice,
  ruledMatmul,
  shapeClass,
} from "../../src/ops/matmul_variants.ts";
import { compile } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { round } from "./measure.ts";
import { BenchStep } from "./step.ts";
import { random } from "./works.ts";

/** A training step whose products are measured. */
export interface TunedStep {
  readonly model: keyof typeof configs;
  readonly batch: number;
}

/** Another variant must be this much faster than the rule's: less may be noise, and runs that agree in their bits are worth more. */
const WORTH = 1.1;

/** Operations below which a product takes no longer than its dispatch, so that one variant is as good as another. */
const LEAST_FLOP = 2e5;

/** One product of each class that steps compute, those with the most operations first; not the smallest. */
async function shapesOf(steps: readonly TunedStep[]): Promise<MatmulSizes[]> {
  const found = new Map<string, { sizes: MatmulSizes; flop: number }>();
  overrideMatmulChoice((_, sizes) => {
    const key = shapeClass(sizes), flop = flopOf(sizes);
    if (flop >= LEAST_FLOP) found.set(key, { sizes, flop: (found.get(key)?.flop ?? 0) + flop });
    return undefined;
  });
  try {
    for (const { model, batch } of steps) await (await BenchStep.create(configs[model], batch)).programs();
  } finally {
    overrideMatmulChoice(undefined);
  }
  return [...found.values()].sort((a, b) => b.flop - a.flop).map((f) => f.sizes);
}

function flopOf({ m, n, k, batch }: MatmulSizes): number {
  return 2 * m * n * k * batch;
}

/** GFLOP/s of a choice on the default device: the best of several runs by the adapter's time stamps. */
async function speed(sizes: MatmulSizes, choice: MatmulChoice): Promise<number> {
  const { m, n, k, batch } = sizes, lead = batch === 1 ? [] : [batch];
  const a = await random([...lead, m, k]), b = await random([...lead, k, n]);
  const product = compile((a: Tensor, b: Tensor) => matmul(a, b));
  let best = Infinity;
  overrideMatmulChoice(() => choice);
  try {
    for (let i = 0; i < 6; i++) {
      const { result, times } = await product.profile(a, b);
      result.node.storage[0]!.release();
      if (i) best = Math.min(best, times.reduce((ns, t) => ns + t.nanoseconds, 0));
    }
  } finally {
    product.destroy();
    overrideMatmulChoice(undefined);
  }
  return flopOf(sizes) / best;
}

/** The variants that repay their compilation as they are, and the rule's choice with its splits of the inner axis. */
function candidates(device: DeviceProfile, sizes: MatmulSizes): MatmulChoice[] {
  const rule = ruledMatmul(device, sizes), flop = flopOf(sizes);
  return matmulVariants(device).filter((v) => v === rule.variant || flop >= (v.minFlop ?? 0))
    .map((variant) => variant === rule.variant ? rule : { variant, splits: 1 });
}

/** The fastest choice for one class, with what all reached: the rule's, unless another is clearly faster. */
export function fastest(rule: MatmulChoice, measured: readonly { choice: MatmulChoice; gflops: number }[]): TunedShape {
  const speedOf = ({ variant }: MatmulChoice): number =>
    measured.find(({ choice }) => choice.variant === variant)?.gflops ?? 0;
  const best = measured.reduce((a, b) => b.gflops > a.gflops ? b : a).choice;
  const { variant, splits } = speedOf(best) > WORTH * speedOf(rule) ? best : rule;
  const all = measured.map(({ choice, gflops }) => [choice.variant.name, round(gflops, 1)]);
  return { variant: variant.name, splits, measured: Object.fromEntries(all) };
}

/** What is to be said of a class. */
function shapeLine(name: string, rule: MatmulChoice, { variant, measured = {} }: TunedShape): string {
  const usual = rule.variant.name;
  const change = variant === usual ? "" : ` (the rule takes ${usual}, ${measured[usual]})`;
  return `${name.padEnd(18)} ${variant}: ${measured[variant]} GFLOP/s${change}`;
}

/**
 * Measures the products of some steps on `device`, the default one, those with the most operations first.
 *
 * @param seconds After so many no further class is begun.
 */
export async function tuneProducts(
  { profile }: Device,
  steps: readonly TunedStep[],
  show: (line: string) => void,
  seconds = Infinity,
): Promise<Record<string, TunedShape>> {
  const shapes: Record<string, TunedShape> = {}, found = await shapesOf(steps);
  const end = performance.now() + 1000 * seconds;
  for (const sizes of found) {
    if (performance.now() > end) break;
    const rule = ruledMatmul(profile, sizes), measured = [], name = shapeClass(sizes);
    for (const choice of candidates(profile, sizes)) measured.push({ choice, gflops: await speed(sizes, choice) });
    shapes[name] = fastest(rule, measured);
    show(shapeLine(name, rule, shapes[name]));
  }
  return shapes;
}

if (import.meta.main) {
  const [model = "small", batch = "32", file] = Deno.args;
  await setUpAdapter();
  const device = await defaultDevice(), { adapter } = device;
  const steps = [{ model: model as keyof typeof configs, batch: Number(batch) }];
  const shapes = await tuneProducts(device, steps, console.log);
  if (file) await saveTuning({ adapter, date: new Date().toISOString(), shapes }, file);
  const path = file ?? await keepNotes(device, (kept) => ({ shapes: { ...kept.shapes, ...shapes } }));
  console.log(path ? `written to ${path}` : "not written: GRITSTONE_CACHE is off; name a file");
  Deno.exit(0);
}
