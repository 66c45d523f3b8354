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
import { measure, round } from "./measure.ts";
import { BenchStep, stepFlop } from "./step.ts";

interface Point {
  readonly x: number;
  readonly ms: number;
  readonly gflop: number;
}

async function stepPoint(x: number, config: AlbefConfig, batch: number): Promise<Point> {
  const step = await BenchStep.create(config, batch), { gpu } = await defaultDevice();
  const { median } = await measure(async () => {
    await step.run();
    await gpu.queue.onSubmittedWorkDone();
  });
  const gflop = stepFlop(await step.program()) / 1e9;
  step.destroy();
  return { x, ms: median, gflop };
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

function showTimes(what: string, points: readonly Point[], powers: readonly number[]): void {
  const xs = points.map((p) => p.x), ms = points.map((p) => p.ms);
  console.log(`step of tiny against ${what}`);
  for (const { x, ms, gflop } of points) {
    console.log(
      `  ${`${x}`.padStart(6)} ${ms.toFixed(1).padStart(9)} ms ${gflop.toFixed(2).padStart(8)} GFLOP ${
        (1e3 * gflop / ms).toFixed(1).padStart(7)
      } GFLOP/s`,
    );
  }
  const { coefficients, r2 } = fit(xs, ms, powers);
  const terms = coefficients.map((c, i) => `${c.toPrecision(3)}${["", " x", " x^2"][powers[i]!]}`).join(" + ");
  const growth = `grows with x^${round(exponent(xs, ms))}, its FLOP with x^${
    round(exponent(xs, points.map((p) => p.gflop)))
  }`;
  console.log(`  ms = ${terms} (R^2 ${round(r2, 4)}); ${growth}\n`);
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
    imageKeys: f32(keys, 256),
    textKeys: f32(keys, 256),
    imageTeacher: f32(96, 256),
    textTeacher: f32(96, 256),
  };
  const loss = (p: typeof own, b: typeof bank): Tensor =>
    itcMomentumLoss(p.image, p.text, p.temperature, { ...b, alpha: 0.4 });
  return plannedBytes(valueAndGrad(loss), own, bank);
}

async function showBytes(what: string, xs: readonly number[], bytes: (x: number) => Promise<number>): Promise<void> {
  console.log(`bytes of intermediates against ${what}`);
  const ys: number[] = [];
  for (const x of xs) {
    const y = await bytes(x);
    ys.push(y);
    console.log(`  ${`${x}`.padStart(6)} ${`${y}`.padStart(12)} (${round(y / x, 1)} each)`);
  }
  console.log(`  grows with x^${round(exponent(xs, ys))}\n`);
}

/** The report of `bench.ts scaling`. */
export async function scaling(): Promise<void> {
  const over = async (xs: readonly number[], of: (x: number) => [AlbefConfig, number]): Promise<Point[]> => {
    const points: Point[] = [];
    for (const x of xs) points.push(await stepPoint(x, ...of(x)));
    return points;
  };
  showTimes("batch", await over([8, 16, 32, 64], (batch) => [configs.tiny, batch]), [0, 1]);
  const tokens = (resolution: number): number => (resolution / configs.tiny.vision.patch) ** 2 + 1;
  const byTokens = await over([32, 64, 96, 128], (resolution) => [withResolution(resolution), 8]);
  showTimes("image tokens, batch 8", byTokens.map((p) => ({ ...p, x: tokens(p.x) })), [0, 1, 2]);
  showTimes("width, batch 8", await over([32, 64, 128, 256], (width) => [withWidth(width), 8]), [0, 1, 2]);
  await showBytes("tokens: attention of 4 heads of 64, forward and backward", [256, 1024, 4096, 16384], attentionBytes);
  await showBytes("keys: contrastive loss of 96 pairs, 256 wide", [4096, 16384, 32768, 65536], itcBytes);
}
