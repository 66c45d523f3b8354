/**
 * Bicubic interpolation of grids as PyTorch's `interpolate` does it: cubic convolution, half-pixel centres, border rows repeated, and no
 * smoothing when a grid shrinks.
 *
 * @module
 */

/** Coefficient of the cubic convolution, the one that PyTorch uses. */
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

/** Height and width of a grid. */
export type GridSize = readonly [height: number, width: number];

/**
 * Resizes a grid, first along its columns, then along its rows.
 *
 * @param grid Points of `channels` numbers each, row-major.
 * @param from Its size.
 * @param to The size wanted.
 * @returns The resized grid, row-major.
 * @throws {RangeError} If `grid` does not have the size, or a size is no positive integer.
 */
export function resizeBicubic(
  grid: ArrayLike<number>,
  from: GridSize,
  to: GridSize,
  channels = 1,
): Float32Array<ArrayBuffer> {
  const [rows, columns] = from, [height, width] = to, row = columns * channels;
  if (grid.length !== rows * row) {
    throw new RangeError(
      `Cannot resize a grid: ${rows} x ${columns} x ${channels} numbers must be given: there are ${grid.length}`,
    );
  }
  if (![height, width].every((n) => Number.isInteger(n) && n > 0)) {
    throw new RangeError(`Cannot resize a grid: the new size must be positive integers: it is ${height} x ${width}`);
  }
  const tall = new Float64Array(height * row), result = new Float32Array(height * width * channels);
  taps(rows, height).forEach(({ at, weights }, y) => {
    for (let k = 0; k < row; k++) {
      let sum = 0;
      for (let i = 0; i < 4; i++) sum += weights[i]! * grid[at[i]! * row + k]!;
      tall[y * row + k] = sum;
    }
  });
  const across = taps(columns, width);
  for (let y = 0, out = 0; y < height; y++) {
    for (const { at, weights } of across) {
      for (let k = 0; k < channels; k++, out++) {
        let sum = 0;
        for (let i = 0; i < 4; i++) sum += weights[i]! * tall[y * row + at[i]! * channels + k]!;
        result[out] = sum;
      }
    }
  }
  return result;
}
