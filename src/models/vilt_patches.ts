/**
 * Patches of images of any aspect ratio in one batch, as ViLT takes them: each image lies in the upper left corner of a canvas that
 * is the same for all, only its own patches are seen, and the position table is resized to its rows and columns.
 *
 * @module
 */
import { abs, add, cast, divide, iota, less, maximum, minimum, multiply, subtract } from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { notEqual } from "../ops/comparisons.ts";
import { floorDivide } from "../ops/division.ts";
import { matmul } from "../ops/matmul.ts";
import { sum } from "../ops/reduce.ts";
import { reshape, slice, stopGradient } from "../ops/shape.ts";
import { argsort } from "../ops/sort.ts";
import { takeAlongAxis } from "../ops/take.ts";
import type { Tensor } from "../program/graph.ts";

/** Rows and columns, in patches. */
export type Grid = readonly [rows: number, columns: number];

/** Images on canvases of one size. */
export type CanvasImages = {
  /** f32 [B, rows * columns, 3 * patch^2]: patches of the canvases, row by row. */
  readonly patches: Tensor;
  /** u32 [B, 2]: rows and columns of each image in patches. Without it images fill their canvases. */
  readonly sizes?: Tensor;
};

/**
 * Which patches of a canvas are an image's: `size`: those inside its `sizes`. `pixel`, the official rule: those whose upper left
 * pixel's channels do not sum to 0, which leaves out patches of a real image too (after normalisation 0 is a grey, not black).
 */
export type PatchRule = "size" | "pixel";

/** The patches that are seen, image by image. */
export interface SeenPatches {
  /** f32 [B, P, 3 * patch^2]: an image's own patches in their order, then its first patch of padding again and again. */
  readonly patches: Tensor;
  /** f32 [B, P]: 1 at an image's own patches. */
  readonly mask: Tensor;
  /** u32 [B, P]: row of each on the canvas. */
  readonly row: Tensor;
  /** u32 [B, P]: column of each on the canvas. */
  readonly column: Tensor;
  /** f32 [B, 1]: rows of each image, which are its patches in the canvas' first column. */
  readonly rows: Tensor;
  /** f32 [B, 1]: columns of each image, which are its patches in the canvas' first row. */
  readonly columns: Tensor;
}

/** f32 [B, rows * columns]: 1 at patches that are an image's own. */
export function ownPatches({ patches, sizes }: CanvasImages, [rows, columns]: Grid, rule: PatchRule = "size"): Tensor {
  const [batch, count, features] = patches.shape as [number, number, number];
  if (rule === "pixel") {
    const corner = [0, 1, 2].map((channel) => slice(patches, 2, channel * features / 3, channel * features / 3 + 1));
    return reshape(notEqual(corner.reduce((a, b) => add(a, b)), 0), [batch, count]);
  }
  if (!sizes) return full([batch, count], 1);
  const limit = (axis: number): Tensor => reshape(cast(slice(sizes, 1, axis, axis + 1), "f32"), [batch, 1, 1]);
  const inside = multiply(
    less(cast(iota([1, rows, columns], 1), "f32"), limit(0)),
    less(cast(iota([1, rows, columns], 2), "f32"), limit(1)),
  );
  return reshape(inside, [batch, count]);
}

/**
 * The first `most` patches of each image, filled up by padding.
 *
 * @param own f32 [B, rows * columns], see {@linkcode ownPatches}.
 * @param most Patches of a result: the largest rows * columns of the batch, or what memory allows.
 * @throws {RangeError} If the canvas does not have the patches that the grid states, or fewer than `most`.
 */
export function seePatches(patches: Tensor, own: Tensor, [rows, columns]: Grid, most: number): SeenPatches {
  const [batch, count] = patches.shape as [number, number, number];
  if (count !== rows * columns || !(most >= 1 && most <= count)) {
    throw new RangeError(
      `Cannot see the patches of images: canvases must have ${rows} x ${columns} patches, and at least the ${most} ` +
        `that are to be seen: they have ${count}`,
    );
  }
  const order = argsort(subtract(1, own)); // stable: own patches first, each kind row by row
  const owned = sum(own, { axes: [1], keepDims: true }), place = cast(iota([1, most], 1), "f32");
  // Behind the last own patch: the first one of padding. An image that is cut has none.
  const index = takeAlongAxis(order, cast(minimum(minimum(place, owned), count - 1), "u32"), 1); // u32 [B, most]
  const row = floorDivide(index, columns), canvas = reshape(own, [batch, rows, columns]);
  return {
    patches: takeAlongAxis(patches, reshape(index, [batch, most, 1]), 1),
    mask: less(place, owned),
    row,
    column: subtract(index, multiply(row, columns)),
    rows: sum(reshape(slice(canvas, 2, 0, 1), [batch, rows]), { axes: [1], keepDims: true }),
    columns: sum(reshape(slice(canvas, 1, 0, 1), [batch, columns]), { axes: [1], keepDims: true }),
  };
}

/**
 * Positions of the patches: a table of side * side positions resized to each image's rows x columns, linearly, corners on corners;
 * 0 outside of the image. Each position is a mean of at most 4 of the table, so that all are one matrix product.
 *
 * @param table f32 [side^2, D], row by row.
 * @returns f32 [B, P, D].
 */
export function resizedPositions(table: Tensor, { row, column, rows, columns }: Omit<SeenPatches, "patches">): Tensor {
  const side = Math.round(Math.sqrt(table.shape[0]!)), [batch, count] = row.shape as [number, number];
  const shares = (place: Tensor, extent: Tensor): Tensor => {
    const step = divide(side - 1, maximum(subtract(extent, 1), 1)), at = multiply(cast(place, "f32"), step); // [B, P]
    const distance = abs(subtract(reshape(at, [batch, count, 1]), cast(iota([1, 1, side], 2), "f32")));
    const inside = reshape(less(cast(place, "f32"), extent), [batch, count, 1]);
    return multiply(maximum(subtract(1, distance), 0), inside); // [B, P, side]
  };
  const vertical = reshape(shares(row, rows), [batch, count, side, 1]);
  const horizontal = reshape(shares(column, columns), [batch, count, 1, side]);
  return matmul(stopGradient(reshape(multiply(vertical, horizontal), [batch, count, side * side])), table);
}
