/** The set of grounding: attention maps of one layer, their gradients, what becomes of them, and the boxes that they choose. */
import type { Box } from "../../src/data/expressions.ts";
import {
  boxScore,
  chooseBox,
  type GroundedText,
  groundingAccuracy,
  type HeatMap,
  iou,
  judgeMap,
  resizeMap,
} from "../../src/eval/grounding.ts";
import { groundingMaps } from "../../src/eval/grounding_maps.ts";
import { encodePairs, matchLogits } from "../../src/models/albef.ts";
import type { AlbefConfig } from "../../src/models/config.ts";
import { asMatcher, type Retrieval, retrievalSpec } from "../../src/models/retrieval.ts";
import { divide } from "../../src/ops/elementwise.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { patchify } from "../../src/ops/patchify.ts";
import { albefConfig, run } from "./core.ts";
import { type Golden, type Loose, toTensor, type Value, Verdict } from "./golden.ts";

interface Setting {
  readonly verdict: Verdict;
  readonly config: AlbefConfig;
  readonly params: Retrieval;
  readonly inputs: ReadonlyMap<string, Value>;
}

async function groundingSet(golden: Golden, file: string): Promise<Verdict> {
  const verdict = new Verdict(file, await golden.values(file), golden.entry(file)), { scalars } = verdict.entry;
  const config = albefConfig(golden.config(file)), params = await golden.parameters(file, retrievalSpec(config));
  const setting = { verdict, config, params, inputs: await golden.values(golden.sibling(file, "inputs")) };
  // Names such as "itm_block2.batch0.map" say the layer and the batch.
  const prefixes = new Set(verdict.left.map((name) => /^(it[mc]_block\d+\.batch\d+)\./.exec(name)?.[1]));
  const maps = new Map<string, HeatMap[]>();
  for (const prefix of prefixes) {
    if (!prefix) continue;
    const block = prefix.split(".")[0]!;
    maps.set(block, [...maps.get(block) ?? [], ...await compareMaps(setting, prefix)]);
  }
  for (const [name, entry] of Object.entries<Loose>(scalars)) {
    if (/^box_it[mc]_block\d+$/.test(name)) compareBoxes(verdict, name, entry, maps.get(name.slice("box_".length))!);
  }
  if (scalars.iou_cases) {
    const cases = (scalars.iou_case_boxes as [Box, Box][]).map(([a, b]) => iou(a, b));
    verdict.close("iou_cases", cases, scalars.iou_cases.value, 1e-9);
  }
  return verdict;
}

/** Maps of one layer and one batch, which are the result too. */
async function compareMaps({ verdict, config, params, inputs }: Setting, prefix: string): Promise<HeatMap[]> {
  const [, by, layer, batch] = /^(it[mc])_block(\d+)\.batch(\d+)$/.exec(prefix)!;
  const pairs = {
    image: toTensor(inputs.get(`image_${batch}`)),
    ids: toTensor(inputs.get(`input_ids_${batch}`), "u32"),
    mask: toTensor(inputs.get(`attention_mask_${batch}`)),
  };
  const options = { by: by as "itm" | "itc", layer: Number(layer), meanOver: "positions" } as const;
  const results = await run([params, pairs], (p: Retrieval, pairs: Loose) => {
    const model = asMatcher(p), own = { ...pairs, patches: patchify(pairs.image, config.vision.patch) };
    const { image, text, features, mask } = encodePairs(model, own, { config });
    return {
      ...groundingMaps(model, own, { config }, options),
      itm_logits: matchLogits(model, text.states, { mask, image: image.states }, { config }),
      sim: divide(matmul(features.image, features.text, { transposeB: true }), model.temp),
    };
  });
  const count = pairs.ids.shape[0]!, result = (name: string) => results.get(name)!;
  verdict.forward(`${prefix}.attn_map`, result("attention"));
  verdict.gradient(`${prefix}.attn_grad`, result("gradient"));
  verdict.heat(`${prefix}.map`, result("map"));
  const all = by === "itm" ? "itm_logits" : "sim";
  verdict.forward(`${prefix}.${all}`, result(all));
  // The score is the logit of "match" of each pair, or the diagonal of the similarities.
  const scores = Array.from({ length: count }, (_, i) => result(all)[by === "itm" ? 2 * i + 1 : i * (count + 1)]!);
  verdict.close(`${prefix}: scores`, result("scores"), scores, 1e-5 * Math.max(...scores.map(Math.abs)));
  if (by === "itm") verdict.heat(`${prefix}.word_map`, result("words"));
  const side = config.vision.resolution / config.vision.patch, size = side * side;
  return Array.from({ length: count }, (_, i) => ({
    values: result("map").subarray(i * size, (i + 1) * size),
    size: [side, side] as const,
  }));
}

/** The boxes that maps choose: `box_itm_block2`. */
function compareBoxes(verdict: Verdict, name: string, entry: Loose, maps: readonly HeatMap[]): void {
  const texts = (verdict.entry.scalars.boxes as Loose[]).map((row): GroundedText => ({
    size: [row.height, row.width],
    box: row.ref_box,
    detections: row.detections.map((d: number[]) => d.slice(0, 4)),
    split: row.split,
  }));
  const margins = texts.map((text, i) => {
    const whole = resizeMap(maps[i]!, text.size), scores = text.detections.map((box) => boxScore(whole, box));
    verdict.heat(`${name}.resized_${i}`, whole.values);
    verdict.heat(`${name}.score_${i}`, scores);
    const [best, second] = scores.toSorted((a, b) => b - a) as [number, number];
    verdict.close(`${name}.chosen[${i}]`, [chooseBox(whole, text.detections)], [entry.chosen[i]], 0.5);
    return (best - second) / best;
  });
  const stated: number = verdict.entry.scalars.min_relative_margin_best_second_box ?? 0;
  verdict.holds(`${name}: margins are at least the stated one`, Math.min(...margins) > 0.999 * stated);
  const results = texts.map((text, i) => judgeMap(maps[i]!, text));
  verdict.close(`${name}.iou`, results.map((r) => r.iou!), entry.iou.value, 1e-9);
  const accuracy = groundingAccuracy(texts, results);
  for (const [split, { value }] of Object.entries<Loose>(entry.accuracy)) {
    verdict.close(`${name}.accuracy.${split}`, [accuracy[split.replace(/_d$/, "")]!.accuracy!], [value], 1e-9);
  }
}

/** The checks of this file by the name of a set. */
export const groundingSets: Readonly<Record<string, (golden: Golden, file: string) => Promise<Verdict>>> = {
  grounding: groundingSet,
};
