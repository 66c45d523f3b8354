/**
 * Learning rates of the main run, of the branches that leave it, and of instruction tuning (Keh et al. 2025, figures 1 and 3).
 *
 * @module
 */
import { cosineBySteps } from "../../mod.ts";

/** The curve of the main run: a rise, then half a wave of the cosine down to the floor. */
export interface Curve {
  /** Steps of the whole curve. */
  readonly steps: number;
  /** Steps of the rise. */
  readonly warmup: number;
  /** Largest rate. */
  readonly rate: number;
  /** Last rate. */
  readonly floor: number;
}

/** The rate of a step of a curve. */
export function curveRate({ steps, warmup, rate, floor }: Curve, step: number): number {
  return cosineBySteps(step, { rate, minRate: floor, warmup, total: steps });
}

/** A branch that leaves the main run. */
export interface Branch {
  /** Where, as a share of the main run's steps. */
  readonly start: number;
  /** Its steps B. */
  readonly steps: number;
  /** What a branch of the finished run warms up to, as a share of the main curve's largest rate: there is no rate left to go on with. */
  readonly rewarm: number;
}

/** Of a branch that has to warm up, the share of its steps that the rise takes at most. */
const RISE = 0.1;

/**
 * The rates of a branch: from the main curve's rate at its start down to the floor in equal steps. A branch that leaves while the main
 * run is warming up warms up to its end first; that of the finished run warms up again.
 */
export function branchRates(curve: Curve, { start, steps, rewarm }: Branch): (step: number) => number {
  const from = Math.round(start * curve.steps), most = Math.max(1, Math.floor(RISE * steps));
  const rise = start >= 1 ? most : Math.min(most, Math.max(0, curve.warmup - from));
  const top = start >= 1 ? rewarm * curve.rate : rise ? curve.rate : curveRate(curve, from);
  const down = Math.max(1, steps - 1 - rise);
  return (step) => {
    if (step < rise) return top * (step + 1) / rise;
    return top + (curve.floor - top) * Math.min(1, (step - rise) / down);
  };
}
