/**
 * What the tables say about seeds.
 *
 * @module
 */

// jStat has Student's quantile in one package without dependencies; simple-statistics has no quantile of it.
import jstat from "npm:jstat@1.9.6";

/** A value of each seed. */
export type BySeed = ReadonlyMap<number, number>;

/** The mean difference over seeds that two rows have in common. */
export interface Difference {
  /** How many seeds they have in common, at least one. */
  readonly seeds: number;
  /** The mean of value minus baseline. */
  readonly mean: number;
  /** Its 95 % confidence interval by Student's t; undefined for one seed. */
  readonly interval?: readonly [low: number, high: number];
}

/** The mean; NaN of nothing. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The sample's standard deviation, with n - 1; undefined for fewer than two values. */
export function standardDeviation(values: readonly number[]): number | undefined {
  if (values.length < 2) return undefined;
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

/** The differences of the seeds that both have; undefined if they share none. */
export function pairedDifference(values: BySeed, baseline: BySeed): Difference | undefined {
  const differences = [...values].filter(([seed]) => baseline.has(seed)).map(([seed, v]) => v - baseline.get(seed)!);
  const n = differences.length, centre = mean(differences), sd = standardDeviation(differences);
  if (n === 0) return undefined;
  if (sd === undefined) return { seeds: n, mean: centre };
  const half = jstat.studentt.inv(0.975, n - 1) * sd / Math.sqrt(n);
  return { seeds: n, mean: centre, interval: [centre - half, centre + half] };
}

/** How a difference agrees with what the paper found. */
export type Verdict = "as in the paper" | "not separated" | "opposite";

/** The verdict on a difference that is above 0 in the paper: an interval with 0 in it separates nothing, nor does one seed. */
export function verdict({ interval }: Difference, paperAbove = true): Verdict {
  if (!interval || (interval[0] <= 0 && interval[1] >= 0)) return "not separated";
  return interval[0] > 0 === paperAbove ? "as in the paper" : "opposite";
}
