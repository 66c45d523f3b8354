/** The sets of retrieval: metrics, the losses of fine-tuning, the evaluation in two stages. */
import { valueAndGradAux } from "../../src/autograd/grad.ts";
import { recallFromScores, type Recalls, UNSCORED } from "../../src/eval/recall.ts";
import { evaluateRetrieval } from "../../src/eval/retrieval.ts";
import type { PairNegatives } from "../../src/losses/negatives.ts";
import {
  albefPairs,
  encodeImage,
  encodePairs,
  type Matcher,
  matchLogits,
  type PairModel,
} from "../../src/models/albef.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import { encodeKeys, type KeyQueues, momentumEncoders } from "../../src/models/momentum.ts";
import { asMatcher, type Retrieval, retrievalSpec } from "../../src/models/retrieval.ts";
import { divide, equal, multiply, subtract } from "../../src/ops/elementwise.ts";
import { gather } from "../../src/ops/gather.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { randomKey } from "../../src/ops/random.ts";
import { sum } from "../../src/ops/reduce.ts";
import { concat, reshape } from "../../src/ops/shape.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { evaluate, tensor } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { ema } from "../../src/optim/adamw.ts";
import { retrievalLoss, type RetrievalMomentum } from "../../src/recipes/retrieval.ts";
import { albefConfig, compareGradients, run } from "./core.ts";
import { type Golden, type Loose, toTensor, type Value, Verdict } from "./golden.ts";
import { momentumName, officialQueue, queuesOf } from "./momentum.ts";

async function metricsSet(golden: Golden, file: string): Promise<Verdict> {
  const verdict = new Verdict(file, await golden.values(file), golden.entry(file));
  const imageOf = verdict.values.get("txt2img")!.data;
  verdict.skip("txt2img");
  for (const name of Object.keys(verdict.entry.scalars)) {
    const prefix = name.replace("metrics", "scores");
    const [i2t, t2i] = [`${prefix}_i2t`, `${prefix}_t2i`].map((n) => verdict.values.get(n)!.data as Float32Array);
    verdict.skip(`${prefix}_i2t`, `${prefix}_t2i`);
    compareRecalls(verdict, name, recallFromScores(i2t!, t2i!, imageOf));
  }
  return verdict;
}

function compareRecalls(verdict: Verdict, name: string, ours: Recalls): void {
  const reference = verdict.entry.scalars[name];
  for (const [theirs, { r1, r5, r10, mean }] of [["txt", ours.i2t], ["img", ours.t2i]] as const) {
    const stated = ["r1", "r5", "r10", "r_mean"].map((n) => reference[`${theirs}_${n}`]);
    verdict.close(`${name}.${theirs}`, [r1, r5, r10, mean], stated, 1e-9);
  }
  verdict.close(`${name}.r_mean`, [ours.mean], [reference.r_mean], 1e-9);
}

/** The retrieval model on images as floats [B, 3, H, W], not on packed bytes. */
function modelOf(config: AlbefConfig): PairModel<Retrieval> {
  const { text, match, keys } = albefPairs(config);
  return {
    image: (p, x) => encodeImage(asMatcher(p), patchify(x, config.vision.patch), { config }),
    text: (p, tokens) => text(asMatcher(p), tokens),
    match: (p, states, mask, image) => match(asMatcher(p), states, mask, image),
    keys: (p, states) => keys(asMatcher(p), states),
  };
}

async function evalSet(golden: Golden, file: string): Promise<Verdict> {
  const verdict = new Verdict(file, await golden.values(file), golden.entry(file));
  const raw = golden.config(file), config = albefConfig(raw);
  const value = (name: string): Value => verdict.values.get(name)!;
  const params = await golden.parameters(file, retrievalSpec(config));
  const images = toTensor(value("image")), [, length] = value("input_ids").shape;
  const { scores, reranked } = await evaluateRetrieval(params, modelOf(config), {
    images: {
      count: images.shape[0]!,
      load: (at) => evaluate(gather(images, tensor(Uint32Array.from(at)))),
    },
    texts: { ids: value("input_ids").data, mask: value("attention_mask").data, length: length! },
    imageOf: value("txt2img").data,
  }, { k: raw.k_test, batch: 5, keepScores: true });
  verdict.skip("image", "input_ids", "attention_mask", "txt2img");
  for (const direction of ["i2t", "t2i"] as const) compareScores(verdict, `score_${direction}`, scores![direction]);
  compareRecalls(verdict, "metrics", reranked!);
  return verdict;
}

/** Scored pairs by the largest of their scores, not by the -100 of the others, which must be at the same places. */
function compareScores(verdict: Verdict, name: string, ours: Float32Array): void {
  const { data } = verdict.values.get(name)!;
  const largest = Math.max(...Array.from(data).filter((x) => x !== UNSCORED).map(Math.abs));
  verdict.skip(name);
  verdict.close(name, ours, data, 2e-5 * largest + 1e-6);
}

/** The losses of one variant, as its name says: momentum keys or not, soft targets or not. */
async function trainSet(golden: Golden, file: string): Promise<Verdict> {
  const verdict = new Verdict(file, await golden.values(file), golden.entry(file));
  const raw = golden.config(file), config = albefConfig(raw);
  const params = await golden.parameters(file, retrievalSpec(config));
  const copies = await golden.parameters(file, momentumEncoders(retrievalSpec(config)), momentumName);
  const start = queuesOf(await golden.values(golden.sibling(file, "weights"))) as Required<KeyQueues>;
  const inputs = await golden.values(golden.sibling(file, "train_inputs"));
  const input = (name: string, dtype: "f32" | "u32"): Tensor => toTensor(inputs.get(name), dtype);
  const batch = {
    image: input("image", "f32"),
    ids: input("input_ids", "u32"),
    mask: input("attention_mask", "f32"),
    imageIds: input("image_id", "u32"),
  };
  const negatives = { images: input("neg_image_idx", "u32"), texts: input("neg_text_idx", "u32") };
  const key = randomKey(tensor(Uint32Array.of(0, 0)));
  for (const [variant, scalars] of Object.entries(verdict.entry.scalars)) {
    const alpha = variant.includes("distill") ? raw.alpha ?? 0.4 : 0, withMomentum = "queue_ptr_after" in scalars;
    const results = await run([params, copies, start, batch], (p, copies, queues, c) => {
      const inputs = { ...c, patches: patchify(c.image, config.vision.patch) };
      const moved = ema(copies as Loose, p, raw.momentum ?? 0.995);
      const encoders = { ...moved, text_encoder: { bert: moved.text_encoder } };
      const momentum = withMomentum ? { encoders, queues, alpha } : undefined;
      const [, grads, r] = valueAndGradAux((p: Retrieval) => {
        const r = retrievalLoss(asMatcher(p), inputs, { config, key }, { momentum, negatives });
        return [r.loss, r as Loose];
      })(p);
      return { ...r, grads, ...intermediates(asMatcher(p), momentum, inputs, negatives, config) };
    });
    compareVariant(verdict, variant, scalars, results);
  }
  return verdict;
}

/** Values of a variant that are no results of the loss function. */
function intermediates(
  p: Matcher,
  momentum: RetrievalMomentum | undefined,
  batch: Loose,
  negatives: PairNegatives,
  config: AlbefConfig,
): Loose {
  const { image, text, features } = encodePairs(p, batch, { config });
  const keys = momentum ? encodeKeys(momentum.encoders, momentum.queues, batch, { config }).features : features;
  const ids = reshape(batch.imageIds, [batch.imageIds.size, 1]);
  const columns = momentum ? concat([batch.imageIds, momentum.queues.ids], 0) : batch.imageIds;
  const same = equal(ids, reshape(columns, [1, columns.size]));
  const others = subtract(1, equal(ids, reshape(batch.imageIds, [1, batch.imageIds.size])));
  const weights = (rows: Tensor, keys: Tensor): Tensor =>
    multiply(softmax(divide(matmul(rows, keys, { transposeB: true }), p.temp)), others);
  const context = {
    mask: concat([batch.mask, batch.mask, gather(batch.mask, negatives.texts)], 0),
    image: concat([image.states, gather(image.states, negatives.images), image.states], 0),
  };
  const pairs = concat([text.states, text.states, gather(text.states, negatives.texts)], 0);
  return {
    sim_targets: divide(same, sum(same, { axes: [1], keepDims: true })),
    weights_i2t: weights(features.image, keys.text),
    weights_t2i: weights(features.text, keys.image),
    itm_logits: matchLogits(p, pairs, context, { config }),
  };
}

function compareVariant(
  verdict: Verdict,
  variant: string,
  scalars: Loose,
  results: ReadonlyMap<string, Float32Array>,
): void {
  for (const [theirs, ours] of [["loss_itc", "terms.itc"], ["loss_itm", "terms.itm"]] as const) {
    const { value } = scalars[theirs];
    verdict.close(`${variant}.${theirs}`, results.get(ours)!, [value], 2e-5 * Math.abs(value) + 1e-6);
  }
  for (const name of ["sim_targets", "weights_i2t", "weights_t2i", "itm_logits"]) {
    verdict.forward(`${variant}.${name}`, results.get(name)!);
  }
  compareGradients(verdict, results, "grads.", `${variant}.grad.`);
  if (!("queue_ptr_after" in scalars)) return;
  for (const [theirs, ours] of [["image_queue_after", "images"], ["text_queue_after", "texts"]] as const) {
    const name = `${variant}.${theirs}`;
    verdict.forward(name, officialQueue(results.get(`queues.${ours}`)!, verdict.values.get(name)!.shape));
  }
  const ids = Int32Array.from(results.get("queues.ids")!);
  verdict.close(`${variant}.idx_queue_after`, ids, scalars.idx_queue_after, 0.5);
  verdict.close(`${variant}.queue_ptr_after`, results.get("queues.pointer")!, [scalars.queue_ptr_after], 0.5);
}

/** The checks of this file by the name of a set. */
export const retrievalSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = {
  metrics: metricsSet,
  train: trainSet,
  eval: evalSet,
};
