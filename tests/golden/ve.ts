/** The set of visual entailment: logits, losses and gradients with and without a momentum model, loss curves. */
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { firstToken } from "../../src/models/albef.ts";
import { bertMultimodal } from "../../src/models/bert.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import { type Entailment, entailmentSpec } from "../../src/models/entailment.ts";
import { vit } from "../../src/models/vit.ts";
import { type AdamWState, type AdamWStep, ema, flatAdamW, stepInputs } from "../../src/optim/adamw.ts";
import { ParameterLayout } from "../../src/optim/layout.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { entries, type Tree } from "../../src/program/tree.ts";
import { entailmentLoss } from "../../src/recipes/entailment.ts";
import { albefConfig, compareGradients, run } from "./core.ts";
import { type Golden, type Loose, toTensor, Verdict } from "./golden.ts";
import { momentumName } from "./momentum.ts";

interface Setting {
  readonly verdict: Verdict;
  readonly config: AlbefConfig;
  readonly raw: Loose;
  readonly params: Entailment;
  /** The momentum model as it starts. */
  readonly copies: Entailment;
  /** image [B, 3, H, W], ids, mask, labels. */
  readonly batch: Loose;
}

async function entailmentSet(golden: Golden, file: string): Promise<Verdict> {
  const raw = golden.config(file), config = albefConfig(raw), spec = entailmentSpec(config);
  const inputs = await golden.values(golden.sibling(file, "inputs"));
  const verdict = new Verdict(file, await golden.values(file), golden.entry(file));
  const setting: Setting = {
    verdict,
    config,
    raw,
    params: await golden.parameters(file, spec),
    copies: await golden.parameters(file, spec, momentumName),
    batch: {
      image: toTensor(inputs.get("image")),
      ids: toTensor(inputs.get("input_ids"), "u32"),
      mask: toTensor(inputs.get("attention_mask")),
      labels: toTensor(inputs.get("targets"), "i32"),
    },
  };
  await comparePlain(setting);
  await compareDistilled(setting);
  for (const name of Object.keys(verdict.entry.scalars).filter((n) => n.startsWith("curve_"))) {
    await compareCurve(setting, name);
  }
  return verdict;
}

/** Loss, logits and gradients, with a momentum model where there are copies. */
function step(setting: Setting, p: Entailment, batch: Loose, copies?: Entailment): Loose {
  const { config, raw } = setting, pairs = { ...batch, patches: patchify(batch.image, config.vision.patch) };
  const model = copies && ema(copies, p, raw.momentum ?? 0.995);
  const [loss, grads, r] = valueAndGradAux((p: Entailment) => {
    const r = entailmentLoss(p, pairs, { config }, model && { model, alpha: raw.alpha ?? 0.4 });
    return [r.loss, r];
  })(p);
  return { loss, grads, logits: r.logits, ...model ? { model, momentumLogits: r.momentumLogits! } : {} };
}

async function comparePlain(setting: Setting): Promise<void> {
  const { verdict, config, params, batch } = setting, { scalars } = verdict.entry;
  const results = await run([params, batch], (p: Entailment, b) => {
    const image = vit(p.visual_encoder, patchify(b.image, config.vision.patch), config.vision);
    const states = bertMultimodal({ bert: p.text_encoder }, b.ids, { mask: b.mask, image }, config.text);
    return { ...step(setting, p, b), cls: firstToken(states) };
  });
  verdict.scalar("loss", results.get("loss")![0]!);
  verdict.forward("prediction", results.get("logits")!);
  verdict.forward("fused_cls", results.get("cls")!);
  const labels = batch.labels.node.host as Int32Array, rows = byRow(results.get("logits")!, labels.length);
  const classes = rows.map((row) => row.indexOf(Math.max(...row)));
  verdict.close("predicted_class", classes, scalars.predicted_class, 0.5);
  verdict.close("eval_correct", [classes.filter((c, i) => c === labels[i]).length], [scalars.eval_correct], 0.5);
  const margins = rows.map((row) => row.toSorted((a, b) => b - a)).map(([best, second]) => best! - second!);
  verdict.scalar("min_margin_best_second_logit", Math.min(...margins), 1e-3);
  const unreached = (scalars.no_grad_params as string[]).every((name) =>
    results.get(`grads.${name}`)!.every((g) => g === 0)
  );
  verdict.holds("no_grad_params", unreached);
  // A file may hold gradients that were cleared before they were stored. Its loss curve, which falls, says what they were worth.
  const stored = verdict.left.filter((name) => name.startsWith("grad."));
  if (stored.some((name) => verdict.values.get(name)!.data.some((g) => g !== 0))) {
    compareGradients(verdict, results);
  } else if (stored.length) {
    verdict.skip(...stored);
    verdict.remarks.push(
      `the file's ${stored.length} "grad.*" are all 0, so that its loss could not fall: not compared`,
    );
  }
}

async function compareDistilled(setting: Setting): Promise<void> {
  const { verdict, raw, params, copies, batch } = setting, alpha: number = raw.alpha ?? 0.4;
  const results = await run([params, copies, batch], (p, copies, b) => step(setting, p, b, copies));
  const loss = results.get("loss")![0]!, hard: number = verdict.entry.scalars.loss.value;
  verdict.scalar("distill_loss", loss);
  verdict.scalar("distill_soft_part", (loss - (1 - alpha) * hard) / alpha, 1e-4);
  verdict.forward("prediction_m", results.get("momentumLogits")!);
  compareGradients(verdict, results, "grads.", "grad_distill.");
  for (const [path, copy] of results) {
    const name = `momentum_after.${momentumName(path.slice("model.".length))}`;
    if (path.startsWith("model.") && verdict.values.has(name)) verdict.forward(name, copy);
  }
}

/** A curve such as `curve_5_steps_lr1e-3_distill`: AdamW on one batch, the momentum model moving along. */
async function compareCurve(setting: Setting, name: string): Promise<void> {
  const { verdict, config, params, copies, batch } = setting;
  const [, count, rate, kind] = /^curve_(\d+)_steps_lr(.+)_(plain|distill)$/.exec(name)!;
  const layout = new ParameterLayout(entailmentSpec(config));
  const host = new Map(entries(params as Tree).map(([path, t]) => [path, t.node.host as Float32Array]));
  const zeros = (): Tensor[] => layout.buffers.map((b) => tensor(new Float32Array(b.size)));
  const values = layout.packHost((path) => host.get(path)!).map((f) => tensor(f));
  type State = { optimizer: AdamWState; model?: Tree };
  let state: State = {
    optimizer: { values, mu: zeros(), nu: zeros() },
    ...(kind === "distill" ? { model: copies as Tree } : {}),
  };
  const train = compile((state: State, batch: Loose, hyper: AdamWStep) => {
    const p = layout.unpack(state.optimizer.values) as Entailment;
    const { loss, grads, model } = step(setting, p, batch, state.model as Entailment | undefined);
    const optimizer = flatAdamW(state.optimizer, layout.pack(grads), layout.buffers, hyper);
    return { state: { optimizer, ...(model ? { model } : {}) }, loss: loss as Tensor };
  });
  const losses: number[] = [];
  for (let t = 1; t <= Number(count); t++) {
    const { rate: lr, correction1, correction2 } = stepInputs(Number(rate), t);
    const hyper = { rate: tensor(lr), correction1: tensor(correction1), correction2: tensor(correction2) };
    const result = await train(state, batch, hyper);
    state = result.state;
    losses.push((await toHost([result.loss]))[0]![0]!);
  }
  train.destroy();
  const reference: number[] = verdict.entry.scalars[name].value;
  verdict.close(`${name}: steps`, [losses.length], [reference.length], 0.5);
  losses.forEach((loss, t) => verdict.close(`${name}[${t}]`, [loss], [reference[t]!], 1e-4 * Math.abs(reference[t]!)));
}

function byRow(values: ArrayLike<number>, rows: number): number[][] {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, row) => Array.from(values).slice(row * width, (row + 1) * width));
}

/** The checks of this file by the name of a set. */
export const entailmentSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = {
  ve: entailmentSet,
};
