/**
 * The sets of GRIT-VLP's pre-training: vit, bert_*, mlm, itc, itm, pretrain_step, ln_eps.
 */
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { itcLoss } from "../../src/losses/itc.ts";
import { chooseNegatives } from "../../src/losses/negatives.ts";
import { mlmLoss } from "../../src/losses/mlm.ts";
import {
  type Albef,
  albefSpec,
  encodeImage,
  encodePairs,
  matchLogits,
  TEMPERATURE_BOUNDS,
} from "../../src/models/albef.ts";
import { bertEmbed, bertFusion, bertMultimodal, bertText, mlmTransform } from "../../src/models/bert.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import { vit } from "../../src/models/vit.ts";
import { layerNorm } from "../../src/nn/layers.ts";
import { type AdamWState, flatAdamW, stepInputs } from "../../src/optim/adamw.ts";
import { ParameterLayout } from "../../src/optim/layout.ts";
import { crossEntropy } from "../../src/ops/cross_entropy.ts";
import { add, divide, multiply, subtract } from "../../src/ops/elementwise.ts";
import { full } from "../../src/ops/full.ts";
import { gather } from "../../src/ops/gather.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { randomKey } from "../../src/ops/random.ts";
import { broadcastTo, mean, sum } from "../../src/ops/reduce.ts";
import { concat, reshape } from "../../src/ops/shape.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { entries, type Tree } from "../../src/program/tree.ts";
import { gritLoss } from "../../src/recipes/grit.ts";
import { type Golden, type Loose, toTensor, Verdict } from "./golden.ts";

/** The sizes that a set's config states. */
export function albefConfig(c: Loose): AlbefConfig {
  return {
    vision: {
      resolution: c.image_res,
      patch: c.patch,
      width: c.vision_width,
      depth: c.vision_depth,
      heads: c.vision_heads,
      eps: 1e-6,
    },
    text: {
      vocabulary: c.vocab,
      width: c.text_width,
      layers: c.text_layers,
      fusionLayer: c.fusion_layer,
      heads: c.text_heads,
      intermediate: c.text_intermediate,
      maxPositions: c.max_pos,
      encoderWidth: c.vision_width,
      dropout: 0,
      eps: 1e-12,
      padId: c.pad_id ?? 0,
    },
    embedding: c.embed_dim ?? 8,
  };
}

/** Everything a check has at hand. */
export interface Setting {
  readonly verdict: Verdict;
  readonly config: AlbefConfig;
  readonly params: Albef;
  /** Inputs by name: floats as f32, ids as u32, labels as i32. */
  input(name: string): Tensor;
  readonly raw: Loose;
}

/** Reads inputs and weights beside a file of pre-training. */
export async function settingOf(golden: Golden, file: string): Promise<Setting> {
  const raw = golden.config(file), config = albefConfig(raw);
  const inputs = await golden.values(golden.sibling(file, "inputs"));
  const input = (name: string): Tensor => {
    const value = inputs.get(name);
    return toTensor(value, name.endsWith("labels") ? "i32" : name.endsWith("ids") ? "u32" : "f32");
  };
  const params = await golden.parameters(file, albefSpec(config));
  return { verdict: new Verdict(file, await golden.values(file), golden.entry(file)), config, params, input, raw };
}

/** Runs a traced function once and gives its results by path. */
export async function run(args: Tree[], fn: (...args: Loose[]) => Tree): Promise<Map<string, Float32Array>> {
  const compiled = compile(fn as (...args: Tree[]) => Tree);
  const found = entries(await compiled(...args));
  const values = await toHost(found.map(([, t]) => t));
  compiled.destroy();
  return new Map(found.map(([path], i) => [path, values[i] as Float32Array]));
}

/** Values that were shown while tracing. */
function tapped(): { tap: (name: string, value: Tensor) => void; seen: Record<string, Tensor> } {
  const seen: Record<string, Tensor> = {};
  return { tap: (name, value) => seen[name] = value, seen };
}

/** Compares all gradients of a file (names that begin with `theirs`) with a tree of ours (paths below `prefix`). */
export function compareGradients(
  verdict: Verdict,
  results: ReadonlyMap<string, ArrayLike<number>>,
  prefix = "grads.",
  theirs = "grad.",
): void {
  for (const name of verdict.left.filter((n) => n.startsWith(theirs))) {
    const ours = results.get(prefix + name.slice(theirs.length));
    if (ours) verdict.gradient(name, ours);
  }
}

async function vitSet({ verdict, config, params, input }: Setting): Promise<Verdict> {
  const { tap, seen } = tapped();
  const results = await run([{ params, image: input("image") }, input("R_vit")], (own, weights) => {
    const [loss, grads, out] = valueAndGradAux((q: { params: Albef; image: Tensor }) => {
      const out = vit(q.params.visual_encoder, patchify(q.image, config.vision.patch), config.vision, { tap });
      return [sum(multiply(out, weights)), out];
    })(own);
    return { loss, out, grads: { ...grads.params, image: grads.image }, ...seen };
  });
  verdict.scalar("loss", results.get("loss")![0]!);
  verdict.forward("out", results.get("out")!);
  if (verdict.values.has("patch_tokens")) verdict.forward("patch_tokens", results.get("patches")!);
  for (const name of verdict.left.filter((n) => /^block\d+_out$/.test(n))) {
    verdict.forward(name, results.get(name.slice(0, -4))!);
  }
  compareGradients(verdict, results);
  return verdict;
}

async function bertSet(
  { verdict, config, params, input }: Setting,
  mode: "text" | "fusion" | "multimodal",
): Promise<Verdict> {
  const { tap, seen } = tapped();
  const args = {
    params,
    ...(mode === "text" ? {} : { image_embeds: input("image_embeds") }),
    ...(mode === "fusion" ? { encoder_embeds: input("encoder_embeds") } : {}),
  };
  const constants = {
    weights: input(`R_${mode}`),
    mask: input("attention_mask"),
    ids: input("input_ids"),
    ...(mode === "multimodal" ? { seen: input("image_atts_partial") } : {}),
  };
  const results = await run([args, constants], (own, c) => {
    const [loss, grads, out] = valueAndGradAux((q: Loose) => {
      const context = {
        mask: c.mask,
        tap,
        ...(q.image_embeds ? { image: q.image_embeds } : {}),
        ...(c.seen ? { imageMask: c.seen } : {}),
      };
      const encoder = q.params.text_encoder;
      const out = mode === "text"
        ? bertText(encoder, c.ids, context, config.text)
        : mode === "fusion"
        ? bertFusion(encoder, q.encoder_embeds, context, config.text)
        : bertMultimodal(encoder, c.ids, context, config.text);
      return [sum(multiply(out, c.weights)), out];
    })(own);
    const { params: own_, ...others } = grads as Loose;
    return { loss, out, grads: { ...own_, ...others }, ...seen };
  });
  verdict.scalar("loss", results.get("loss")![0]!);
  verdict.forward("out", results.get("out")!);
  for (const name of verdict.left.filter((n) => n.startsWith("hidden"))) verdict.forward(name, results.get(name)!);
  compareGradients(verdict, results);
  return verdict;
}

async function mlmSet({ verdict, config, params, input }: Setting): Promise<Verdict> {
  const args = { params, image_embeds: input("image_embeds") };
  const constants = { ids: input("mlm_input_ids"), labels: input("mlm_labels"), mask: input("attention_mask") };
  const results = await run([args, constants], (own, c) => {
    const [loss, grads, logits] = valueAndGradAux((q: typeof args) => {
      const states = bertMultimodal(q.params.text_encoder, c.ids, { mask: c.mask, image: q.image_embeds }, config.text);
      const { loss, logits } = headOf(q.params, states, c.labels, config);
      return [loss, logits];
    })(own);
    return { loss, logits, grads: { ...grads.params, image_embeds: grads.image_embeds } };
  });
  verdict.scalar("loss", results.get("loss")![0]!);
  verdict.forward("logits", results.get("logits")!);
  compareGradients(verdict, results);
  return verdict;
}

/** The MLM loss, and the logits that it does not keep. */
export function headOf(
  p: Pick<Albef, "text_encoder">,
  states: Tensor,
  labels: Tensor,
  { text }: AlbefConfig,
): { loss: Tensor; logits: Tensor } {
  const words = p.text_encoder.bert.embeddings.word_embeddings.weight, { bias } = p.text_encoder.cls.predictions;
  const transformed = mlmTransform(p.text_encoder, states, text);
  return {
    loss: mlmLoss({ queries: transformed, keys: words, bias }, labels),
    logits: add(matmul(transformed, words, { transposeB: true }), bias),
  };
}

/** Inputs of a whole pre-training step. */
function stepInput({ input, config }: Setting): Loose {
  const batch: Loose = {};
  for (
    const [ours, theirs] of [["ids", "input_ids"], ["mask", "attention_mask"], ["mlmIds", "mlm_input_ids"], [
      "mlmLabels",
      "mlm_labels",
    ]] as const
  ) {
    try {
      batch[ours] = input(theirs);
    } catch { /* a set without MLM */ }
  }
  return { ...batch, image: input("image"), patch: undefined, ...(config ? {} : {}) };
}

async function itcSet(setting: Setting): Promise<Verdict> {
  const { verdict, config, params } = setting, { patch: _, ...batch } = stepInput(setting);
  const results = await run([params, batch], (own, c) => {
    const [loss, grads, aux] = valueAndGradAux((p: Albef) => {
      const { features } = encodePairs(p, { ...c, patches: patchify(c.image, config.vision.patch) }, { config });
      const { image, text } = features;
      const scaled = (a: Tensor, b: Tensor): Tensor => divide(matmul(a, b, { transposeB: true }), p.temp);
      const aux = {
        image,
        text,
        i2t: scaled(image, text),
        t2i: scaled(text, image),
        hard: itcLoss(features, p.temp, { consistency: 0 }),
      };
      return [itcLoss(features, p.temp), aux];
    })(own);
    return { loss, grads, ...aux };
  });
  const of = (name: string): number => setting.verdict.entry.scalars[name].value;
  verdict.scalar("loss_ita", results.get("loss")![0]!);
  verdict.close("loss_i2t + loss_t2i", [results.get("hard")![0]!], [(of("loss_i2t") + of("loss_t2i")) / 2], 1e-4);
  const soft = (results.get("loss")![0]! - results.get("hard")![0]!) / 0.2;
  verdict.close("loss_c_i2t + loss_c_t2i", [soft], [(of("loss_c_i2t") + of("loss_c_t2i")) / 2], 1e-4);
  verdict.forward("image_feat", results.get("image")!);
  verdict.forward("text_feat", results.get("text")!);
  verdict.forward("sim_i2t", results.get("i2t")!);
  verdict.forward("sim_t2i", results.get("t2i")!);
  compareGradients(verdict, results);
  return verdict;
}

async function itmSet(setting: Setting): Promise<Verdict> {
  const { verdict, config, params } = setting, { patch: _, ...batch } = stepInput(setting);
  const key = randomKey(tensor(Uint32Array.of(0, 0))), labels = toTensor(verdict.values.get("labels"), "i32");
  const results = await run([params, batch, labels], (own, c, labels) => {
    const [loss, grads, aux] = valueAndGradAux((p: Albef) => {
      const patches = patchify(c.image, config.vision.patch);
      const { image, text } = encodePairs(p, { ...c, patches }, { config });
      const i2t = divide(matmul(image.features, text.features, { transposeB: true }), p.temp);
      const t2i = divide(matmul(text.features, image.features, { transposeB: true }), p.temp);
      const images = chooseNegatives(t2i, "top1", key), texts = chooseNegatives(i2t, "top1", key);
      const options = { negatives: "top1", itcWeight: 0, mlmWeight: 0 } as const;
      const r = gritLoss(p, { ...c, patches }, { config, key }, options);
      const states = concat([text.states, text.states, gather(text.states, texts)], 0);
      const context = {
        mask: concat([c.mask, c.mask, gather(c.mask, texts)], 0),
        image: concat([image.states, gather(image.states, images), image.states], 0),
      };
      const logits = matchLogits(p, states, context, { config });
      return [r.loss, {
        i2t: zeroDiagonal(softmax(i2t)),
        t2i: zeroDiagonal(softmax(t2i)),
        images,
        texts,
        logits,
        labelled: mean(crossEntropy(logits, labels)[0]),
      }];
    })(own);
    return { loss, grads, ...aux };
  });
  verdict.scalar("loss_itm", results.get("loss")![0]!);
  verdict.forward("weights_i2t", results.get("i2t")!);
  verdict.forward("weights_t2i", results.get("t2i")!);
  verdict.exact("image_neg_idx", results.get("images")!);
  verdict.exact("text_neg_idx", results.get("texts")!);
  verdict.forward("logits", results.get("logits")!);
  // Our labels are inside the loss: it must be that of our logits with the official ones.
  verdict.skip("labels");
  verdict.close("loss by the official labels", results.get("labelled")!, results.get("loss")!, 1e-6);
  compareGradients(verdict, results);
  return verdict;
}

/** A square matrix without its diagonal. */
export function zeroDiagonal(x: Tensor): Tensor {
  const n = x.shape[0]!;
  const eye = tensor(Float32Array.from({ length: n * n }, (_, i) => i % (n + 1) === 0 ? 1 : 0), [n, n]);
  return multiply(x, subtract(1, eye));
}

/** Values of the parameters after `steps` steps on one batch, with the losses and negatives of each. */
async function trainOn(setting: Setting, rate: number, steps: number): Promise<Loose> {
  const { config, params } = setting, { patch: _, ...batch } = stepInput(setting);
  const layout = new ParameterLayout(albefSpec(config), { bounds: { temp: TEMPERATURE_BOUNDS } });
  const host = new Map(entries(params as Tree).map(([name, t]) => [name, t.node.host as Float32Array]));
  const flat = layout.packHost((name) => host.get(name)!).map((f) => tensor(f));
  const zeros = (): Tensor[] => layout.buffers.map((b) => tensor(new Float32Array(b.size)));
  let state: AdamWState = { values: flat, mu: zeros(), nu: zeros() };
  const step = compile((state: AdamWState, c: Loose, hyper: Loose) => {
    const p = layout.unpack(state.values) as Albef;
    const [loss, grads, r] = valueAndGradAux((p: Albef) => {
      const patches = patchify(c.image, config.vision.patch), key = randomKey(hyper.key);
      const r = gritLoss(p, { ...c, patches }, { config, key }, { negatives: "top1" });
      return [r.loss, r];
    })(p);
    return {
      state: flatAdamW(state, layout.pack(grads), layout.buffers, hyper.step),
      loss,
      r: r as Loose,
      grads: grads as Loose,
    };
  }, { donate: [0] });
  const rows: Loose[] = [];
  for (let t = 1; t <= steps; t++) {
    const { rate: lr, correction1, correction2 } = stepInputs(rate, t);
    const hyper = {
      key: tensor(Uint32Array.of(1, t)),
      step: { rate: tensor(lr), correction1: tensor(correction1), correction2: tensor(correction2) },
    };
    const out = await step(state, batch, hyper);
    state = out.state;
    const shown = {
      loss: out.loss,
      ...out.r.terms,
      ...out.r.negatives,
      ...(t === 1 ? { grads: out.grads } : {}),
    };
    const found = entries(shown as Tree), values = await toHost(found.map(([, x]) => x));
    rows.push(Object.fromEntries(found.map(([path], i) => [path, values[i]])));
  }
  step.destroy();
  const values = await toHost(state.values);
  return { rows, after: layout.unpackHost(values as Float32Array[]), layout };
}

async function pretrainSet(setting: Setting): Promise<Verdict> {
  const { verdict, config, params, input } = setting, { scalars } = verdict.entry;
  const { rows, after, layout } = await trainOn(setting, 1e-4, 1);
  const first = rows[0];
  verdict.scalar("loss_total", first.loss[0]);
  verdict.scalar("loss_mlm", first.mlm[0]);
  verdict.scalar("loss_ita", first.itc[0]);
  verdict.scalar("loss_itm", first.itm[0]);
  for (const name of verdict.left.filter((n) => n.startsWith("grad."))) {
    verdict.gradient(name, first[`grads.${name.slice(5)}`]);
  }
  for (const name of verdict.left.filter((n) => n.startsWith("after."))) {
    const own = after.get(name.slice(6));
    if (own) verdict.after(name, own.data, verdict.values.get(`grad.${name.slice(6)}`)?.data);
  }
  const { notDecayed } = layout.decayGroups();
  verdict.holds(
    "no_decay_params",
    String(notDecayed.sort()) === String([...scalars.no_decay_params].sort()),
  );
  const logits = await run([params, {
    image: input("image"),
    ids: input("mlm_input_ids"),
    labels: input("mlm_labels"),
    mask: input("attention_mask"),
  }], (p, c) => {
    const { states } = encodeImage(p, patchify(c.image, config.vision.patch), { config });
    return {
      logits:
        headOf(p, bertMultimodal(p.text_encoder, c.ids, { mask: c.mask, image: states }, config.text), c.labels, config)
          .logits,
    };
  });
  verdict.forward("mlm_logits", logits.get("logits")!);
  await compareCurves(setting);
  return verdict;
}

/** The loss curves: keys of the index such as `curve_5_steps_lr1e-4`, with losses and negatives step by step. */
async function compareCurves(setting: Setting): Promise<void> {
  const { verdict } = setting;
  for (const [name, curve] of Object.entries(verdict.entry.scalars) as [string, Loose][]) {
    const shape = /^curve_(\d+)_steps_lr(.+)$/.exec(name);
    if (!shape) continue;
    const { rows } = await trainOn(setting, Number(shape[2]), Number(shape[1]));
    for (const [theirs, ours] of [["total", "loss"], ["mlm", "mlm"], ["ita", "itc"], ["itm", "itm"]] as const) {
      rows.forEach((row: Loose, t: number) => {
        const reference = curve[theirs].value[t];
        verdict.close(`${name}.${theirs}[${t}]`, row[ours], [reference], 1e-4 * Math.abs(reference));
      });
    }
    rows.forEach((row: Loose, t: number) => {
      verdict.close(`${name}.neg[${t}] images`, row.images, curve.neg[t][0], 0.5);
      verdict.close(`${name}.neg[${t}] texts`, row.texts, curve.neg[t][1], 0.5);
    });
  }
}

async function lnEpsSet({ verdict, config, params, input }: Setting): Promise<Verdict> {
  const results = await run(
    [params, { image: input("image"), ids: input("input_ids"), mask: input("attention_mask") }],
    (p, c) => {
      const v = p.visual_encoder, small = (x: Tensor): Tensor => multiply(x, 1e-3);
      const patches = patchify(c.image, config.vision.patch),
        [batch, , features] = patches.shape as [number, number, number];
      const { weight, bias } = v.patch_embed.proj, { width } = config.vision;
      const tokens = add(matmul(patches, reshape(small(weight), [width, features]), { transposeB: true }), small(bias));
      const x = add(concat([broadcastTo(small(v.cls_token), [batch, 1, width]), tokens], 1), small(v.pos_embed));
      const { embeddings } = p.text_encoder.bert;
      const tiny = (e: { weight: Tensor }): { weight: Tensor } => ({ weight: multiply(e.weight, 1e-6) });
      const shrunken = {
        ...p.text_encoder,
        bert: {
          ...p.text_encoder.bert,
          embeddings: {
            word_embeddings: tiny(embeddings.word_embeddings),
            position_embeddings: tiny(embeddings.position_embeddings),
            token_type_embeddings: tiny(embeddings.token_type_embeddings),
            LayerNorm: embeddings.LayerNorm,
          },
        },
      };
      return {
        vit: layerNorm(v.blocks[0]!.norm1, x, config.vision.eps),
        bert: bertEmbed(shrunken, c.ids, {}, config.text),
        unused: full([], 0),
      };
    },
  );
  verdict.forward("vit_norm1_block0", results.get("vit")!, 1e-4);
  verdict.forward("bert_embedding_out", results.get("bert")!, 1e-4);
  return verdict;
}

/** The checks of this file by the name of a set. */
export const coreSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = {
  vit: async (g, f) => await vitSet(await settingOf(g, f)),
  bert_text: async (g, f) => await bertSet(await settingOf(g, f), "text"),
  bert_fusion: async (g, f) => await bertSet(await settingOf(g, f), "fusion"),
  bert_multimodal: async (g, f) => await bertSet(await settingOf(g, f), "multimodal"),
  mlm: async (g, f) => await mlmSet(await settingOf(g, f)),
  itc: async (g, f) => await itcSet(await settingOf(g, f)),
  itm: async (g, f) => await itmSet(await settingOf(g, f)),
  pretrain_step: async (g, f) => await pretrainSet(await settingOf(g, f)),
  ln_eps: async (g, f) => await lnEpsSet(await settingOf(g, f)),
};
