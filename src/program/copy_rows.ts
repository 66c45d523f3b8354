/**
 * Block copies: what slices, concatenations and unaligned views run.
 *
 * @module
 */
import copySource from "../../kernels/copy_rows.wgsl" with { type: "text" };
import prelude from "../../kernels/prelude.wgsl" with { type: "text" };
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
  return {
    name,
    code: prelude + copySource,
    bindings: [from, to, { words: [c.rows, columns!, ...places] }],
    workgroups: Math.ceil(c.rows * columns! / 64),
  };
}
