/**
 * Learned positions of a vision transformer for images of another size than its table's.
 *
 * @module
 */
import { resizeBicubic } from "../io/bicubic.ts";
import { matmul } from "../ops/matmul.ts";
import { concat, reshape, slice } from "../ops/shape.ts";
import { tensor } from "../program/compile.ts";
import type { Tensor } from "../program/graph.ts";

/**
 * A table [1, 1 + S * S, D] resized to `patches` positions behind that of [CLS], bicubic as when a checkpoint is loaded, but within the
 * program: the table keeps its size, and gradients flow to it. The same table where it has the size.
 *
 * @throws {RangeError} If one of the grids is not square.
 */
export function positionsFor(table: Tensor, patches: number): Tensor {
  const [, rows, width] = table.shape as [number, number, number], count = rows - 1;
  if (count === patches) return table;
  if ([count, patches].some((n) => n < 1 || !Number.isInteger(Math.sqrt(n)))) {
    throw new RangeError(
      `Cannot resize positions: both grids must be square: they have ${count} and ${patches} patches`,
    );
  }
  const positions = reshape(slice(table, 1, 1, rows), [count, width]);
  const resized = matmul(tensor(shares(count, patches), [patches, count]), positions);
  return concat([slice(table, 1, 0, 1), reshape(resized, [1, patches, width])], 1);
}

/** What each new position takes of each old one: the resized grids that have a 1 at one position. */
function shares(count: number, patches: number): Float32Array {
  const from = Math.sqrt(count), to = Math.sqrt(patches), ones = new Float32Array(count * count);
  for (let i = 0; i < count; i++) ones[i * count + i] = 1;
  return resizeBicubic(ones, [from, from], [to, to], count);
}
