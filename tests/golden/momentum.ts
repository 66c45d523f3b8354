/** The set of ALBEF's pre-training with momentum encoders, queues and soft targets. */
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import type { PairNegatives } from "../../src/losses/negatives.ts";
import {
  type Albef,
  type AlbefSpec,
  albefSpec,
  encodePairs,
  matchLogits,
  TEMPERATURE_BOUNDS,
} from "../../src/models/albef.ts";
import { bertMultimodal } from "../../src/models/bert.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import { encodeKeys, type KeyQueues, type MomentumEncoders, momentumEncoders } from "../../src/models/momentum.ts";
import { type AdamWState, type AdamWStep, ema, flatAdamW, stepInputs } from "../../src/optim/adamw.ts";
import { ParameterLayout } from "../../src/optim/layout.ts";
import { add, divide, equal, iota, multiply, negate } from "../../src/ops/elementwise.ts";
import { gather } from "../../src/ops/gather.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { randomKey } from "../../src/ops/random.ts";
import { mean, sum } from "../../src/ops/reduce.ts";
import { concat, slice } from "../../src/ops/shape.ts";
import { logSoftmax, softmax } from "../../src/ops/softmax.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { entries, type Tree } from "../../src/program/tree.ts";
import { albefLoss } from "../../src/recipes/albef.ts";
import type { AlbefOptions } from "../../src/recipes/albef.ts";
import { compareGradients, headOf, type Setting, settingOf, zeroDiagonal } from "./core.ts";
import type { Golden, Loose, Value, Verdict } from "./golden.ts";

/** The name in official files of a momentum copy. */
export function momentumName(path: string): string {
  return path.replace(/^[^.]+/, (first) => `${first}_m`);
}

/** Queues of the official layout [d, Q] as rows. */
export function queuesOf(weights: ReadonlyMap<string, Value>): KeyQueues {
  const rows = (name: string): Tensor => {
    const { data, shape } = weights.get(name)!, [width, length] = shape as [number, number];
    return tensor(transposed(data, width, length), [length, width]);
  };
  const ids = weights.get("idx_queue")?.data;
  return {
    images: rows("image_queue"),
    texts: rows("text_queue"),
    pointer: tensor(Uint32Array.from(weights.get("queue_ptr")!.data)),
    ...(ids ? { ids: tensor(Uint32Array.from(ids)) } : {}),
  };
}

/** Row-major [rows, columns] as [columns, rows]. */
export function transposed(data: ArrayLike<number>, rows: number, columns: number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!);
}

/** Rows of a queue [Q, d] in the official layout. */
export function officialQueue(rows: ArrayLike<number>, shape: readonly number[]): Float32Array {
  return transposed(rows, shape[1]!, shape[0]!);
}

/** What a step changes. */
export type State = { readonly optimizer: AdamWState; readonly momentum: MomentumEncoders; readonly queues: KeyQueues };

/** Similarities with all keys and their soft targets, [B, B + Q] each: what the loss holds in tiles only. */
export function similarities(
  features: Tensor,
  momentumFeatures: Tensor,
  keys: Tensor,
  temperature: Tensor,
): { sim: Tensor; soft: Tensor } {
  const scaled = (rows: Tensor): Tensor => divide(matmul(rows, keys, { transposeB: true }), temperature);
  return { sim: scaled(features), soft: softmax(scaled(momentumFeatures)) };
}

/** Values of one step that are no results of the loss function; `seen` is what the momentum encoders see of the batch. */
export function shown(
  p: Albef,
  state: State,
  momentum: MomentumEncoders,
  batch: Loose,
  draws: PairNegatives,
  config: AlbefConfig,
  alpha: number,
  seen: Loose = batch,
): Loose {
  const { image, text } = encodePairs(p, batch, { config });
  const keys = encodeKeys(momentum, state.queues, seen, { config });
  const count = image.features.shape[0]!;
  const direction = (features: Tensor, momentumFeatures: Tensor, all: Tensor): Loose => {
    const { sim, soft } = similarities(features, momentumFeatures, all, p.temp);
    const own = equal(iota(sim.shape, 0), iota(sim.shape, 1));
    const targets = add(multiply(soft, alpha), multiply(own, 1 - alpha));
    const loss = mean(negate(sum(multiply(targets, logSoftmax(sim)), { axes: [1] })));
    return { sim, targets, loss, weights: zeroDiagonal(softmax(slice(sim, 1, 0, count))) };
  };
  const masked = (model: Pick<Albef, "text_encoder">, states: Tensor): Tensor =>
    headOf(
      model as Albef,
      bertMultimodal(model.text_encoder, batch.mlmIds, { mask: batch.mask, image: states }, config.text),
      batch.mlmLabels,
      config,
    ).logits;
  const context = {
    mask: concat([batch.mask, batch.mask, gather(batch.mask, draws.texts)], 0),
    image: concat([image.states, gather(image.states, draws.images), image.states], 0),
  };
  const pairs = concat([text.states, text.states, gather(text.states, draws.texts)], 0);
  return {
    image_feat: image.features,
    text_feat: text.features,
    image_feat_m: keys.features.image,
    text_feat_m: keys.features.text,
    i2t: direction(image.features, keys.features.image, keys.text),
    t2i: direction(text.features, keys.features.text, keys.image),
    itm_logits: matchLogits(p, pairs, context, { config }),
    mlm_logits: masked(p, image.states),
    mlm_logits_m: masked(momentum, keys.imageStates),
    temp: p.temp,
  };
}

/** One step: momentum update, losses, AdamW; with the gradients of the single losses. */
function makeStep(
  layout: ParameterLayout<AlbefSpec>,
  config: AlbefConfig,
  alpha: number,
  decay: number,
) {
  return compile((state: State, batch: Loose, draws: PairNegatives, hyper: { adamw: AdamWStep; key: Tensor }) => {
    const p = layout.unpack(state.optimizer.values), key = randomKey(hyper.key);
    const momentum = ema(state.momentum, p as Tree, decay), { queues } = state;
    const inputs = { ...batch, patches: patchify(batch.image, config.vision.patch) };
    const loss = (weights: AlbefOptions["weights"] = {}, share = alpha) => (own: Albef): [Tensor, Loose] => {
      const options = { negatives: draws, weights };
      const r = albefLoss(own, { momentum, queues, alpha: share }, inputs, { config, key }, options);
      return [r.loss, r];
    };
    const only = (name: "itc" | "itm" | "mlm", weight = 1): Loose =>
      valueAndGradAux(loss({ itc: 0, itm: 0, mlm: 0, [name]: weight }))(p)[1];
    const [total, grads, r] = valueAndGradAux(loss())(p);
    const mlmAt = (alpha: number): Tensor => loss({ itc: 0, itm: 0 }, alpha)(p)[0];
    return {
      state: {
        optimizer: flatAdamW(state.optimizer, layout.pack(grads), layout.buffers, hyper.adamw),
        momentum,
        queues: r.queues,
      },
      out: {
        total,
        ...r.terms,
        grads,
        itcGrads: only("itc"),
        itmGrads: only("itm"),
        mlmGrads: only("mlm"),
        mlmHard: mlmAt(0),
        mlmSoft: mlmAt(1),
        shown: shown(p, state, momentum, inputs, draws, config, alpha),
      } as Loose,
    };
  });
}

/** The values of a tree by path. */
export async function values(tree: Tree): Promise<Map<string, Float32Array>> {
  const found = entries(tree), read_ = await toHost(found.map(([, t]) => t));
  return new Map(found.map(([path], i) => [path, read_[i] as Float32Array]));
}

/** Parameters, momentum copies and queues of the weights beside a file. */
export async function startOf(
  golden: Golden,
  file: string,
  { params, config }: Setting,
): Promise<{ layout: ParameterLayout<AlbefSpec>; state: State }> {
  const layout = new ParameterLayout(albefSpec(config), { bounds: { temp: TEMPERATURE_BOUNDS } });
  const host = new Map(entries(params as Tree).map(([name, t]) => [name, t.node.host as Float32Array]));
  const zeros = (): Tensor[] => layout.buffers.map((b) => tensor(new Float32Array(b.size)));
  const state: State = {
    optimizer: {
      values: layout.packHost((name) => host.get(name)!).map((f) => tensor(f)),
      mu: zeros(),
      nu: zeros(),
    },
    momentum: await golden.parameters(file, momentumEncoders(albefSpec(config)), momentumName),
    queues: queuesOf(await golden.values(golden.sibling(file, "weights"))),
  };
  return { layout, state };
}

async function momentumSet(golden: Golden, file: string): Promise<Verdict> {
  const setting = await settingOf(golden, file), { verdict, config, raw, input } = setting;
  const { layout, state } = await startOf(golden, file, setting);
  const step = makeStep(layout, config, raw.alpha ?? 0.4, raw.momentum ?? 0.995);
  const batch = batchOf(input);
  const steps = Object.keys(verdict.entry.scalars).filter((n) => /^step\d+_loss_mlm$/.test(n)).length;
  let now: State = state;
  for (let t = 0; t < steps; t++) {
    const draws = indices(await golden.values(golden.sibling(file, "inputs")), `draw${t}`);
    const { rate, correction1, correction2 } = stepInputs(raw.lr ?? 1e-4, t + 1);
    const hyper = {
      key: tensor(Uint32Array.of(0, t)),
      adamw: { rate: tensor(rate), correction1: tensor(correction1), correction2: tensor(correction2) },
    };
    const result = await step(now, batch, draws, hyper), out = await values(result.out);
    now = result.state as State;
    await compareStep(verdict, t, out, now);
    if (t === 0) await compareFirst(verdict, out, now);
  }
  step.destroy();
  return verdict;
}

/** The mini-batch of a file. */
export function batchOf(input: Setting["input"]): Record<"image" | "ids" | "mask" | "mlmIds" | "mlmLabels", Tensor> {
  return {
    image: input("image"),
    ids: input("input_ids"),
    mask: input("attention_mask"),
    mlmIds: input("mlm_input_ids"),
    mlmLabels: input("mlm_labels"),
  };
}

/** The negatives that a file forces. */
export function indices(inputs: ReadonlyMap<string, Value>, draw: string): PairNegatives {
  const of = (name: string): Tensor => tensor(Uint32Array.from(inputs.get(`${draw}_${name}_neg_idx`)!.data));
  return { images: of("image"), texts: of("text") };
}

/** Losses, temperature and queues, which the file holds for each step. Later steps are judged as loss curves are. */
async function compareStep(
  verdict: Verdict,
  t: number,
  out: ReadonlyMap<string, Float32Array>,
  state: State,
): Promise<void> {
  const relative = t === 0 ? 2e-5 : 1e-4;
  for (
    const [theirs, ours] of [["loss_mlm", "mlm"], ["loss_ita", "itc"], ["loss_itm", "itm"], [
      "loss_i2t",
      "shown.i2t.loss",
    ], [
      "loss_t2i",
      "shown.t2i.loss",
    ], ["temp", "shown.temp"]] as const
  ) verdict.scalar(`step${t}_${theirs}`, out.get(ours)![0]!, relative);
  const queues = await values(state.queues);
  verdict.scalar(`step${t}_queue_ptr`, queues.get("pointer")![0]!, 0);
  for (const [theirs, ours] of [["image_queue", "images"], ["text_queue", "texts"]] as const) {
    const name = `step${t}.${theirs}`;
    if (verdict.values.has(name)) {
      verdict.forward(name, officialQueue(queues.get(ours)!, verdict.values.get(name)!.shape));
    }
  }
}

/** What {@linkcode shown} gives, as files of the momentum form name it. */
export function compareShown(verdict: Verdict, out: ReadonlyMap<string, Float32Array>): void {
  const features = ["image_feat", "text_feat", "image_feat_m", "text_feat_m"];
  for (const name of [...features, "itm_logits", "mlm_logits", "mlm_logits_m"]) {
    verdict.forward(name, out.get(`shown.${name}`)!);
  }
  for (const direction of ["i2t", "t2i"]) {
    verdict.forward(`sim_${direction}`, out.get(`shown.${direction}.sim`)!);
    verdict.forward(`sim_${direction}_targets`, out.get(`shown.${direction}.targets`)!);
    verdict.forward(`weights_${direction}`, out.get(`shown.${direction}.weights`)!);
  }
}

/** The momentum copies after the step, by path. */
export function compareCopies(verdict: Verdict, copies: ReadonlyMap<string, Float32Array>, prefix = ""): void {
  for (const name of verdict.left.filter((n) => n.startsWith("momentum_after."))) {
    const ours = copies.get(prefix + name.slice("momentum_after.".length).replace(/^([^.]+)_m(?=\.)/, "$1"));
    if (ours) verdict.forward(name, ours);
  }
}

async function compareFirst(verdict: Verdict, out: ReadonlyMap<string, Float32Array>, state: State): Promise<void> {
  compareShown(verdict, out);
  verdict.scalar("mlm_ce_part", out.get("mlmHard")![0]!);
  verdict.scalar("mlm_distill_part", out.get("mlmSoft")![0]!);
  compareGradients(verdict, out);
  for (const [theirs, ours] of [["ita", "itc"], ["itm", "itm"], ["mlm", "mlm"]] as const) {
    compareGradients(verdict, out, `${ours}Grads.`, `grad_${theirs}.`);
  }
  compareCopies(verdict, await values(state.momentum));
}

/** The checks of this file by the name of a set. */
export const momentumSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = {
  momentum_distill: momentumSet,
};
