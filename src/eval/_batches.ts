/**
 * Rows of a set that are taken at a time.
 *
 * @module
 */
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";
import { leaves, type Tree } from "../program/tree.ts";

/** `size` numbers from `from` on, below `count`; the last one repeated. */
export function indicesFrom(from: number, size: number, count: number): number[] {
  return Array.from({ length: size }, (_, i) => Math.min(from + i, count - 1));
}

/** The rows of a matrix of `width` columns, row-major. */
export function takeRows<T extends Float32Array | Uint32Array>(
  values: ArrayLike<number>,
  width: number,
  rows: readonly number[],
  type: new (length: number) => T,
): T {
  const out = new type(rows.length * width);
  rows.forEach((row, i) => {
    for (let k = 0; k < width; k++) out[i * width + k] = values[row * width + k]!;
  });
  return out;
}

/** Ids and mask, row-major [texts, length], of some texts. */
export function textRows(
  { ids, mask, length }: { readonly ids: ArrayLike<number>; readonly mask: ArrayLike<number>; readonly length: number },
  rows: readonly number[],
): [Tensor, Tensor] {
  const shape = [rows.length, length];
  return [
    tensor(takeRows(ids, length, rows, Uint32Array), shape),
    tensor(takeRows(mask, length, rows, Float32Array), shape),
  ];
}

/** Gives the GPU memory of results back now, which must not be used any more. */
export function release(results: Tree): void {
  for (const { node, index } of leaves(results)) node.storage[index]?.release();
}
