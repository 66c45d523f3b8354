/**
 * Any axis as the last one, for the ops whose kernels work on rows.
 *
 * @module
 */
import { sizeOf, type Tensor } from "../program/graph.ts";
import { checkAxis } from "./_check.ts";
import { reshape } from "./shape.ts";
import { transpose } from "./transpose.ts";

/** A tensor as rows along one of its axes. */
export interface Rows {
  /** [rows, length]. */
  readonly rows: Tensor;
  /** Rows of any length (results) in the place of that axis. */
  restore(y: Tensor): Tensor;
}

/** The rows of x along `axis` (negative: from the end). */
export function rowsAlong(name: string, x: Tensor, axis: number): Rows {
  const rank = x.shape.length, at = checkAxis(name, axis, rank);
  const others = x.shape.map((_, i) => i).filter((i) => i !== at), length = x.shape[at]!;
  const back = x.shape.map((_, i) => i < at ? i : i === at ? rank - 1 : i - 1);
  const last = at === rank - 1, outer = others.map((i) => x.shape[i]!);
  return {
    rows: reshape(last ? x : transpose(x, [...others, at]), [sizeOf(outer), length]),
    restore: (y) => {
      const moved = reshape(y, [...outer, y.shape[1]!]);
      return last ? moved : transpose(moved, back);
    },
  };
}
