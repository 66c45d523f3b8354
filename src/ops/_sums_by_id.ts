/**
 * Sums of rows by id, in the order of the rows: what gradients of lookups run. The ids are sorted first.
 *
 * @module
 */
import scatterKernel from "../../kernels/scatter_add.wgsl" with { type: "text" };
import sortKernel from "../../kernels/sort_ids.wgsl" with { type: "text" };
import { UnsupportedError } from "../gpu/errors.ts";
import type { BufferRef, Lowering } from "../program/lowering.ts";
import { flatKernel, MOST_TURNS, widthOf } from "./_rows.ts";

/** Ids in order, and where each was. */
export interface SortedIds {
  readonly sorted: BufferRef;
  readonly order: BufferRef;
}

/** Shapes of the sums: x [outer, ids, width], the result [outer, rows, width]. */
export interface SumsShape {
  readonly outer: number;
  readonly ids: number;
  readonly rows: number;
  readonly width: number;
  /** Whether the ids are [outer, ids], and not the same for all. Default false. */
  readonly own?: boolean;
  /** Id whose row is 0. Default: none. */
  readonly padding?: number | undefined;
}

/** Refuses more ids than one thread of a CPU adapter can loop over. */
export function checkIds(op: string, ctx: Lowering, ids: number): void {
  if (ctx.device.kind === "cpu" && ids > MOST_TURNS) {
    throw new UnsupportedError(
      `Cannot apply ${op}: a CPU adapter takes at most ${MOST_TURNS} ids in one call: there are ${ids}`,
    );
  }
}

/** Dispatches the sort of input 1, `count` ids. */
export function sortIds(ctx: Lowering, count: number): SortedIds {
  const kernel = flatKernel("scatterAdd/sort", sortKernel, { device: ctx.device, loops: true });
  const sorted = ctx.scratch(count * 4, "u32"), order = ctx.scratch(count * 4, "u32");
  ctx.dispatch(kernel.over(count, { ids: ctx.inputs[1], sorted, order, u: { count } }));
  return { sorted, order };
}

/** An id that no row has. */
export const NO_ID = 0xffffffff;

/** Loads of a stripe that a lane takes at most. */
const STRIPE_LOADS = 16;

/**
 * Dispatches the sums of input 0 to result 0: 8 or 32 threads for a stripe of some loads each, fewer where one id may have many
 * rows; one thread for a row of one load.
 */
export function lowerSums(op: string, ctx: Lowering, sortedIds: SortedIds, shape: SumsShape): void {
  const { outer, ids, rows, own = false, padding = NO_ID } = shape;
  const vector = widthOf(shape.width) === 4, width = shape.width / widthOf(shape.width);
  const lanes = width === 1 ? 1 : ctx.device.kind === "cpu" ? 8 : 32;
  const consts = { VECTOR: vector, LANES: lanes };
  const kernel = flatKernel(`${op}/sum`, scatterKernel, { device: ctx.device, loops: true, consts });
  const loads = Math.max(1, Math.min(STRIPE_LOADS, Math.floor(MOST_TURNS / ids)));
  const stripes = Math.ceil(width / (loads * lanes)), stripe = Math.ceil(width / stripes);
  const threads = outer * rows * stripes * lanes;
  const u = { count: threads, ids, apart: own ? ids : 0, rows, width, stripe, stripes, padding };
  ctx.dispatch(kernel.over(threads, { x: ctx.inputs[0], ...sortedIds, y: ctx.outputs[0], u }));
}
