/** The normal distribution in float64, and how far samples are from a distribution. */

/** The error function: Abramowitz and Stegun 7.1.5 (series) and 7.1.14 (continued fraction). */
export function erfReference(x: number): number {
  if (Math.abs(x) > 3) {
    let fraction = 0;
    for (let k = 60; k > 0; k--) fraction = k / 2 / (Math.abs(x) + fraction);
    return Math.sign(x) * (1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * (Math.abs(x) + fraction)));
  }
  let term = x, total = x;
  for (let n = 1; n < 80; n++) total += (term *= -x * x / n) / (2 * n + 1);
  return 2 / Math.sqrt(Math.PI) * total;
}

/** The inverse of the error function for |x| < 1: its series near 0, by halving elsewhere. */
export function erfInvReference(x: number): number {
  if (Math.abs(x) < 1e-4) return Math.sqrt(Math.PI) / 2 * (x + Math.PI / 12 * x ** 3);
  let low = -6, high = 6;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (erfReference(middle) < x) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The share of the normal distribution below x. */
export function normalShare(x: number): number {
  return (1 + erfReference(x / Math.SQRT2)) / 2;
}

/** Mean and variance of samples. */
export function moments(samples: ArrayLike<number>): { mean: number; variance: number } {
  const x = Array.from(samples), mean = x.reduce((a, b) => a + b) / x.length;
  return { mean, variance: x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length };
}

/**
 * Kolmogorov and Smirnov's distance of samples from a distribution, times the root of their number: below 1.95 with a
 * probability of 99.9 % if they are drawn from it.
 */
export function distance(samples: ArrayLike<number>, share: (x: number) => number): number {
  const x = Float64Array.from(samples).sort(), n = x.length;
  const most = x.reduce((most, v, i) => Math.max(most, share(v) - i / n, (i + 1) / n - share(v)), 0);
  return most * Math.sqrt(n);
}

/** Pearson's statistic of counts that should be in proportion to `shares`. */
export function chiSquare(counts: ArrayLike<number>, shares: ArrayLike<number>): number {
  const total = Array.from(counts).reduce((a, b) => a + b), whole = Array.from(shares).reduce((a, b) => a + b);
  return Array.from(shares).reduce((all, share, i) => {
    const expected = total * share / whole;
    return all + (counts[i]! - expected) ** 2 / expected;
  }, 0);
}
