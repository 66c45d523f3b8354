/** What all benchmarks share, ours and the peers': the timing rule, FLOP counts and the line that is printed. */

/** Times of one piece of work, milliseconds. */
export interface Times {
  readonly best: number;
  readonly median: number;
}

/** One printed line. */
export interface Line {
  readonly library: string;
  readonly backend: string;
  readonly work: string;
  readonly best_ms: number;
  readonly median_ms: number;
  readonly gflops: number;
  readonly [further: string]: number | string | boolean;
}

/** Best and median of `repeats` runs after one that is not counted. Each run is waited for. */
export async function measure(run: () => Promise<void>, repeats = 5): Promise<Times> {
  await run();
  const times: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return { best: Math.min(...times), median: median(times) };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A product of two N x N matrices. */
export function matmulFlop(n: number): number {
  return 2 * n ** 3;
}

/** A pre-norm ViT block on [B, T, D] with an MLP of 4 D, forward and twice as much backward. */
export function blockFlop(batch: number, tokens: number, width: number): number {
  const maps = 2 * batch * tokens * width * 12 * width, attention = 4 * batch * tokens * tokens * width;
  return 3 * (maps + attention);
}

export function line(
  library: string,
  backend: string,
  work: string,
  flop: number,
  { best, median }: Times,
  further: Readonly<Record<string, number | string | boolean>> = {},
): Line {
  const gflops = round(flop / median / 1e6);
  return { library, backend, work, best_ms: round(best), median_ms: round(median), gflops, ...further };
}

export function round(x: number, digits = 2): number {
  return Number(x.toFixed(digits));
}

/** Uniform numbers in [-scale, scale]. */
export function uniform(length: number, scale = 1): Float32Array {
  return Float32Array.from({ length }, () => scale * (2 * Math.random() - 1));
}
