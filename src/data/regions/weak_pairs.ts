/**
 * Images and texts that were never paired, paired by what a detector calls the images' regions (Zhou et al. 2022, section 3.2). The paper
 * compares embeddings of sentences; this is the baseline of its ablation that needs no model, TF-IDF.
 *
 * @module
 */
import type { Dataset, ImageFile, Skipped } from "../dataset.ts";
import type { RegionPair } from "./dataset.ts";
import { classesOf, type RegionSource } from "./regions.ts";

/** The class that a word names, in its singular or plural; undefined if none. */
export type Naming = (word: string) => number | undefined;

/** What words name: names of one word only. */
export function naming(names: readonly string[]): Naming {
  const classes = new Map<string, number>();
  names.forEach((name, id) => {
    for (const word of [name, `${name}s`, `${name}es`]) if (!classes.has(word)) classes.set(word, id);
  });
  return (word) => classes.get(word);
}

/** The classes that a text names, in order, as often as it does. */
export function namedClasses(text: string, named: Naming): number[] {
  return (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).map(named).filter((id) => id !== undefined);
}

/** A text that was found. */
export interface FoundText {
  /** Its index. */
  readonly text: number;
  /** The cosine of its tags and those that were looked for, above 0. */
  readonly similarity: number;
}

/** Texts by the classes that they name: vectors of counts times 1 + ln((1 + N) / (1 + n)), where n of N texts name a class. */
export class TagIndex {
  readonly #idf: Float64Array;
  /** For each class the texts that name it, with their vectors' entries, which have the length 1. */
  readonly #texts: { readonly text: number; readonly value: number }[][];

  /** Reads all texts once. */
  constructor(texts: readonly string[], names: readonly string[]) {
    const named = naming(names), found = texts.map((text) => counts(namedClasses(text, named)));
    const having = new Float64Array(names.length);
    for (const own of found) for (const id of own.keys()) having[id]!++;
    this.#idf = having.map((n) => 1 + Math.log((1 + texts.length) / (1 + n)));
    this.#texts = names.map(() => []);
    found.forEach((own, text) => {
      for (const [id, value] of this.#unit(own)) this.#texts[id]!.push({ text, value });
    });
  }

  /** The texts whose tags are most like these, at most `count`, best first; of equal ones the earlier. Those without a common tag are not found. */
  nearest(classes: Iterable<number>, count: number): FoundText[] {
    const sums = new Map<number, number>();
    for (const [id, value] of this.#unit(counts(classes))) {
      for (const { text, value: other } of this.#texts[id]!) sums.set(text, (sums.get(text) ?? 0) + value * other);
    }
    const equal = (x: number) => Number(x.toFixed(9)); // the order of a sum must not decide
    return [...sums].map(([text, similarity]) => ({ text, similarity }))
      .sort((a, b) => equal(b.similarity) - equal(a.similarity) || a.text - b.text).slice(0, count);
  }

  #unit(own: ReadonlyMap<number, number>): [number, number][] {
    const values = [...own].map(([id, times]): [number, number] => [id, times * this.#idf[id]!]);
    const length = Math.hypot(...values.map(([, value]) => value));
    return values.map(([id, value]) => [id, value / length]);
  }
}

function counts(ids: Iterable<number>): Map<number, number> {
  const times = new Map<number, number>();
  for (const id of ids) times.set(id, (times.get(id) ?? 0) + 1);
  return times;
}

/** Options of {@linkcode weakPairs}. */
export interface WeakPairOptions {
  /** Names of the detector's classes. */
  readonly names: readonly string[];
  /** Texts of an image: one of them is drawn each time. @default 5 */
  readonly top?: number;
}

/**
 * Images with texts that were found by their tags. Images that no text has a tag of are left out and listed as skipped.
 *
 * @throws {RangeError} If the regions have no classes, or nothing is found at all.
 */
export async function weakPairs(
  images: readonly ImageFile[],
  source: RegionSource,
  texts: readonly string[],
  { names, top = 5 }: WeakPairOptions,
): Promise<Dataset<RegionPair>> {
  if (!source.classes || names.length < source.classes) {
    throw new RangeError(
      `Cannot find texts by tags: there must be a name for each class of the regions: there are ${source.classes} classes and ${names.length} names`,
    );
  }
  const index = new TagIndex(texts, names), skipped: Skipped[] = [];
  const pairs: { readonly image: ImageFile; readonly texts: readonly number[] }[] = [];
  for (const [at, image] of images.entries()) {
    const found = index.nearest(classesOf(await source.regions(image.path), source.classes), top);
    if (found.length) pairs.push({ image, texts: found.map(({ text }) => text) });
    else skipped.push({ index: at, file: image.path, reason: "no text names any of its regions" });
  }
  if (!pairs.length) throw new RangeError("Cannot find texts by tags: at least one text must name a class: none does");
  return {
    name: `texts found for ${source.name}`,
    length: pairs.length,
    skipped,
    example: async (at, random) => {
      const { image, texts: found } = pairs[at]!;
      const regions = await source.regions(image.path);
      return { images: [image], caption: texts[random.pick(found)]!, imageId: image.id, regions };
    },
  };
}
