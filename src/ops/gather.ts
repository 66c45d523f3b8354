/**
 * Rows of a table by id, and the sum of rows by id: an embedding lookup and its gradient.
 *
 * @module
 */
import gatherKernel from "../../kernels/gather.wgsl" with { type: "text" };
import scatterKernel from "../../kernels/scatter_add.wgsl" with { type: "text" };
import sortKernel from "../../kernels/sort_ids.wgsl" with { type: "text" };
import { UnsupportedError } from "../gpu/errors.ts";
import { apply, type Aval, bytesPerElement, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import type { BufferRef, Lowering } from "../program/lowering.ts";
import { ANY_TYPE, checkInput } from "./_check.ts";
import { flatKernel, MOST_TURNS } from "./_rows.ts";

/** Options of {@linkcode gather} and {@linkcode scatterAdd}. */
export interface GatherOptions {
  /** Id whose row of the table gets no gradient. Default: none. */
  readonly paddingIndex?: number;
}

interface ScatterAttrs extends GatherOptions {
  readonly rows: number;
}

const gatherOp: Op<GatherOptions> = {
  name: "gather",
  infer([table, ids]): Aval[] {
    checkInput("gather", "the table", table, ANY_TYPE, ["rows", "..."]);
    checkInput("gather", "ids", ids, ["i32", "u32"]);
    if (rowBytes(table!) % 4 !== 0) {
      throw new RangeError(`Cannot apply gather: a row must be whole 32-bit words: it is ${rowBytes(table!)} bytes`);
    }
    return [{ shape: [...ids!.shape, ...table!.shape.slice(1)], dtype: table!.dtype }];
  },
  lower(ctx, { inputs: [table, ids] }): void {
    const words = rowBytes(table!) / 4;
    const width = words % 4 === 0 ? 4 : 1;
    const kernel = flatKernel(ctx.device, gatherKernel, { consts: { VECTOR: width === 4 } });
    const count = sizeOf(ids!.shape) * words / width;
    ctx.dispatch({
      name: "gather",
      code: kernel.code,
      bindings: [...ctx.inputs, ...ctx.outputs, { words: [count, words / width, table!.shape[0]!] }],
      workgroups: kernel.workgroups(count),
    });
  },
  vjp: ({ inputs: [table, ids], attrs }, [ct]) => [scatterAdd(ct!, ids!, table!.shape[0]!, attrs), null],
};

const scatterAddOp: Op<ScatterAttrs> = {
  name: "scatterAdd",
  infer([x, ids], { rows }): Aval[] {
    checkInput("scatterAdd", "ids", ids, ["i32", "u32"]);
    checkInput("scatterAdd", "the rows", x, "f32", [...ids!.shape, "..."]);
    return [{ shape: [rows, ...x!.shape.slice(ids!.shape.length)], dtype: "f32" }];
  },
  lower(ctx, node): void {
    const count = sizeOf(node.inputs[1]!.shape);
    if (ctx.device.kind === "cpu" && count > MOST_TURNS) {
      throw new UnsupportedError(
        `Cannot apply scatterAdd: a CPU adapter takes at most ${MOST_TURNS} ids in one call: there are ${count}`,
      );
    }
    lowerSums(ctx, sortIds(ctx, count), count, node.avals[0]!, node.attrs.paddingIndex);
  },
  vjp({ inputs: [, ids], attrs: { paddingIndex } }, [ct]) {
    if (paddingIndex !== undefined) throw new Error("Cannot differentiate scatterAdd: it must have no paddingIndex");
    return [gather(ct!, ids!), null];
  },
};

function rowBytes({ shape, dtype }: Aval): number {
  return sizeOf(shape.slice(1)) * bytesPerElement(dtype);
}

/** Dispatches the sort of the ids: (sorted ids, their positions). */
function sortIds(ctx: Lowering, count: number): BufferRef[] {
  const kernel = flatKernel(ctx.device, sortKernel, { loops: true });
  const results = [ctx.scratch(count * 4, "u32"), ctx.scratch(count * 4, "u32")];
  ctx.dispatch({
    name: "scatterAdd/sort",
    code: kernel.code,
    bindings: [ctx.inputs[1]!, ...results, { words: [count] }],
    workgroups: kernel.workgroups(count),
  });
  return results;
}

/** Dispatches the sums: 8 or 32 threads for a stripe of up to 16 loads each, fewer where one id may have many rows. */
function lowerSums(ctx: Lowering, sorted: BufferRef[], count: number, out: Aval, paddingIndex = 0xffffffff): void {
  const size = sizeOf(out.shape.slice(1));
  const width = size % 4 === 0 ? 4 : 1;
  const lanes = ctx.device.kind === "cpu" ? 8 : 32;
  const kernel = flatKernel(ctx.device, scatterKernel, { loops: true, consts: { VECTOR: width === 4, LANES: lanes } });
  const loads = Math.max(1, Math.min(16, Math.floor(MOST_TURNS / count)));
  const stripes = Math.ceil(size / width / (loads * lanes));
  const stripe = Math.ceil(size / width / stripes);
  const rows = out.shape[0]!;
  ctx.dispatch({
    name: "scatterAdd/sum",
    code: kernel.code,
    bindings: [ctx.inputs[0]!, ...sorted, ...ctx.outputs, {
      words: [count, rows, size / width, stripe, stripes, paddingIndex],
    }],
    workgroups: kernel.workgroups(rows * stripes * lanes),
  });
}

/**
 * Rows of `table` by id: [...ids, ...rest].
 *
 * Ids must be from 0 to rows - 1. The GPU does not check them (an id beyond the last row reads the last row and gives no
 * gradient): data loaders do. Gradients are added up in the order of the ids, so they are the same in every run.
 *
 * @param table [rows, ...rest], any type.
 * @param ids i32 or u32, any shape.
 */
export function gather(table: Tensor, ids: Tensor, options: GatherOptions = {}): Tensor {
  return apply(gatherOp, [table, ids], options);
}

/**
 * Sums of rows by id: result row v is the sum of `x[n]` over all n with `ids[n] === v`, in the order of n. Ids beyond the
 * last row are left out; row `paddingIndex` is 0.
 *
 * @param x f32 [...ids, ...rest].
 * @param ids i32 or u32, any shape.
 * @param rows Number of result rows.
 */
export function scatterAdd(x: Tensor, ids: Tensor, rows: number, options: GatherOptions = {}): Tensor {
  return apply(scatterAddOp, [x, ids], { ...options, rows });
}

/** The ops, for tests of a single kernel. */
export const gatherOps: { readonly gather: Op<GatherOptions>; readonly scatterAdd: Op<ScatterAttrs> } = {
  gather: gatherOp,
  scatterAdd: scatterAddOp,
};
