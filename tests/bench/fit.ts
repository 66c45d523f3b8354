/** Least squares for cost curves. */

/** y = sum of coefficients[i] * x^powers[i], fitted. */
export interface Fit {
  readonly powers: readonly number[];
  readonly coefficients: readonly number[];
  /** Share of the variance that the curve explains. */
  readonly r2: number;
}

/** Fits the given powers of x by the normal equations; x is scaled so that they are well conditioned. */
export function fit(xs: readonly number[], ys: readonly number[], powers: readonly number[]): Fit {
  const largest = Math.max(...xs), rows = xs.map((x) => powers.map((p) => (x / largest) ** p));
  const matrix = powers.map((_, i) => powers.map((_, j) => rows.reduce((n, r) => n + r[i]! * r[j]!, 0)));
  const solved = solve(matrix, powers.map((_, i) => rows.reduce((n, r, k) => n + r[i]! * ys[k]!, 0)));
  const mean = ys.reduce((a, b) => a + b, 0) / ys.length;
  const error = rows.reduce((n, r, k) => n + (ys[k]! - r.reduce((s, v, i) => s + v * solved[i]!, 0)) ** 2, 0);
  const spread = ys.reduce((n, y) => n + (y - mean) ** 2, 0);
  return { powers, coefficients: solved.map((c, i) => c / largest ** powers[i]!), r2: 1 - error / spread };
}

/** Gauss and Jordan's elimination of a small positive definite system. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  rows.forEach((pivot, i) => {
    const scale = pivot[i]!;
    pivot.forEach((v, j) => pivot[j] = v / scale);
    for (const other of rows) {
      const factor = other[i]!;
      if (other !== pivot) other.forEach((v, j) => other[j] = v - factor * pivot[j]!);
    }
  });
  return rows.map((row) => row.at(-1)!);
}

/** The exponent of the power law through the points: 1 where y is proportional to x. */
export function exponent(xs: readonly number[], ys: readonly number[]): number {
  const { coefficients } = fit(xs.map((x) => Math.log(x)), ys.map((y) => Math.log(y)), [0, 1]);
  return coefficients[1]!;
}
