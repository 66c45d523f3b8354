/** A decoder language model in plain float64 loops, one document at a time. */
import type { DecoderConfig } from "../../src/models/decoder_config.ts";
import { entries, type Tree } from "../../src/program/tree.ts";

/** Parameters by name. */
export type Values = ReadonlyMap<string, ArrayLike<number>>;

/** The parameters of a tree on the host. */
export function valuesOf(p: Tree): Values {
  return new Map(entries(p).map(([name, t]) => [name, t.node.host!]));
}

/** Rows of a matrix times a vector. */
export function product(weight: ArrayLike<number>, x: readonly number[], rows: readonly [number, number]): number[] {
  const [from, to] = rows;
  return Array.from({ length: to - from }, (_, i) => {
    const at = (from + i) * x.length;
    return x.reduce((sum, v, k) => sum + v * weight[at + k]!, 0);
  });
}

/** LayerNorm or RMSNorm of a row. */
export function normed(
  values: Values,
  name: string,
  x: readonly number[],
  { norm, eps = 1e-5 }: Pick<DecoderConfig, "norm" | "eps">,
): number[] {
  const weight = values.get(`${name}.weight`)!, bias = values.get(`${name}.bias`);
  const mean = norm === "rms" ? 0 : x.reduce((a, b) => a + b, 0) / x.length;
  const scale = Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length + eps);
  return x.map((v, i) => (v - mean) / scale * weight[i]! + (bias?.[i] ?? 0));
}

function turned(x: readonly number[], position: number, { heads, rotaryBase = 10000 }: DecoderConfig): number[] {
  const width = x.length / heads, half = width / 2;
  return x.map((v, at) => {
    const column = at % width, pair = column % half, angle = position * rotaryBase ** (-pair / half);
    const other = column < half ? -x[at + half]! : x[at - half]!;
    return v * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** What a row of queries reads of the keys and values that it sees. */
export function attended(q: readonly number[], keys: number[][], values: number[][], heads: number): number[] {
  const width = q.length / heads;
  return Array.from({ length: heads }, (_, head) => {
    const own = (x: readonly number[]): number[] => x.slice(head * width, (head + 1) * width), row = own(q);
    const scores = keys.map((k) => own(k).reduce((sum, v, i) => sum + v * row[i]!, 0) / Math.sqrt(width));
    const top = Math.max(...scores),
      shares = scores.map((s) => Math.exp(s - top)),
      all = shares.reduce((a, b) => a + b);
    return row.map((_, i) => shares.reduce((sum, share, k) => sum + share / all * own(values[k]!)[i]!, 0));
  }).flat();
}

/** States after the last norm of the embeddings of one document, whose first token is at position 0. */
export function plainStates(
  values: Values,
  document: readonly (readonly number[])[],
  config: DecoderConfig,
): number[][] {
  const { width, heads, layers } = config,
    add = (a: readonly number[], b: readonly number[]) => a.map((v, i) => v + b[i]!);
  let x = document.map((row) => [...row]);
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string): string => `layers.${layer}.${part}`;
    const weight = (part: string): ArrayLike<number> => values.get(name(`${part}.weight`))!;
    const own = (part: string, row: number[]): number[] =>
      values.has(name(`attention.${part}.weight`)) ? normed(values, name(`attention.${part}`), row, config) : row;
    const qkv = x.map((row) => {
      const h = normed(values, name("attention_norm"), row, config), matrix = weight("attention.in_proj");
      return [0, 1, 2].map((i) => product(matrix, h, [i * width, (i + 1) * width]));
    });
    const q = qkv.map(([q], t) => turned(own("q_norm", q!), t, config));
    const k = qkv.map(([, k], t) => turned(own("k_norm", k!), t, config)), v = qkv.map(([, , v]) => v!);
    x = x.map((row, t) => {
      const seen = attended(q[t]!, k.slice(0, t + 1), v.slice(0, t + 1), heads);
      const after = add(row, product(weight("attention.out_proj"), seen, [0, width]));
      const h = normed(values, name("ffn_norm"), after, config), matrix = weight("feed_forward.w12");
      const hidden = matrix.length / width / 2, up = product(matrix, h, [hidden, 2 * hidden]);
      const gated = product(matrix, h, [0, hidden]).map((g, i) => g / (1 + Math.exp(-g)) * up[i]!);
      return add(after, product(weight("feed_forward.w3"), gated, [0, width]));
    });
  }
  return x.map((row) => normed(values, "norm", row, config));
}

/** Rows of a matrix by number. */
export function plainRows(matrix: ArrayLike<number>, width: number, ids: readonly number[]): number[][] {
  return ids.map((id) => Array.from({ length: width }, (_, i) => matrix[id * width + i]!));
}

/** Logits of states. */
export function plainLogits(values: Values, states: readonly number[][], { vocabulary }: DecoderConfig): number[][] {
  const head = values.get("output.weight") ?? values.get("tok_embeddings.weight")!;
  return states.map((row) => product(head, row, [0, vocabulary]));
}

/** log(sum(exp(x))). */
export function plainLogSumExp(x: readonly number[]): number {
  const top = Math.max(...x);
  return top + Math.log(x.reduce((sum, v) => sum + Math.exp(v - top), 0));
}
