/**
 * Resizing learned position tables of vision transformers to another number of patches, as ALBEF does when it goes from 256 to
 * 384 pixels: bicubic, and the row of the class token stays.
 *
 * @module
 */
import { resizeBicubic } from "./bicubic.ts";

/** Whether a table of so many rows is one of a class token and a square grid. */
export function isSquareGrid(rows: number): boolean {
  return rows > 1 && Number.isInteger(Math.sqrt(rows - 1));
}

function gridSide(rows: number, which: string): number {
  if (isSquareGrid(rows)) return Math.sqrt(rows - 1);
  throw new RangeError(`Cannot resize positions: the ${which} table has ${rows} rows, must have 1 + a square number`);
}

/**
 * Resizes a position table to another square grid as `resizeBicubic` does. The first row, of the class token, is kept. A table that
 * has the size already comes back as a copy.
 *
 * @param table (1 + s * s) x width, row-major.
 * @param width Elements per position.
 * @param rows Rows wanted, 1 + S * S.
 * @returns rows x width.
 * @throws {RangeError} When one of the grids is not square.
 */
export function resizePositionTable(table: Float32Array, width: number, rows: number): Float32Array<ArrayBuffer> {
  const from = gridSide(table.length / width, "given"), to = gridSide(rows, "wanted");
  if (from === to) return table.slice();
  const result = new Float32Array(rows * width);
  result.set(table.subarray(0, width));
  result.set(resizeBicubic(table.subarray(width), [from, from], [to, to], width), width);
  return result;
}
