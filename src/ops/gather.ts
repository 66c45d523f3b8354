/**
 * Rows of a table by id, slices along an axis by index, and the sum of rows by id: lookups and their gradient.
 *
 * @module
 */
import gatherKernel from "../../kernels/gather.wgsl" with { type: "text" };
import takeKernel from "../../kernels/take.wgsl" with { type: "text" };
import { apply, type Aval, bytesPerElement, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { ANY_TYPE, checkAxis, checkInput } from "./_check.ts";
import { flatKernel, widthOf } from "./_rows.ts";
import { folded, unfolded } from "./_batch.ts";
import { moveAxis } from "./axes.ts";
import { add, cast, equal, iota, less, minimum, multiply, where } from "./elementwise.ts";
import { checkIds, lowerSums, NO_ID, sortIds } from "./_sums_by_id.ts";

/** Options of {@linkcode gather} and {@linkcode scatterAdd}. */
export interface GatherOptions {
  /** Id whose row of the table gets no gradient. Default: none. */
  readonly paddingIndex?: number;
}

/** Options of {@linkcode scatterAdd}. */
export interface ScatterAddOptions extends GatherOptions {
  /** The axis of the result along which the rows are, negative ones from the end. Default 0. */
  readonly axis?: number;
}

interface ScatterAttrs extends ScatterAddOptions {
  readonly rows: number;
}

interface TakeAttrs {
  readonly axis: number;
  /** The result for an index out of range, as a u32 word. */
  readonly fill: number;
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
  batch([table, ids], attrs, { batched, whole }): Tensor[] | undefined {
    if (!batched[0]) return [gather(table!, ids!, attrs)];
    if (attrs.paddingIndex !== undefined) return undefined;
    const [own, rows] = [whole()[1]!, table!.shape[1]!];
    const inside = minimum(cast(own, "u32"), rows - 1); // as the kernel takes them
    return [gather(...folded([table!]) as [Tensor], add(inside, multiply(element(own), rows)))];
  },
  vjp: ({ inputs: [table, ids], attrs }, [ct]) => [scatterAdd(ct!, ids!, table!.shape[0]!, attrs), null],
};

const takeOp: Op<TakeAttrs> = {
  name: "take",
  infer: ([x, indices], { axis }) => [{
    shape: x!.shape.toSpliced(axis, 1, ...indices!.shape),
    dtype: x!.dtype,
  }],
  lower(ctx, { inputs: [x, indices], attrs: { axis, fill } }): void {
    const size = sizeOf(x!.shape.slice(axis + 1)), width = widthOf(size), inner = size / width;
    const many = sizeOf(indices!.shape), count = sizeOf(x!.shape.slice(0, axis)) * many * inner;
    const kernel = flatKernel("take", takeKernel, { device: ctx.device, consts: { VECTOR: width === 4 } });
    const u = { count, length: x!.shape[axis]!, many, inner, fill };
    ctx.dispatch(kernel.over(count, { x: ctx.inputs[0], indices: ctx.inputs[1], y: ctx.outputs[0], u }));
  },
  batch([x, indices], { axis, fill }, { batched, whole }): Tensor[] {
    if (!batched[1]) return [takeOrFill(x!, indices!, axis + 1, fill)];
    if (!batched[0]) return [moveAxis(takeOrFill(x!, indices!, axis, fill), axis, 0)];
    const rows = moveAxis(x!, axis + 1, 1), places = idsApart(whole()[1]!, rows.shape[1]!);
    const axes = indices!.shape.slice(1).map((_, i) => 1 + i);
    return [moveAxis(takeOrFill(...folded([rows]) as [Tensor], places, 0, fill), axes, axes.map((i) => axis + i))];
  },
  vjp: (
    { inputs: [x, indices], attrs: { axis } },
    [ct],
  ) => [scatterAdd(ct!, indices!, x!.shape[axis]!, { axis }), null],
};

/** Slices of x along an axis by index; `fill`, a u32 word, for indices beyond the last, as negative ones are. */
export function takeOrFill(x: Tensor, indices: Tensor, axis: number, fill: number): Tensor {
  return apply(takeOp, [x, indices], { axis, fill });
}

const scatterAddOp: Op<ScatterAttrs> = {
  name: "scatterAdd",
  infer([x, ids], { rows, axis = 0 }): Aval[] {
    checkInput("scatterAdd", "ids", ids, ["i32", "u32"]);
    const outer = x!.shape.slice(0, axis);
    checkInput("scatterAdd", "the rows", x, "f32", [...outer, ...ids!.shape, "..."]);
    return [{ shape: [...outer, rows, ...x!.shape.slice(axis + ids!.shape.length)], dtype: "f32" }];
  },
  lower(ctx, { inputs: [x, ids], attrs: { rows, axis = 0, paddingIndex } }): void {
    const { shape } = ids!, count = sizeOf(shape);
    checkIds("scatterAdd", ctx, count);
    lowerSums("scatterAdd", ctx, sortIds(ctx, count), {
      outer: sizeOf(x!.shape.slice(0, axis)),
      ids: count,
      rows,
      width: sizeOf(x!.shape.slice(axis + shape.length)),
      padding: paddingIndex,
    });
  },
  batch([x, ids], attrs, { size, batched, whole }): Tensor[] | undefined {
    const { rows, axis = 0, paddingIndex } = attrs;
    if (!batched[1]) return [apply(scatterAddOp, [x!, ids!], { ...attrs, axis: axis + 1 })];
    if (axis > 0) return undefined;
    const places = idsApart(without(ids!, paddingIndex), rows);
    return unfolded([scatterAdd(whole()[0]!, places, size * rows)], size);
  },
  vjp({ inputs: [, ids], attrs: { axis = 0, paddingIndex } }, [ct]) {
    return [takeOrFill(ct!, without(ids!, paddingIndex), axis, 0), null];
  },
};

/** Ids with `id`, if there is one, as one that no row has. */
function without(ids: Tensor, id: number | undefined): Tensor {
  return id === undefined ? ids : where(equal(ids, id), NO_ID, cast(ids, "u32"));
}

/** Ids [batch, ...] of one list of rows for each element of a batch as ids of these lists one after the other. */
function idsApart(ids: Tensor, rows: number): Tensor {
  const own = cast(ids, "u32");
  return where(less(own, rows), add(own, multiply(element(ids), rows)), NO_ID);
}

/** The number of the element of the batch, for each id of [batch, ...]. */
function element(ids: Tensor): Tensor {
  return iota([ids.shape[0]!, ...ids.shape.slice(1).map(() => 1)], 0);
}

function rowBytes({ shape, dtype }: Aval): number {
  return sizeOf(shape.slice(1)) * bytesPerElement(dtype);
}

/**
 * Rows of `table` by id: [...ids, ...rest].
 *
 * Ids must be from 0 to rows - 1. The GPU does not check them (an id beyond the last row reads the last row and gives no
 * gradient): data loaders do. Gradients are added up in the order of the ids, so they are the same in every run.
 *
 * NumPy's rules, with negative indices and any axis, are those of `take`.
 *
 * @param table [rows, ...rest], any type.
 * @param ids i32 or u32, any shape.
 */
export function gather(table: Tensor, ids: Tensor, options: GatherOptions = {}): Tensor {
  return apply(gatherOp, [table, ids], checkOptions("gather", options, { paddingIndex: "one" }));
}

/**
 * Sums of rows by id: result row v is the sum of `x[n]` over all n with `ids[n] === v`, in the order of n. Negative ids and ids
 * beyond the last row are left out; row `paddingIndex` is 0. With `axis`, x has axes in front, and all this is done for each
 * of their places with the same ids: the gradient of `take`.
 *
 * @param x f32 [...outer, ...ids, ...rest]; the result is [...outer, rows, ...rest].
 * @param ids i32 or u32, any shape.
 * @param rows Number of result rows.
 */
export function scatterAdd(x: Tensor, ids: Tensor, rows: number, options: ScatterAddOptions = {}): Tensor {
  const { axis = 0, ...others } = checkOptions("scatterAdd", options, { paddingIndex: "one", axis: "one" });
  const rank = Math.max(1, x.shape.length - ids.shape.length + 1);
  return apply(scatterAddOp, [x, ids], { ...others, rows, axis: checkAxis("scatterAdd", axis, rank) });
}

/** The ops, for tests of a single kernel. */
export const gatherOps: { readonly gather: Op<GatherOptions>; readonly scatterAdd: Op<ScatterAttrs> } = {
  gather: gatherOp,
  scatterAdd: scatterAddOp,
};
