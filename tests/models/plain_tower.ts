/** A vision transformer in plain float64 loops, one image at a time. */
import type { TowerConfig } from "../../src/models/image_tower.ts";
import { attended, normed, plainRows, product, type Values } from "./plain_decoder.ts";

const sum = (a: readonly number[], b: readonly number[]): number[] => a.map((v, i) => v + b[i]!);

/** erf by its series, to all digits for the small arguments of these tests. */
function erf(x: number): number {
  let term = x, total = x;
  for (let n = 1; n < 200; n++) term *= -x * x / n, total += term / (2 * n + 1);
  return 2 / Math.sqrt(Math.PI) * total;
}

/** GELU, exact or by tanh. */
export function plainGelu(x: number, kind: TowerConfig["gelu"] = "none"): number {
  const inner = kind === "tanh" ? Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)) : erf(x / Math.SQRT2);
  return x / 2 * (1 + inner);
}

/** W x + b. */
export function plainLinear(values: Values, name: string, x: readonly number[]): number[] {
  const bias = Array.from(values.get(`${name}.bias`)!);
  return sum(product(values.get(`${name}.weight`)!, x, [0, bias.length]), bias);
}

/** States of the patches of one image. */
export function plainTower(values: Values, patches: readonly (readonly number[])[], config: TowerConfig): number[][] {
  const { width, depth, heads, registers = 0, eps, gelu } = config, table = values.get("pos_embed")!;
  const all = (name: string, count: number): number[][] =>
    values.has(name) ? plainRows(values.get(name)!, width, Array.from({ length: count }, (_, i) => i)) : [];
  const classes = all("cls_token", 1),
    embedded = patches.map((patch) => plainLinear(values, "patch_embed.proj", patch));
  const placed = [...classes, ...embedded].map((row, i) => sum(row, plainRows(table, width, [i])[0]!));
  let x = [...placed.slice(0, classes.length), ...all("reg_token", registers), ...placed.slice(classes.length)];
  for (let block = 0; block < depth; block++) {
    const name = (part: string): string => `blocks.${block}.${part}`;
    const scaled = (part: string, row: number[]): number[] => {
      const gamma = values.get(name(`${part}.gamma`));
      return gamma ? row.map((v, i) => v * gamma[i]!) : row;
    };
    const qkv = x.map((row) => plainLinear(values, name("attn.qkv"), normed(values, name("norm1"), row, { eps })));
    const third = (i: number): number[][] => qkv.map((row) => row.slice(i * width, (i + 1) * width));
    const [q, k, v] = [third(0), third(1), third(2)];
    x = x.map((row, t) => {
      const after = sum(row, scaled("ls1", plainLinear(values, name("attn.proj"), attended(q![t]!, k!, v!, heads))));
      const hidden = plainLinear(values, name("mlp.fc1"), normed(values, name("norm2"), after, { eps }));
      const out = plainLinear(values, name("mlp.fc2"), hidden.map((h) => plainGelu(h, gelu)));
      return sum(after, scaled("ls2", out));
    });
  }
  const states = x.slice(-patches.length);
  return values.has("norm.weight") ? states.map((row) => normed(values, "norm", row, { eps })) : states;
}
