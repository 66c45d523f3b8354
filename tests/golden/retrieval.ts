/** The sets of retrieval: metrics, the losses of fine-tuning, the evaluation in two stages. */
import { recallFromScores, type Recalls, UNSCORED } from "../../src/eval/recall.ts";
import { evaluateRetrieval } from "../../src/eval/retrieval.ts";
import { asMatcher, type Retrieval, retrievalSpec } from "../../src/models/retrieval.ts";
import { gather } from "../../src/ops/gather.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { evaluate, tensor } from "../../src/program/compile.ts";
import { albefConfig } from "./core.ts";
import { type Golden, toTensor, type Value, Verdict } from "./golden.ts";

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

async function evalSet(golden: Golden, file: string): Promise<Verdict> {
  const verdict = new Verdict(file, await golden.values(file), golden.entry(file));
  const raw = golden.config(file), config = albefConfig(raw);
  const value = (name: string): Value => verdict.values.get(name)!;
  const params = await golden.parameters(file, retrievalSpec(config));
  const images = toTensor(value("image")), [, length] = value("input_ids").shape;
  const { scores, reranked } = await evaluateRetrieval<Retrieval>(params, config, {
    images: {
      count: images.shape[0]!,
      load: (at) => evaluate(gather(images, tensor(Uint32Array.from(at)))),
    },
    texts: { ids: value("input_ids").data, mask: value("attention_mask").data, length: length! },
    imageOf: value("txt2img").data,
  }, {
    k: raw.k_test,
    batch: 5,
    keepScores: true,
    unpack: asMatcher,
    prepare: (x) => patchify(x, config.vision.patch),
  });
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

/** The checks of this file by the name of a set. */
export const retrievalSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = {
  metrics: metricsSet,
  eval: evalSet,
};
