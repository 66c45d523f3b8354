/**
 * Measures the matmul variants on the shapes of a model and keeps the fastest of each class:
 *
 *     deno task tune [CONFIG BATCH [FILE]]
 *
 * The file is used by programs that call `loadTuning()`; deleting it brings back the built-in rule.
 */
import { defaultDevice, type DeviceProfile } from "../../src/gpu/device.ts";
import { setUpAdapter } from "../../src/io/setup.ts";
import { configs } from "../../src/models/config.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { type MatmulTuning, saveTuning, shapeClass, type TunedShape, tuningPath } from "../../src/io/matmul_tuning.ts";
import {
  chooseMatmul,
  type MatmulChoice,
  type MatmulSizes,
  matmulVariants,
  overrideMatmulChoice,
} from "../../src/ops/matmul_variants.ts";
import { compile } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { round } from "./measure.ts";
import { BenchStep } from "./step.ts";
import { random } from "./works.ts";

/** One product of each class that a training step computes, the most frequent classes first. */
async function shapesOf(name: keyof typeof configs, batch: number): Promise<MatmulSizes[]> {
  const found = new Map<string, { sizes: MatmulSizes; count: number }>();
  overrideMatmulChoice((_, sizes) => {
    const key = shapeClass(sizes), before = found.get(key);
    found.set(key, { sizes, count: (before?.count ?? 0) + 1 });
    return undefined;
  });
  await (await BenchStep.create(configs[name], batch)).programs();
  overrideMatmulChoice(undefined);
  return [...found.values()].sort((a, b) => b.count - a.count).map((f) => f.sizes);
}

/** GFLOP/s of a choice: the best of several runs by the adapter's time stamps. */
async function speed({ m, n, k, batch }: MatmulSizes, choice: MatmulChoice): Promise<number> {
  overrideMatmulChoice(() => choice);
  const lead = batch === 1 ? [] : [batch];
  const a = await random([...lead, m, k]), b = await random([...lead, k, n]);
  const product = compile((a: Tensor, b: Tensor) => matmul(a, b));
  let best = Infinity;
  for (let i = 0; i < 6; i++) {
    const { result, times } = await product.profile(a, b);
    result.node.storage[0]!.release();
    if (i) best = Math.min(best, times.reduce((ns, t) => ns + t.nanoseconds, 0));
  }
  product.destroy();
  overrideMatmulChoice(undefined);
  return 2 * m * n * k * batch / best;
}

/** The variants as they are, and the rule's choice with its splits of the inner axis. */
function candidates(device: DeviceProfile, sizes: MatmulSizes): MatmulChoice[] {
  const rule = chooseMatmul(device, sizes);
  return matmulVariants(device).map((variant) => variant === rule.variant ? rule : { variant, splits: 1 });
}

async function tune(name: keyof typeof configs, batch: number): Promise<MatmulTuning> {
  const { adapter, profile } = await defaultDevice(), shapes: Record<string, TunedShape> = {};
  for (const sizes of await shapesOf(name, batch)) {
    const rule = chooseMatmul(profile, sizes), measured: Record<string, number> = {};
    let best: { choice: MatmulChoice; gflops: number } | undefined;
    for (const choice of candidates(profile, sizes)) {
      const gflops = measured[choice.variant.name] = round(await speed(sizes, choice), 1);
      if (!best || gflops > best.gflops) best = { choice, gflops };
    }
    const { variant, splits } = best!.choice;
    shapes[shapeClass(sizes)] = { variant: variant.name, splits, measured };
    const change = variant === rule.variant
      ? ""
      : ` (the rule takes ${rule.variant.name}, ${measured[rule.variant.name]})`;
    console.log(`${shapeClass(sizes).padEnd(18)} ${variant.name}: ${best!.gflops} GFLOP/s${change}`);
  }
  return { adapter, date: new Date().toISOString(), shapes };
}

if (import.meta.main) {
  const [name = "small", batch = "32", file] = Deno.args;
  await setUpAdapter();
  const tuning = await tune(name as keyof typeof configs, Number(batch));
  const path = file ?? tuningPath(tuning.adapter);
  await saveTuning(tuning, path);
  console.log(`written to ${path}`);
  Deno.exit(0);
}
