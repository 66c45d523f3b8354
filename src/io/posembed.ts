/**
 * Resizing learned position tables of vision transformers to another number of patches, as ALBEF does when it goes from 256 to
 * 384 pixels: bicubic, and the row of the class token stays.
 *
 * @module
 */

/** Coefficient of the cubic convolution, the one that PyTorch's bicubic interpolation uses. */
const A = -0.75;

/** Weights of the four neighbours of a point at `t` in [0, 1) between the second and the third (Keys, 1981). */
function cubicWeights(t: number): [number, number, number, number] {
  const near = (x: number) => ((A + 2) * x - (A + 3)) * x * x + 1;
  const far = (x: number) => ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
  return [far(1 + t), near(t), near(1 - t), far(2 - t)];
}

/** For each of `to` new points on a line of `from`: four neighbours, kept within the line, and their weights. */
function taps(from: number, to: number): { at: number[]; weights: number[] }[] {
  return Array.from({ length: to }, (_, point) => {
    const place = (point + 0.5) * from / to - 0.5, left = Math.floor(place);
    const at = [-1, 0, 1, 2].map((step) => Math.min(Math.max(left + step, 0), from - 1));
    return { at, weights: cubicWeights(place - left) };
  });
}

/** Whether a table of so many rows is one of a class token and a square grid. */
export function isSquareGrid(rows: number): boolean {
  return rows > 1 && Number.isInteger(Math.sqrt(rows - 1));
}

function gridSide(rows: number, which: string): number {
  if (isSquareGrid(rows)) return Math.sqrt(rows - 1);
  throw new RangeError(`Cannot resize positions: the ${which} table has ${rows} rows, must have 1 + a square number`);
}

/**
 * Resizes a position table to another square grid: bicubic with half-pixel centres, border rows repeated, no smoothing when the
 * grid shrinks. The first row, of the class token, is kept. A table that has the size already comes back as a copy.
 *
 * @param table (1 + s * s) x width, row-major.
 * @param width Elements per position.
 * @param rows Rows wanted, 1 + S * S.
 * @returns rows x width.
 * @throws {RangeError} When one of the grids is not square.
 */
export function resizePositionTable(table: Float32Array, width: number, rows: number): Float32Array<ArrayBuffer> {
  const from = gridSide(table.length / width, "given"), to = gridSide(rows, "wanted");
  const result = new Float32Array(rows * width);
  if (from === to) {
    result.set(table);
    return result;
  }
  result.set(table.subarray(0, width));
  const line = taps(from, to);
  line.forEach((y, row) =>
    line.forEach((x, column) => {
      const out = (1 + row * to + column) * width;
      for (let k = 0; k < width; k++) {
        let sum = 0;
        for (let i = 0; i < 4; i++) {
          for (let j = 0; j < 4; j++) {
            sum += y.weights[i]! * x.weights[j]! * table[(1 + y.at[i]! * from + x.at[j]!) * width + k]!;
          }
        }
        result[out + k] = sum;
      }
    })
  );
  return result;
}
