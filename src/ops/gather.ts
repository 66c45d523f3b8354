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
import { flatKernel, MOST_TURNS, widthOf } from "./_rows.ts";

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
    const width = widthOf(words);
    const kernel = flatKernel("gather", gatherKernel, { device: ctx.device, consts: { VECTOR: width === 4 } });
    const count = sizeOf(ids!.shape) * words / width;
    const u = { count, words: words / width, rows: table!.shape[0]! };
    ctx.dispatch(kernel.over(count, { table: ctx.inputs[0], ids: ctx.inputs[1], y: ctx.outputs[0], u }));
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

/** Ids in order, and where each was. */
interface SortedIds {
  readonly sorted: BufferRef;
  readonly order: BufferRef;
}

/** Dispatches the sort of the ids. */
function sortIds(ctx: Lowering, count: number): SortedIds {
  const kernel = flatKernel("scatterAdd/sort", sortKernel, { device: ctx.device, loops: true });
  const sorted = ctx.scratch(count * 4, "u32"), order = ctx.scratch(count * 4, "u32");
  ctx.dispatch(kernel.over(count, { ids: ctx.inputs[1], sorted, order, u: { count } }));
  return { sorted, order };
}

/** An id that no row has. */
const NO_ID = 0xffffffff;

/** Loads of a stripe that a lane takes at most. */
const STRIPE_LOADS = 16;

/** Dispatches the sums: 8 or 32 threads for a stripe of some loads each, fewer where one id may have many rows. */
function lowerSums(ctx: Lowering, ids: SortedIds, count: number, out: Aval, padding = NO_ID): void {
  const size = sizeOf(out.shape.slice(1));
  const width = widthOf(size);
  const lanes = ctx.device.kind === "cpu" ? 8 : 32;
  const consts = { VECTOR: width === 4, LANES: lanes };
  const kernel = flatKernel("scatterAdd/sum", scatterKernel, { device: ctx.device, loops: true, consts });
  const loads = Math.max(1, Math.min(STRIPE_LOADS, Math.floor(MOST_TURNS / count)));
  const stripes = Math.ceil(size / width / (loads * lanes));
  const stripe = Math.ceil(size / width / stripes);
  const threads = out.shape[0]! * stripes * lanes;
  const u = { count: threads, ids: count, width: size / width, stripe, stripes, padding };
  ctx.dispatch(kernel.over(threads, { x: ctx.inputs[0], ...ids, y: ctx.outputs[0], u }));
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
