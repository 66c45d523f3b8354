/** The set of ViLT: embeddings, both passes, the transport plan, the three losses and their gradients. */
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { innerPatches, innerWords } from "../../src/losses/optimal_transport.ts";
import {
  type Vilt,
  type ViltConfig,
  type ViltContext,
  viltImageEmbed,
  viltSpec,
  viltStates,
  viltVocabularyLogits,
} from "../../src/models/vilt.ts";
import { add, subtract } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { tensor } from "../../src/program/compile.ts";
import { viltLoss } from "../../src/recipes/vilt.ts";
import { compareGradients, run } from "./core.ts";
import { type Golden, type Loose, toTensor, type Value, Verdict } from "./golden.ts";

/** The sizes that a set's config states. */
function viltConfig(c: Loose): ViltConfig {
  const { image_res: resolution, patch, width, depth, heads } = c;
  return {
    vision: { resolution, patch, width, depth, heads, intermediate: (c.mlp_ratio ?? 4) * width, eps: 1e-6 },
    text: { vocabulary: c.vocab, maxPositions: c.max_text_len, dropout: 0, eps: 1e-12, padId: c.pad_id ?? 0 },
  };
}

/** Rows * columns of each image: patches in the first column and row whose upper left pixel does not sum to 0. */
function gridSizes({ shape, data }: Value, patch: number): number[] {
  const [count, channels, height, width] = shape as [number, number, number, number];
  const own = (b: number, y: number, x: number): number => {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += data[((b * channels + c) * height + y) * width + x]!;
    return sum !== 0 ? 1 : 0;
  };
  return Array.from({ length: count }, (_, b) => {
    let rows = 0, columns = 0;
    for (let y = 0; y < height; y += patch) rows += own(b, y, 0);
    for (let x = 0; x < width; x += patch) columns += own(b, 0, x);
    return rows * columns;
  });
}

/** Everything that the comparisons have at hand. */
interface Setting {
  readonly verdict: Verdict;
  readonly raw: Loose;
  readonly params: Vilt;
  readonly batch: Loose;
  /** How the pass with the own images runs, that of ITM, and both in one. */
  readonly contexts: { readonly own: ViltContext; readonly shown: ViltContext; readonly both: ViltContext };
}

async function settingOf(golden: Golden, file: string): Promise<Setting> {
  const raw = golden.config(file), config = viltConfig(raw), { patch } = config.vision;
  const inputs = await golden.values(golden.sibling(file, "inputs"));
  const image = inputs.get("image")!, other = inputs.get("false_image")!, [count, , height, width] = image.shape;
  // The first half of the pairs is true, then all are permuted.
  const labels: number[] = raw.label_permutation.map((i: number) => i < Math.floor(count! / 2) ? 1 : 0);
  const own = gridSizes(image, patch), others = gridSizes(other, patch);
  const shown = labels.map((label, b) => (label ? own : others)[b]!);
  const context = (sizes: number[]): ViltContext => ({
    config,
    grid: [height! / patch, width! / patch],
    rule: "pixel",
    mostPatches: Math.max(...sizes),
  });
  return {
    verdict: new Verdict(file, await golden.values(file), golden.entry(file)),
    raw,
    params: await golden.parameters(file, viltSpec(config)),
    batch: {
      image: toTensor(image),
      other: toTensor(other),
      ids: toTensor(inputs.get("input_ids"), "u32"),
      mask: toTensor(inputs.get("attention_mask")),
      mlmIds: toTensor(inputs.get("mlm_input_ids"), "u32"),
      mlmLabels: toTensor(inputs.get("mlm_labels"), "i32"),
      matches: tensor(Int32Array.from(labels)),
    },
    contexts: { own: context(own), shown: context(shown), both: context([...own, ...shown]) },
  };
}

async function viltSet(golden: Golden, file: string): Promise<Verdict> {
  const setting = await settingOf(golden, file);
  await comparePasses(setting);
  await compareLosses(setting);
  return setting.verdict;
}

/** The mini-batch as the loss takes it. */
function pairs({ image, other, ...texts }: Loose, { config: { vision } }: ViltContext): Loose {
  return {
    ...texts,
    images: { patches: patchify(image, vision.patch) },
    falseImages: { patches: patchify(other, vision.patch) },
  };
}

async function comparePasses({ verdict, raw, params, batch, contexts }: Setting): Promise<void> {
  const transport = { beta: raw.ot_beta ?? 0.5, rounds: raw.ot_iterations ?? 50 };
  const results = await run([params, batch], (p: Vilt, b) => {
    const all = pairs(b, contexts.own), { embeddings, mask, row, column } = viltImageEmbed(p, all.images, contexts.own);
    const { pooled, text, image } = viltStates(p, b, all.images, contexts.own);
    const masked = viltStates(p, { ids: b.mlmIds, mask: b.mask }, all.images, contexts.own);
    const { queries, keys, bias } = viltVocabularyLogits(p, masked, contexts.own);
    const { states, logits, alignment } = viltLoss(p, all, contexts.shown, transport);
    return {
      image_embeds: embeddings,
      image_mask: mask,
      row,
      column,
      text_feats: text,
      image_feats: image,
      cls_feats: pooled,
      mlm_logits: add(matmul(queries, keys, { transposeB: true }), bias),
      itm_logits: logits,
      itm_text_feats: states.text,
      itm_image_feats: states.image,
      itm_image_mask: states.imageMask,
      ot_cost: alignment.cost,
      ot_plan: alignment.plan,
      ot_distance: alignment.distance,
      ot_text_pad: subtract(1, innerWords(b.mask)),
      ot_image_pad: subtract(1, innerPatches(states.imageMask)),
    };
  });
  const [row, column] = [results.get("row")!, results.get("column")!];
  verdict.exact("patch_index", Array.from(row).flatMap((y, i) => [y, column[i]!]));
  verdict.exact("itm_labels", batch.matches.node.host);
  for (const name of verdict.left.filter((name) => results.has(name))) {
    if (/_mask$|_pad$/.test(name)) verdict.exact(name, results.get(name)!);
    else verdict.forward(name, results.get(name)!);
  }
}

/** The losses and, by prefix of their names, the gradients of the sum and of each term alone. */
async function compareLosses({ verdict, raw, params, batch, contexts: { both } }: Setting): Promise<void> {
  const wpa: number = raw.wpa_weight ?? 0.1, { scalars } = verdict.entry;
  const weights = {
    grad: { wpa },
    grad_mlm: { itm: 0, wpa: 0 },
    grad_itm: { mlm: 0, wpa: 0 },
    grad_ot: { itm: 0, mlm: 0, wpa: 1 },
  };
  const transport = { beta: raw.ot_beta ?? 0.5, rounds: raw.ot_iterations ?? 50 };
  const results = await run([params, batch], (p: Vilt, b) =>
    Object.fromEntries(
      Object.entries(weights).map(([name, weights]) => {
        const [loss, grads, terms] = valueAndGradAux((p: Vilt) => {
          const { loss, terms } = viltLoss(p, pairs(b, both), both, { ...transport, weights });
          return [loss, terms as Loose];
        })(p);
        return [name, { loss, grads, terms }];
      }),
    ) as Loose);
  const of = (path: string): number => results.get(path)![0]!;
  verdict.scalar("loss_total", of("grad.loss"));
  verdict.scalar("loss_mlm", of("grad.terms.mlm"));
  verdict.scalar("loss_itm", of("grad.terms.itm"));
  verdict.scalar("ot_loss", of("grad.terms.wpa"));
  verdict.scalar("loss_wpa_times_weight", wpa * of("grad.terms.wpa"));
  for (const name of Object.keys(weights)) compareGradients(verdict, results, `${name}.grads.`, `${name}.`);
  const unreached: string[] = scalars.no_grad_params;
  verdict.holds("no_grad_params", unreached.every((name) => results.get(`grad.grads.${name}`)!.every((g) => g === 0)));
}

/** The checks of this file by the name of a set. */
export const viltSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = { vilt: viltSet };
