/** How cost grows: time of a step with batch, tokens and width; memory of attention with tokens, of the contrastive loss with keys. */
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { itcMomentumLoss } from "../../src/losses/itc.ts";
import { type AlbefConfig, configs } from "../../src/models/config.ts";
import { attention } from "../../src/ops/attention.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholder } from "../../src/program/program.ts";
import type { Tree } from "../../src/program/tree.ts";
import { exponent, fit } from "./fit.ts";
import { round } from "./measure.ts";
import { keep, keepTable } from "./results.ts";
import { BenchStep, stepFlop } from "./step.ts";

interface Point {
  readonly x: number;
  readonly ms: number;
  readonly gflop: number;
}

/** One size of the model, and the number that stands for it on the axis. */
interface Size {
  readonly x: number;
  readonly config: AlbefConfig;
  readonly batch: number;
}

/** The best of several steps of each size; sizes take turns, for others may use the machine. */
async function stepPoints(sizes: readonly Size[]): Promise<Point[]> {
  const { gpu } = await defaultDevice();
  const steps = await Promise.all(sizes.map(({ config, batch }) => BenchStep.create(config, batch)));
  const best = steps.map(() => Infinity);
  for (let round = 0; round < 6; round++) {
    for (const [i, step] of steps.entries()) {
      const start = performance.now();
      await step.run();
      await gpu.queue.onSubmittedWorkDone();
      best[i] = Math.min(best[i]!, performance.now() - start);
    }
  }
  const gflop = await Promise.all(steps.map(async (step) => stepFlop(await step.programs()) / 1e9));
  for (const step of steps) step.destroy();
  return sizes.map(({ x }, i) => ({ x, ms: round(best[i]!), gflop: round(gflop[i]!, 3) }));
}

function withResolution(resolution: number): AlbefConfig {
  return { ...configs.tiny, vision: { ...configs.tiny.vision, resolution } };
}

function withWidth(width: number): AlbefConfig {
  const { vision, text } = configs.tiny;
  return {
    ...configs.tiny,
    vision: { ...vision, width },
    text: { ...text, width, encoderWidth: width, intermediate: 4 * width },
  };
}

function timeLines(what: string, points: readonly Point[], powers: readonly number[]): string[] {
  const xs = points.map((p) => p.x), ms = points.map((p) => p.ms);
  const { coefficients, r2 } = fit(xs, ms, powers);
  const terms = coefficients.map((c, i) => `${c.toPrecision(3)}${["", " x", " x^2"][powers[i]!]}`).join(" + ");
  return [
    `step of tiny against ${what}`,
    ...points.map(({ x, ms, gflop }) =>
      `${cell(x, 8)}${cell(ms, 10)} ms${cell(gflop, 9)} GFLOP${cell(round(1e3 * gflop / ms, 1), 7)} GFLOP/s`
    ),
    `  ms = ${terms} (R^2 ${round(r2, 4)})`,
    `  time grows with x^${round(exponent(xs, ms))}, FLOP with x^${round(exponent(xs, points.map((p) => p.gflop)))}`,
  ];
}

function byteLines(what: string, points: readonly { x: number; bytes: number }[]): string[] {
  return [
    `bytes of intermediates against ${what}`,
    ...points.map(({ x, bytes }) => `${cell(x, 8)}${cell(bytes, 12)}${cell(round(bytes / x, 1), 10)} each`),
    `  grows with x^${round(exponent(points.map((p) => p.x), points.map((p) => p.bytes)))}`,
  ];
}

function cell(value: number, width: number): string {
  return `${value}`.padStart(width);
}

async function plannedBytes<A extends readonly Tree[]>(fn: (...args: A) => Tree, ...args: A): Promise<number> {
  return (await compile(fn).program(...args)).arenaBytes;
}

function f32(...shape: number[]): Tensor {
  return placeholder({ shape, dtype: "f32" });
}

function attentionBytes(tokens: number): Promise<number> {
  const qkv = { q: f32(1, tokens, 256), k: f32(1, tokens, 256), v: f32(1, tokens, 256) };
  return plannedBytes(valueAndGrad((p: typeof qkv) => sum(attention(p.q, p.k, p.v, { heads: 4 }))), qkv);
}

function itcBytes(keys: number): Promise<number> {
  const own = { image: f32(96, 256), text: f32(96, 256), temperature: f32() };
  const bank = {
    features: { image: f32(96, 256), text: f32(96, 256) },
    image: f32(keys, 256),
    text: f32(keys, 256),
  };
  const loss = (p: typeof own, b: typeof bank): Tensor => itcMomentumLoss(p, p.temperature, b, { alpha: 0.4 });
  return plannedBytes(valueAndGrad(loss), own, bank);
}

/** The report of `bench.ts scaling`. */
export async function scaling(): Promise<void> {
  const { tiny } = configs, tokens = (resolution: number): number => (resolution / tiny.vision.patch) ** 2 + 1;
  const batches = await stepPoints([8, 16, 32, 64].map((x) => ({ x, config: tiny, batch: x })));
  const sides = [32, 64, 96, 128];
  const images = await stepPoints(sides.map((side) => ({ x: tokens(side), config: withResolution(side), batch: 8 })));
  const widths = await stepPoints([32, 64, 128, 256].map((x) => ({ x, config: withWidth(x), batch: 8 })));
  const planned = (
    xs: readonly number[],
    bytes: (x: number) => Promise<number>,
  ): Promise<{ x: number; bytes: number }[]> => Promise.all(xs.map(async (x) => ({ x, bytes: await bytes(x) })));
  const attention = await planned([256, 1024, 4096, 16384], attentionBytes);
  const keys = await planned([4096, 16384, 32768, 65536], itcBytes);
  const lines = [
    ...timeLines("batch", batches, [0, 1]),
    ...timeLines("image tokens, batch 8", images, [0, 1, 2]),
    ...timeLines("width, batch 8", widths, [0, 1, 2]),
    ...byteLines("tokens: attention of 4 heads of 64, forward and backward", attention),
    ...byteLines("keys: contrastive loss of 96 pairs, 256 wide", keys),
  ];
  const origin = await keep("scaling", "scaling", { batches, images, widths, attention, keys });
  await keepTable("scaling", origin, "```\n" + lines.join("\n") + "\n```\n");
}
