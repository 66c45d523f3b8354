/**
 * Mini-batches of captions and regions, with words and regions to be predicted.
 *
 * @module
 */
import { tensor } from "../../program/compile.ts";
import type { Avals } from "../../program/tree.ts";
import type { Tensor } from "../../program/graph.ts";
import {
  type Collate,
  givenTokenizer,
  maskedShapes,
  type MaskedTensors,
  maskedTokens,
  tokenShapes,
  type TokenTensors,
  tokenTensors,
} from "../collate.ts";
import { checkProbability } from "../masking.ts";
import type { Tokenizer } from "../tokenizer.ts";
import type { RegionPair } from "./dataset.ts";
import { classesOf, type Regions, type RegionSource } from "./regions.ts";

/** Regions of B images, filled up to R. */
export type RegionTensors = {
  /** f32 [B, R, width]; 0 where there is no region. */
  readonly features: Tensor;
  /** f32 [B, R, 7]: left, top, right, bottom, width, height and area as shares of the image's. */
  readonly places: Tensor;
  /** f32 [B, R]: 1 at regions. */
  readonly regionMask: Tensor;
};

/** B captions with their images' regions, and what is to be predicted of both. */
export type RegionBatch = TokenTensors & MaskedTensors & RegionTensors & {
  /** u32 [B]: the same number for the same image. */
  readonly imageIds: Tensor;
  /** f32 [B, R]: 1 at regions whose features are to be predicted. */
  readonly maskedRegions: Tensor;
  /** f32 [B, R, classes]: probabilities of the classes; only where the detector tells them. */
  readonly shares?: Tensor;
  /** Tags: names of the regions' classes, as texts are. */
  readonly tags?: TokenTensors & MaskedTensors;
};

/** Sizes of regions in mini-batches. */
export interface RegionSizes extends Pick<RegionSource, "width" | "classes"> {
  /** The most regions of an image: of more, those are taken that the detector is most sure of, or the first. */
  readonly most: number;
  /** Names of the classes, for tags. */
  readonly names?: readonly string[];
}

/** Options of {@linkcode regionCollate}. */
export interface RegionCollateOptions {
  /** Sizes of regions. */
  readonly regions: RegionSizes;
  /** Tokens per caption, [CLS] included. */
  readonly maxLength: number;
  /** Tokens of all tags of an image; 0: there are none. @default 0 */
  readonly tagLength?: number;
  /** Turns texts into ids. Shapes are known without it. */
  readonly tokenizer?: Tokenizer | undefined;
  /** Probability that a token is to be predicted. @default 0.15 */
  readonly probability?: number;
  /** The same of a region; one is always. @default 0.15 */
  readonly regionProbability?: number;
}

/** Words of the random streams beside that of the captions' masks. */
const [REGIONS, TAGS] = [1, 2];

/** Captions and regions. @throws {RangeError} If a size is none, or tags are asked for without names. */
export function regionCollate(options: RegionCollateOptions): Collate<RegionPair, RegionBatch> {
  const { regions: sizes, maxLength, tagLength = 0, tokenizer, probability = 0.15, regionProbability = 0.15 } = options;
  checkProbability(probability);
  checkProbability(regionProbability);
  if (!(Number.isInteger(sizes.most) && sizes.most > 0)) {
    throw new RangeError(`Cannot collate regions: "most" must be a whole number of at least 1: it is ${sizes.most}`);
  }
  const { most, width, classes } = sizes;
  return {
    views: [],
    shapes: (count) => ({
      ...tokenShapes(count, maxLength),
      ...maskedShapes(count, maxLength),
      imageIds: { shape: [count], dtype: "u32" },
      features: { shape: [count, most, width], dtype: "f32" },
      places: { shape: [count, most, 7], dtype: "f32" },
      regionMask: { shape: [count, most], dtype: "f32" },
      maskedRegions: { shape: [count, most], dtype: "f32" },
      ...(classes ? { shares: { shape: [count, most, classes], dtype: "f32" } } : {}),
      ...(tagLength ? { tags: { ...tokenShapes(count, tagLength), ...maskedShapes(count, tagLength) } } : {}),
    } as Avals<RegionBatch>),
    collate: (pairs, _, random) => {
      const given = givenTokenizer(tokenizer), all = pairs.map(({ regions }) => surest(regions, most));
      const masked = (texts: readonly string[], length: number, stream: typeof random) => {
        const tokens = tokenTensors(given, texts, length);
        return { ...tokens, ...maskedTokens(tokens, given, probability, stream) };
      };
      return {
        ...masked(pairs.map(({ caption }) => caption), maxLength, random),
        imageIds: tensor(Uint32Array.from(pairs, ({ imageId }) => imageId)),
        features: filled(all, most, width, (indices, row) => rowsOf(pairs[row]!.regions.features, indices, width)),
        places: filled(all, most, 7, (indices, row) => placesOf(rowsOf(pairs[row]!.regions.boxes, indices, 4))),
        regionMask: filled(all, most, 1, ({ length }) => new Float32Array(length).fill(1)),
        maskedRegions: filled(all, most, 1, ({ length }, row) => {
          const own = random(row).fork(REGIONS),
            chosen = Float32Array.from({ length }, () => +(own.uniform() < regionProbability));
          if (!chosen.includes(1)) chosen[own.below(length)] = 1;
          return chosen;
        }),
        ...(classes
          ? { shares: filled(all, most, classes, (indices, row) => sharesOf(pairs[row]!.regions, indices, sizes)) }
          : {}),
        ...(tagLength
          ? {
            tags: masked(
              all.map((indices, row) => tagsOf(pairs[row]!.regions, indices, sizes)),
              tagLength,
              (row) => random(row).fork(TAGS),
            ),
          }
          : {}),
      };
    },
  };
}

/** The regions that are taken, in their order. */
export function surest({ count, confidences }: Regions, most: number): Uint32Array {
  const all = Uint32Array.from({ length: count }, (_, i) => i);
  if (count <= most || !confidences) return all.slice(0, most);
  return all.sort((a, b) => confidences[b]! - confidences[a]! || a - b).slice(0, most).sort();
}

/** [B, most, each], or [B, most] where each is 1, of the values that each row has first. */
function filled(
  all: readonly Uint32Array[],
  most: number,
  each: number,
  of: (indices: Uint32Array, row: number) => Float32Array,
): Tensor {
  const values = new Float32Array(all.length * most * each);
  all.forEach((indices, row) => values.set(of(indices, row), row * most * each));
  return tensor(values, each === 1 ? [all.length, most] : [all.length, most, each]);
}

function rowsOf(values: Float32Array, indices: Uint32Array, width: number): Float32Array {
  const rows = new Float32Array(indices.length * width);
  indices.forEach((index, i) => rows.set(values.subarray(index * width, (index + 1) * width), i * width));
  return rows;
}

/** The 7 numbers of each box that UNITER gives its model. */
function placesOf(boxes: Float32Array): Float32Array {
  const places = new Float32Array(boxes.length / 4 * 7);
  for (let i = 0; i < boxes.length / 4; i++) {
    const [left, top, right, bottom] = boxes.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
    const [width, height] = [right - left, bottom - top];
    places.set([left, top, right, bottom, width, height, width * height], 7 * i);
  }
  return places;
}

/** The detector's probabilities, or all for its class. */
function sharesOf({ shares, classes: ids }: Regions, indices: Uint32Array, { classes }: RegionSizes): Float32Array {
  if (shares) return rowsOf(shares, indices, classes);
  const certain = new Float32Array(indices.length * classes);
  indices.forEach((index, i) => certain[i * classes + ids![index]!] = 1);
  return certain;
}

/** Names of the classes of the regions, each once. */
function tagsOf(regions: Regions, indices: Uint32Array, sizes: RegionSizes): string {
  const { classes, names = [] } = sizes, ids = classesOf(regions, classes);
  return [...new Set([...indices].map((i) => ids[i]!))].map((id) => names[id] ?? "").join(" ");
}
