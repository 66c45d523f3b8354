/**
 * What moves data for the planner: block copies, which slices, concatenations and unaligned views run, and clearing.
 *
 * @module
 */
import clearSource from "../../kernels/clear.wgsl" with { type: "text" };
import copySource from "../../kernels/copy_rows.wgsl" with { type: "text" };
import flat from "../../kernels/flat.wgsl" with { type: "text" };
import { type Bindings, kernel } from "../gpu/kernel.ts";
import type { BufferRef, Dispatch } from "./lowering.ts";

/** Rows and columns of a block copy, see kernels/copy_rows.wgsl. In elements. */
export interface BlockCopy {
  readonly rows: number;
  readonly columns: number;
  readonly fromStride: number;
  readonly fromOffset: number;
  readonly toStride: number;
  readonly toOffset: number;
}

const THREADS = 64;

/**
 * The dispatch of a block copy.
 *
 * @throws {RangeError} if it would cut a 32-bit word: 16-bit floats are copied in pairs.
 */
export function copyRows(name: string, from: BufferRef, to: BufferRef, c: BlockCopy): Dispatch {
  const perWord = from.dtype === "f16" ? 2 : 1;
  const [columns, ...places] = [c.columns, c.fromStride, c.fromOffset, c.toStride, c.toOffset].map((n) => n / perWord);
  if (![columns, ...places].every(Number.isInteger)) {
    throw new RangeError(
      `Cannot copy a part of f16 values (${name}): its rows must start and end at even elements: it copies ` +
        `${c.columns} from ${c.fromOffset} on to ${c.toOffset}; cast to f32 first`,
    );
  }
  const [from_stride, from_offset, to_stride, to_offset] = places as [number, number, number, number];
  const u = { count: c.rows * columns!, columns: columns!, from_stride, from_offset, to_stride, to_offset };
  return over(u.count, name, copySource, { x: from, y: to, u });
}

/** The dispatch that sets all words of a range to 0. */
export function clear(y: BufferRef): Dispatch {
  const words = y.bytes / 4, count = Math.ceil(words / 4);
  return over(count, "clear", clearSource, { y, u: { count, words } }, { WIDE: words % 4 === 0 });
}

function over(
  threads: number,
  name: string,
  source: string,
  bindings: Bindings,
  consts: Readonly<Record<string, boolean>> = {},
): Dispatch {
  const { bind } = kernel(name, source, { library: flat, consts: { ...consts, THREADS } });
  return { ...bind(bindings), workgroups: Math.ceil(threads / THREADS) };
}
