/**
 * Scores of grounding: which of an image's boxes a map chooses, and whether that is the right one (Li et al. 2021, section 5, after
 * the code of RefCOCO: Yu et al. 2016).
 *
 * @module
 */
import type { Box } from "../data/expressions.ts";
import { type GridSize, resizeBicubic } from "../io/bicubic.ts";

/** A map over an image, row by row. */
export interface HeatMap {
  /** height * width numbers. */
  readonly values: ArrayLike<number>;
  /** Its rows and columns. */
  readonly size: GridSize;
}

/** The map in the size of its image, bicubic. */
export function resizeMap({ values, size }: HeatMap, to: GridSize): HeatMap & { readonly values: Float32Array } {
  return { values: resizeBicubic(values, size, to), size: to };
}

/**
 * The overlap of two boxes as a share of what both cover, from 0 to 1. As in the official code an overlap of at most 1 pixel in width or
 * in height counts as none.
 */
export function iou([ax, ay, aw, ah]: Box, [bx, by, bw, bh]: Box): number {
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx), height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  const overlap = width > 1 && height > 1 ? width * height : 0;
  return overlap / (aw * ah + bw * bh - overlap);
}

/**
 * How much of a map, which has the size of the image, lies in a box: the sum of its pixels over the square root of the box's area. Its
 * corners are cut down to whole pixels and to the image; its area is not.
 */
export function boxScore({ values, size: [rows, columns] }: HeatMap, [x, y, width, height]: Box): number {
  const within = (place: number, end: number): number => Math.min(Math.max(Math.trunc(place), 0), end);
  const left = within(x, columns), right = within(x + width, columns);
  let sum = 0;
  for (let row = within(y, rows); row < within(y + height, rows); row++) {
    for (let column = left; column < right; column++) sum += values[row * columns + column]!;
  }
  return sum === 0 ? 0 : sum / Math.sqrt(width * height); // a box without an area has no pixel either
}

/**
 * The number of the box of the largest score, the first of equal ones. (The official search begins at a best score of 0, so that where no
 * box has more, the box of the expression before stays.)
 *
 * @param map In the size of the image.
 * @throws {RangeError} If there is no box, or a score is no number.
 */
export function chooseBox(map: HeatMap, boxes: readonly Box[]): number {
  if (!boxes.length) throw new RangeError("Cannot choose a box: there must be at least one");
  const scores = boxes.map((box) => boxScore(map, box)), wrong = scores.findIndex(Number.isNaN);
  if (wrong < 0) return scores.indexOf(Math.max(...scores));
  throw new RangeError(`Cannot choose a box: its score must be a number: that of [${boxes[wrong]}] is NaN`);
}

/** Whether the centre of the map's largest pixel, the first of equal ones, lies in the box. */
export function pointsInto({ values, size: [, columns] }: HeatMap, [x, y, width, height]: Box): boolean {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  const column = best % columns + 0.5, row = Math.floor(best / columns) + 0.5;
  return column >= x && column < x + width && row >= y && row < y + height;
}

/** A text about a part of an image, with the boxes that it may be. */
export interface GroundedText {
  /** The size of the image in pixels. */
  readonly size: GridSize;
  /** The right box. */
  readonly box: Box;
  /** Boxes that a detector found, whoever it was; the map chooses among them. None: only pointing is scored. */
  readonly detections: readonly Box[];
  /** The part of the data that it belongs to: "val", "testA", "testB". */
  readonly split: string;
}

/** Shares, from 0 to 1, of the texts of a split. */
export interface GroundingAccuracy {
  /** How many texts there are. */
  readonly texts: number;
  /** Of the texts whose chosen box overlaps the right one by at least half (IoU). Absent if no text has detections. */
  readonly accuracy?: number;
  /** What choosing a detection at random would give. */
  readonly chance?: number;
  /** What always choosing the best would give. */
  readonly ceiling?: number;
  /** Of the texts whose map has its largest value in the right box. */
  readonly pointing: number;
  /** Of their images that the right boxes cover, on average: what pointing at random gives. */
  readonly covered: number;
}

/** What came of one text. */
export interface GroundedResult {
  /** The number of the chosen detection; absent if there is none. */
  readonly chosen?: number;
  /** Its overlap with the right box. */
  readonly iou?: number;
  /** Whether the map's largest value lies in the right box. */
  readonly points: boolean;
}

/** Overlap from which on a box is right. */
const RIGHT = 0.5;

/** Judges the map of a text, on any grid over its image. */
export function judgeMap(map: HeatMap, { size, box, detections }: GroundedText): GroundedResult {
  const whole = resizeMap(map, size), points = pointsInto(whole, box);
  if (!detections.length) return { points };
  const chosen = chooseBox(whole, detections);
  return { chosen, iou: iou(detections[chosen]!, box), points };
}

/**
 * Accuracy of each split. A text without detections counts as wrong if others of its split have some.
 *
 * @throws {RangeError} If there are not as many results as texts.
 */
export function groundingAccuracy(
  texts: readonly GroundedText[],
  results: readonly GroundedResult[],
): Record<string, GroundingAccuracy> {
  if (texts.length !== results.length) {
    throw new RangeError(`Cannot score grounding: ${texts.length} texts must have a result: ${results.length} have`);
  }
  const rows = texts.map((text, i) => ({ text, result: results[i]! }));
  const splits = Map.groupBy(rows, ({ text }) => text.split);
  return Object.fromEntries([...splits].map(([split, own]) => [split, splitAccuracy(own)]));
}

function splitAccuracy(
  rows: readonly { readonly text: GroundedText; readonly result: GroundedResult }[],
): GroundingAccuracy {
  const mean = (of: (row: typeof rows[number]) => number): number =>
    rows.reduce((sum, row) => sum + of(row), 0) / rows.length;
  const right = ({ detections, box }: GroundedText): number => detections.filter((d) => iou(d, box) >= RIGHT).length;
  const chosen = rows.some(({ text }) => text.detections.length > 0) && {
    accuracy: mean(({ result }) => Number((result.iou ?? 0) >= RIGHT)),
    chance: mean(({ text }) => right(text) / Math.max(1, text.detections.length)),
    ceiling: mean(({ text }) => Math.min(1, right(text))),
  };
  return {
    texts: rows.length,
    ...chosen || {},
    pointing: mean(({ result }) => Number(result.points)),
    covered: mean(({ text: { box: [, , width, height], size } }) => width * height / (size[0] * size[1])),
  };
}
