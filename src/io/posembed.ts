/**
 * Resizing learned position tables of vision transformers to another number of patches, as ALBEF does when it goes from 256 to
 * 384 pixels: bicubic, and the row of the class token stays.
 *
 * @module
 */
import { resizeBicubic } from "./bicubic.ts";

/** The rows of a position table: that of a class token, or none, and a square grid of patches. */
interface Grid {
  readonly classes: 0 | 1;
  readonly side: number;
}

/** What so many rows are; undefined if no square grid is among them. No number of rows may be read in two ways. */
function gridOf(rows: number): Grid | undefined {
  const side = Math.sqrt(rows), inner = Math.sqrt(rows - 1);
  if (rows > 1 && Number.isInteger(inner)) return { classes: 1, side: inner };
  return rows > 0 && Number.isInteger(side) ? { classes: 0, side } : undefined;
}

/** Whether tables of so many rows are two square grids, both with a class token or both without. */
export function areGrids(from: number, to: number): boolean {
  const [one, other] = [gridOf(from), gridOf(to)];
  return one !== undefined && one.classes === other?.classes;
}

/**
 * Resizes a position table to another square grid as `resizeBicubic` does. The first row, of the class token, is kept if there is one. A
 * table that has the size already comes back as a copy.
 *
 * @param table (1 + s * s) x width or (s * s) x width, row-major.
 * @param width Elements per position.
 * @param rows Rows wanted, 1 + S * S or S * S.
 * @returns rows x width.
 * @throws {RangeError} When one of the grids is not square, or only one table has a class token.
 */
export function resizePositionTable(table: Float32Array, width: number, rows: number): Float32Array<ArrayBuffer> {
  const given = table.length / width;
  if (!areGrids(given, rows)) {
    throw new RangeError(
      `Cannot resize positions: tables must both have a square number of rows, or both 1 + a square number: they have ${given} and ${rows}`,
    );
  }
  const { side: from, classes } = gridOf(given)!, { side: to } = gridOf(rows)!;
  if (from === to) return table.slice();
  const result = new Float32Array(rows * width);
  result.set(table.subarray(0, classes * width));
  result.set(resizeBicubic(table.subarray(classes * width), [from, from], [to, to], width), classes * width);
  return result;
}
