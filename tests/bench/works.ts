/** Single pieces of work: what is computed, how many floating-point operations it is, one run of it. */
import { valueAndGrad } from "../../src/autograd/grad.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { itcLoss, itcMomentumLoss } from "../../src/losses/itc.ts";
import { softmaxLoss } from "../../src/losses/softmax_loss.ts";
import { normalize, type PairFeatures } from "../../src/models/albef.ts";
import { vitBlock, type VitBlockSpec, vitSpec } from "../../src/models/vit.ts";
import { initialize, type ParametersOf } from "../../src/nn/spec.ts";
import { attention } from "../../src/ops/attention.ts";
import { cast, multiply } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { mean, sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toDevice } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { leaves, type Tree } from "../../src/program/tree.ts";
import { blockFlop, matmulFlop, uniform } from "./measure.ts";

/** Work that is ready to run. */
export interface Ready {
  readonly flop: number;
  /** One run, waited for. */
  run(): Promise<void>;
  /** Bytes of intermediates, where the work is one program. */
  readonly intermediates?: number;
}

/** A compiled function on fixed arguments; every run is waited for and its results are given back. */
export async function ready<A extends readonly Tree[]>(
  flop: number,
  fn: (...args: A) => Tree,
  args: A,
): Promise<Ready> {
  const compiled = compile(fn), device = await defaultDevice();
  const program = await compiled.program(...args);
  const run = async (): Promise<void> => {
    const result = await compiled(...args);
    await device.gpu.queue.onSubmittedWorkDone();
    for (const t of leaves(result)) t.node.storage[t.index]!.release();
  };
  return { flop, run, intermediates: program.arenaBytes };
}

/** Random numbers on the GPU. */
export async function random(shape: readonly number[], scale = 1): Promise<Tensor> {
  return await toDevice(tensor(uniform(shape.reduce((a, b) => a * b, 1), scale), shape));
}

/** A B of N x N matrices, stored in f32 or f16. */
export async function matmulWork(n: number, half: boolean): Promise<Ready> {
  const operand = async (): Promise<Tensor> => {
    const x = await random([n, n]);
    return half ? await toDevice(cast(x, "f16")) : x;
  };
  return await ready(matmulFlop(n), (a: Tensor, b: Tensor) => matmul(a, b), [await operand(), await operand()]);
}

/** Attention of H heads of width D over T tokens and its gradients: 2 products forward, 5 backward. */
export async function attentionWork(batch: number, heads: number, tokens: number, width: number): Promise<Ready> {
  const input = (): Promise<Tensor> => random([batch, tokens, heads * width]);
  const loss = (qkv: { q: Tensor; k: Tensor; v: Tensor }, weights: Tensor): Tensor =>
    sum(multiply(attention(qkv.q, qkv.k, qkv.v, { heads }), weights));
  const qkv = { q: await input(), k: await input(), v: await input() };
  return await ready(14 * batch * heads * tokens * tokens * width, valueAndGrad(loss), [qkv, await input()]);
}

/** A ViT block forward and backward, with gradients of the input and all 12 parameters. */
export async function blockWork(batch: number, tokens: number, width: number, heads: number): Promise<Ready> {
  const config = { resolution: 8, patch: 8, width, depth: 1, heads, eps: 1e-6 };
  const p = await toDevice(initialize(vitSpec(config).blocks[0]!, 1)) as ParametersOf<VitBlockSpec>;
  const loss = (wrt: { x: Tensor; p: typeof p }, weights: Tensor): Tensor =>
    sum(multiply(vitBlock(wrt.p, wrt.x, config), weights));
  const input = (): Promise<Tensor> => random([batch, tokens, width]);
  return await ready(blockFlop(batch, tokens, width), valueAndGrad(loss), [{ x: await input(), p }, await input()]);
}

/**
 * The contrastive loss with consistency of N pairs and its gradients: two directions, one product forward and two backward.
 * With `keys` it is the momentum form against that many keys. Tiles that are computed again are not counted.
 */
export async function itcWork(count: number, width: number, keys = 0): Promise<Ready> {
  const features = async (rows: number): Promise<Tensor> => await toDevice(normalize(await random([rows, width])));
  const image = await features(count), text = await features(count), temperature = tensor(0.07);
  const flop = 2 * 3 * 2 * count * (keys || count) * width;
  type Own = { image: Tensor; text: Tensor; temperature: Tensor };
  const own = { image, text, temperature };
  if (!keys) {
    return await ready(flop, valueAndGrad((p: Own) => itcLoss(p, p.temperature)), [own] as const);
  }
  const bank = { features: { image, text }, image: await features(keys), text: await features(keys) };
  const loss = (p: Own, bank: { features: PairFeatures; image: Tensor; text: Tensor }): Tensor =>
    itcMomentumLoss(p, p.temperature, bank, { alpha: 0.4 });
  return await ready(flop, valueAndGrad(loss), [own, bank] as const);
}

/** The vocabulary loss of `tokens` states of width D over V words and its gradients. */
export async function vocabWork(tokens: number, width: number, words: number): Promise<Ready> {
  const labels = tensor(Int32Array.from({ length: tokens }, () => Math.floor(Math.random() * words)));
  const loss = (p: { queries: Tensor; keys: Tensor; bias: Tensor }, labels: Tensor): Tensor =>
    mean(softmaxLoss(p, { targets: { labels } }));
  const p = {
    queries: await random([tokens, width]),
    keys: await random([words, width], 0.1),
    bias: await random([words]),
  };
  return await ready(6 * tokens * width * words, valueAndGrad(loss), [p, labels] as const);
}
