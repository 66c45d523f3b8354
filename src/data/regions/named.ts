/**
 * Which regions a sentence names.
 *
 * @module
 */
import { tensor } from "../../program/compile.ts";
import type { Tensor } from "../../program/graph.ts";
import type { Avals } from "../../program/tree.ts";
import { type Collate, givenTokenizer } from "../collate.ts";
import { IGNORED_LABEL } from "../masking.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { type RegionBatch, type RegionSizes, surest } from "./collate.ts";
import type { RegionPair } from "./dataset.ts";
import { classesOf } from "./regions.ts";
import { namedClasses, naming } from "./weak_pairs.ts";

/**
 * Adds `names` to mini-batches of regions: i32 [B, R], at a region that the sentence names the first token of its class's name, and -100
 * elsewhere.
 */
export function namedRegions<B extends RegionBatch & { readonly names: Tensor }>(
  base: Collate<RegionPair, RegionBatch>,
  { most, classes, names = [] }: RegionSizes,
  tokenizer: Tokenizer | undefined,
): Collate<RegionPair, B> {
  const named = naming(names);
  let tokens: readonly number[] | undefined; // of the classes
  return {
    views: base.views,
    shapes: (count) =>
      ({ ...base.shapes(count), names: { shape: [count, most], dtype: "i32" } }) as unknown as Avals<B>,
    collate(pairs, images, random) {
      const given = givenTokenizer(tokenizer), labels = new Int32Array(pairs.length * most).fill(IGNORED_LABEL);
      tokens ??= names.map((name) => given.encodeBatch([name], 2).ids[1]!); // behind [CLS]
      pairs.forEach(({ caption, regions }, row) => {
        const said = new Set(namedClasses(caption, named)), ids = classesOf(regions, classes);
        surest(regions, most).forEach((region, i) => {
          const id = ids[region]!;
          if (said.has(id)) labels[row * most + i] = tokens![id]!;
        });
      });
      return { ...base.collate(pairs, images, random), names: tensor(labels, [pairs.length, most]) } as B;
    },
  };
}
