/** The set of TCL: six contrastive terms, matching and MLM of one step, then a loss curve. */
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { imageLocals, textLocals } from "../../src/losses/local.ts";
import type { PairNegatives } from "../../src/losses/negatives.ts";
import type { Albef, AlbefSpec } from "../../src/models/albef.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import { encodeKeys, type MomentumEncoders } from "../../src/models/momentum.ts";
import { type AdamWStep, ema, flatAdamW, stepInputs } from "../../src/optim/adamw.ts";
import type { ParameterLayout } from "../../src/optim/layout.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { randomKey } from "../../src/ops/random.ts";
import { compile, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { entries, type Tree } from "../../src/program/tree.ts";
import type { AlbefOptions } from "../../src/recipes/albef.ts";
import { type TclLoss, tclLoss } from "../../src/recipes/tcl.ts";
import { compareGradients, run, settingOf } from "./core.ts";
import type { Golden, Loose, Verdict } from "./golden.ts";
import {
  batchOf,
  compareCopies,
  compareShown,
  indices,
  officialQueue,
  shown,
  similarities,
  startOf,
  type State,
  values,
} from "./momentum.ts";

/** The six terms by the names of the file. */
const TERMS = {
  i2t: "i2t",
  t2i: "t2i",
  i2i: "i2i",
  t2t: "t2t",
  i2i_local: "i2iLocal",
  t2t_local: "t2tLocal",
} as const;

/** What does not change from step to step. */
interface Fixed {
  readonly layout: ParameterLayout<AlbefSpec>;
  readonly config: AlbefConfig;
  readonly alpha: number;
  readonly decay: number;
}

async function tclSet(golden: Golden, file: string): Promise<Verdict> {
  const setting = await settingOf(golden, file), { verdict, config, raw, input } = setting;
  const { layout, state } = await startOf(golden, file, setting);
  const fixed: Fixed = { layout, config, alpha: raw.alpha ?? 0.4, decay: raw.momentum ?? 0.995 };
  const batch = { ...batchOf(input), second: input("image_aug") };
  const draws = indices(await golden.values(golden.sibling(file, "inputs")), "draw");
  await compareFirst(verdict, fixed, state, batch, draws);
  for (const name of Object.keys(verdict.entry.scalars).filter((n) => n.startsWith("curve_"))) {
    await compareCurve(verdict, name, fixed, state, batch, draws);
  }
  return verdict;
}

/** The momentum side moves on, then the losses as a function of the parameters. */
function stepOf({ config, alpha, decay }: Fixed, p: Albef, state: State, batch: Loose, draws: PairNegatives) {
  const momentum = ema(state.momentum, p as Tree, decay) as MomentumEncoders;
  const { image, second, ...texts } = batch, { patch } = config.vision;
  const pairs = { ...texts, patches: patchify(image, patch), secondPatches: patchify(second, patch) };
  const loss = (p: Albef, weights: AlbefOptions["weights"] = {}): TclLoss =>
    tclLoss(p, { momentum, queues: state.queues, alpha }, pairs, { config, key: randomKey(tensor(KEY)) }, {
      negatives: draws,
      weights,
    });
  return { momentum, pairs, loss };
}

/** There is no dropout and negatives are given: nothing is drawn. */
const KEY = Uint32Array.of(0, 0);

async function compareFirst(
  verdict: Verdict,
  fixed: Fixed,
  state: State,
  batch: Loose,
  draws: PairNegatives,
): Promise<void> {
  const stored = new Set(verdict.left);
  const out = await run([state, batch, draws], (state: State, batch, draws) => {
    const p = fixed.layout.unpack(state.optimizer.values) as Albef, { config, alpha } = fixed;
    const { momentum, pairs, loss } = stepOf(fixed, p, state, batch, draws);
    const seen = { ...pairs, patches: pairs.secondPatches };
    /** Those gradients of a term that the file has. */
    const only = (name: string, term: (p: Albef) => Tensor): Loose => {
      const [, grads] = valueAndGradAux((p: Albef): [Tensor, null] => [term(p), null])(p);
      return Object.fromEntries(entries(grads as Tree).filter(([path]) => stored.has(`grad_${name}.${path}`)));
    };
    const parts = Object.fromEntries([
      ...(["itc", "itm", "mlm"] as const).map((term) => {
        const name = term === "itc" ? "ita" : term;
        return [name, only(name, (p) => loss(p, { itc: 0, itm: 0, mlm: 0, [term]: 1 }).loss)];
      }),
      ...Object.entries(TERMS).map((
        [name, term],
      ) => [name, only(name, (p) => loss(p, { itm: 0, mlm: 0 }).alignment![term])]),
    ]);
    const [total, grads, r] = valueAndGradAux((p: Albef): [Tensor, TclLoss] => {
      const r = loss(p);
      return [r.loss, r];
    })(p);
    const values = shown(p, state, momentum, pairs, draws, config, alpha, seen);
    const keys = encodeKeys(momentum, state.queues, seen, { config });
    const simOf = (features: Tensor, own: Tensor, all: Tensor): Tensor => similarities(features, own, all, p.temp).sim;
    return {
      total,
      terms: r.terms,
      alignment: r.alignment!,
      grads,
      parts,
      momentum,
      queues: r.queues,
      shown: values,
      locals: {
        image: imageLocals(momentum.vision_proj, keys.imageStates).features,
        text: textLocals(momentum.text_proj, keys.textStates, pairs.mask).features,
      },
      sim: {
        i2i: simOf(values.image_feat, keys.features.image, keys.image),
        t2t: simOf(values.text_feat, keys.features.text, keys.text),
      },
    } as Loose;
  });
  compareShown(verdict, out);
  for (const side of ["image", "text"]) {
    verdict.forward(`${side}_local_m`, out.get(`locals.${side}`)!);
    const name = `${side}_queue_after`;
    verdict.forward(name, officialQueue(out.get(`queues.${side}s`)!, verdict.values.get(name)!.shape));
  }
  verdict.scalar("queue_ptr_after", out.get("queues.pointer")![0]!, 0);
  for (const direction of ["i2i", "t2t"]) verdict.forward(`sim_${direction}`, out.get(`sim.${direction}`)!);
  for (const [theirs, ours] of Object.entries(TERMS)) {
    verdict.scalar(`loss_${theirs}`, out.get(`alignment.${ours}`)![0]!);
  }
  for (const [theirs, ours] of [["ita", "itc"], ["itm", "itm"], ["mlm", "mlm"]] as const) {
    verdict.scalar(`loss_${theirs}`, out.get(`terms.${ours}`)![0]!);
  }
  verdict.scalar("loss_total", out.get("total")![0]!);
  compareGradients(verdict, out);
  for (const name of [...Object.keys(TERMS), "ita", "itm", "mlm"]) {
    compareGradients(verdict, out, `parts.${name}.`, `grad_${name}.`);
  }
  const unreached: readonly string[] = verdict.entry.scalars.no_grad_params ?? [];
  verdict.holds("no_grad_params", unreached.every((name) => out.get(`grads.${name}`)!.every((g) => g === 0)));
  compareCopies(verdict, out, "momentum.");
}

/** A curve such as `curve_5_steps_lr1e-3`: AdamW on one mini-batch; queues, pointer and momentum copies move along. */
async function compareCurve(
  verdict: Verdict,
  name: string,
  fixed: Fixed,
  start: State,
  batch: Loose,
  draws: PairNegatives,
): Promise<void> {
  const [, count, rate] = /^curve_(\d+)_steps_lr(.+)$/.exec(name)!, { layout } = fixed;
  const train = compile((state: State, batch: Loose, draws: PairNegatives, hyper: AdamWStep) => {
    const p = layout.unpack(state.optimizer.values) as Albef;
    const { momentum, loss } = stepOf(fixed, p, state, batch, draws);
    const [, grads, r] = valueAndGradAux((p: Albef): [Tensor, TclLoss] => {
      const r = loss(p);
      return [r.loss, r];
    })(p);
    const optimizer = flatAdamW(state.optimizer, layout.pack(grads), layout.buffers, hyper);
    const { temp } = layout.unpack(optimizer.values) as Albef, { mlm, itc, itm } = r.terms;
    return {
      state: { optimizer, momentum, queues: r.queues },
      shown: { mlm: mlm!, ita: itc!, itm: itm!, temp, queue_ptr: r.queues.pointer },
    };
  });
  const curve: Record<string, { value: number[] } | number[]> = verdict.entry.scalars[name];
  let state = start;
  for (let t = 0; t < Number(count); t++) {
    const { rate: lr, correction1, correction2 } = stepInputs(Number(rate), t + 1);
    const hyper = { rate: tensor(lr), correction1: tensor(correction1), correction2: tensor(correction2) };
    const result = await train(state, batch, draws, hyper);
    state = result.state as State;
    const now = await values(result.shown);
    for (const [what, stated] of Object.entries(curve)) {
      const reference = Array.isArray(stated) ? stated : stated.value;
      verdict.close(`${name}.${what}: steps`, [Number(count)], [reference.length], 0.5);
      const tolerance = what === "queue_ptr" ? 0.5 : 1e-4 * Math.abs(reference[t]!);
      verdict.close(`${name}.${what}[${t}]`, now.get(what)!, [reference[t]!], tolerance);
    }
  }
  train.destroy();
}

/** The checks of this file by the name of a set. */
export const tclSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = { tcl: tclSet };
