/** Features for the tests of the sampler. */
import { Random } from "../../src/random/random.ts";
import type { Features } from "../../src/grit/walk.ts";

/** Image and text features of pairs. */
export interface Pairs {
  readonly image: Features;
  readonly text: Features;
}

/**
 * Unit vectors around `clusters` random centres; image and text of one pair are close to each other. More clusters than
 * pairs: no structure.
 */
export function randomPairs(count: number, width: number, clusters: number, seed: number): Pairs {
  const random = new Random(seed);
  const centres = gaussian(random, clusters * width);
  const image = new Float32Array(count * width);
  const text = new Float32Array(count * width);
  for (let i = 0; i < count; i++) {
    const from = random.below(clusters) * width;
    const pair = gaussian(random, width);
    for (const rows of [image, text]) {
      const noise = gaussian(random, width);
      rows.set(unit(noise.map((n, k) => centres[from + k]! + 0.5 * pair[k]! + 0.25 * n)), i * width);
    }
  }
  return { image: { data: image, width }, text: { data: text, width } };
}

/** Similarity of rows of `a` (rows of the result) and of `b` (columns), rounded to f32 at the end. */
export function similarity(a: Features, b: Features, rows: ArrayLike<number>): Float32Array {
  const { width } = a;
  const out = new Float32Array(rows.length ** 2);
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < rows.length; j++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += a.data[rows[i]! * width + k]! * b.data[rows[j]! * width + k]!;
      out[i * rows.length + j] = sum;
    }
  }
  return out;
}

function gaussian(random: Random, count: number): number[] {
  return Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform()),
  );
}

function unit(v: number[]): number[] {
  const norm = Math.hypot(...v);
  return v.map((x) => x / norm);
}
