/** Attention and its gradients by the formulas, in float64. */
import { philox } from "../../src/random/philox.ts";

/** One attention to check: sizes, options, host data. */
export interface AttentionCase {
  readonly batch: number;
  readonly tq: number;
  readonly tk: number;
  readonly heads: number;
  readonly width: number;
  readonly causal?: boolean;
  readonly mask?: (b: number, j: number) => number;
  readonly dropout?: number;
  readonly size?: number;
}

/** Where the bits of dropout come from. */
export const stream = 7, key = Uint32Array.of(0x1234567, 0x89abcdef);

/** Results of the formulas in f64: out, lse, dq, dk, dv. */
export function reference(c: AttentionCase, [q, k, v, g]: readonly ArrayLike<number>[]): Float64Array[] {
  const { batch, tq, tk, heads, width } = c;
  const depth = heads * width, scale = 1 / Math.sqrt(width);
  const [out, dq] = [0, 0].map(() => new Float64Array(batch * tq * depth)) as [Float64Array, Float64Array];
  const [dk, dv] = [0, 0].map(() => new Float64Array(batch * tk * depth)) as [Float64Array, Float64Array];
  const lse = new Float64Array(batch * heads * tq);
  for (let group = 0; group < batch * heads; group++) {
    const b = Math.floor(group / heads), column = (group % heads) * width;
    for (let i = 0; i < tq; i++) {
      const at = (b * tq + i) * depth + column;
      const other = (j: number) => (b * tk + j) * depth + column;
      const dot = (x: ArrayLike<number>, xAt: number, y: ArrayLike<number>, yAt: number) => {
        let sum = 0;
        for (let d = 0; d < width; d++) sum += x[xAt + d]! * y[yAt + d]!;
        return sum;
      };
      const n = c.causal ? Math.max(0, i + 1 + tk - tq) : tk;
      if (n === 0) continue; // a row that sees no key is 0
      const s = Array.from({ length: n }, (_, j) => masked(scale * dot(q!, at, k!, other(j)), c.mask?.(b, j) ?? 0));
      const top = s.reduce((x, y) => Math.max(x, y));
      const sum = s.reduce((x, y) => x + Math.exp(y - top), 0);
      lse[group * tq + i] = top + Math.log(sum);
      const p = s.map((x) => Math.exp(x - top) / sum);
      const keep = p.map((_, j) => keepFactor(c.dropout ?? 0, group, i, j));
      const dp = p.map((_, j) => keep[j]! * dot(g!, at, v!, other(j)));
      const delta = dp.reduce((x, y, j) => x + y * p[j]!, 0);
      for (let j = 0; j < n; j++) {
        const kept = p[j]! * keep[j]!, ds = p[j]! * (dp[j]! - delta) * scale;
        for (let d = 0; d < width; d++) {
          out[at + d]! += kept * v![other(j) + d]!;
          dv[other(j) + d]! += kept * g![at + d]!;
          dq[at + d]! += ds * k![other(j) + d]!;
          dk[other(j) + d]! += ds * q![at + d]!;
        }
      }
    }
  }
  return [out, lse, dq, dk, dv];
}

/** A score and its mask, rounded as f32 is where that matters; -Infinity becomes finite, so a row of it is uniform. */
function masked(score: number, mask: number): number {
  return mask > -1e6 ? score + mask : Math.fround(Math.max(score + mask, -1e38));
}

/** 0 for a dropped probability, else 1 / (1 - p): 16 bits of Philox for each, eight keys a counter. */
function keepFactor(probability: number, group: number, i: number, j: number): number {
  const threshold = Math.round(probability * 65536);
  if (threshold === 0) return 1;
  const words = philox([j >> 3, i, group, stream], key);
  const bits = (words[(j % 8) >> 1]! >>> (16 * (j & 1))) & 0xffff;
  return bits < threshold ? 0 : 65536 / (65536 - threshold);
}
