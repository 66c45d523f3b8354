/**
 * The learning rate of ALBEF and GRIT-VLP.
 *
 * @module
 */

/** Numbers of the schedule; the defaults are those of pre-training. */
export interface ScheduleOptions {
  /** Largest rate. @default 1e-4 */
  readonly rate?: number;
  /** Last rate. @default 1e-5 */
  readonly minRate?: number;
  /** Rate of the first block of warm-up steps. @default 1e-5 */
  readonly warmupRate?: number;
  /** Blocks of 100 steps over which the rate rises, in the first epoch. @default 20 */
  readonly warmupBlocks?: number;
  /** Steps in a block. @default 100 */
  readonly blockSteps?: number;
  /** Epochs of the cosine (the official yaml says 30 and stops after 20). @default 30 */
  readonly epochs?: number;
}

/** The rate of block or epoch t: linear from `warmupRate` for t < warmupBlocks, then the cosine over t - warmupBlocks. */
export function rateAt(t: number, options: ScheduleOptions = {}): number {
  const { rate = 1e-4, minRate = 1e-5, warmupRate = 1e-5, warmupBlocks = 20, epochs = 30 } = options;
  if (t < warmupBlocks) return warmupRate + t * (rate - warmupRate) / warmupBlocks;
  const after = t - warmupBlocks;
  return after >= epochs ? minRate : minRate + (rate - minRate) * (1 + Math.cos(Math.PI * after / epochs)) / 2;
}

/**
 * The rate used by step `step` of epoch `epoch`. In epoch 0 the rate rises in blocks of 100 steps (the rate of block k is set
 * after step 100 k, and then holds); from epoch 1 on it is set once an epoch. A short epoch 0 cuts the warm-up off.
 */
export function learningRate(epoch: number, step: number, options: ScheduleOptions = {}): number {
  const { warmupBlocks = 20, blockSteps = 100 } = options;
  if (epoch > 0) return rateAt(epoch + warmupBlocks, options);
  return rateAt(Math.min(warmupBlocks, Math.max(0, Math.floor((step - 1) / blockSteps))), options);
}

/** A schedule by steps for short runs: linear warm-up over `warmup` steps, then a cosine to `minRate` at `total`. */
export function cosineBySteps(
  step: number,
  options: { rate: number; minRate: number; warmup: number; total: number },
): number {
  const { rate, minRate, warmup, total } = options;
  if (step < warmup) return rate * (step + 1) / warmup;
  const t = Math.min(1, (step - warmup) / Math.max(1, total - warmup));
  return minRate + (rate - minRate) * (1 + Math.cos(Math.PI * t)) / 2;
}
