/**
 * The gradient of attention: probabilities are computed again from the norms of each row.
 *
 * @module
 */
import type { Op } from "../program/graph.ts";
import type { Bindings, BufferRef, Lowering } from "../program/lowering.ts";
import {
  type AttentionAttrs,
  attentionKernel,
  attentionPackKernel,
  attentionPlan,
  type AttentionSizes,
  attentionSizes,
  PACK_THREADS,
  sizesUniform,
} from "./attention_kernel.ts";
import { attentionGradients, batchHeads } from "./_attention_parts.ts";
import source from "../../kernels/attention_backward.wgsl" with { type: "text" };
import packing from "../../kernels/attention_pack.wgsl" with { type: "text" };

/** The buffers of one gradient, by name. */
interface Buffers {
  readonly q: BufferRef;
  readonly k: BufferRef;
  readonly v: BufferRef;
  readonly dOut: BufferRef;
  readonly mask: BufferRef | undefined;
  /** What the kernels read of each row, and the key of the dropout. */
  readonly rows: RowValues;
}

/** Either all apart, or in one buffer (attention_pack.wgsl) for adapters that bind too few. */
type RowValues = Partial<{
  readonly out: BufferRef;
  /** The largest score and 1 / the sum of exponentials of each row. */
  readonly norms: BufferRef;
  /** Row sums of dOut * out, from the first kernel to the second. */
  readonly delta: BufferRef;
  readonly random_key: BufferRef | undefined;
  readonly packed: BufferRef;
}>;

/**
 * Inputs: those of attention (q, k, v, the mask and the key if there are), its results (out, norms) and the gradient of
 * out. Results: the gradients of q, k and v, the latter two for every head of q, also where those of k are shared. Two kernels: dq by
 * rows, then dk and dv by columns; nothing of Tq x Tk is stored. Second derivatives are those of {@linkcode attentionGradients}, which
 * store it.
 */
export const attentionGradOp: Op<AttentionAttrs> = {
  name: "attentionGrad",
  infer: ([q, k]) => [q!, k!, k!].map(({ shape }) => ({ shape: shape.with(2, q!.shape[2]!), dtype: "f32" })),
  lower(ctx, node): void {
    const { attrs } = node;
    const sizes = attentionSizes(node);
    const [q, k, v, ...rest] = ctx.inputs as [BufferRef, BufferRef, BufferRef, ...BufferRef[]];
    const mask = attrs.masked ? rest.shift() : undefined;
    const random_key = attrs.dropout ? rest.shift() : undefined;
    const [out, norms, dOut] = rest as [BufferRef, BufferRef, BufferRef];
    const buffers = { q, k, v, dOut, mask, rows: lowerPack(ctx, attrs, sizes, { out, norms, dOut, mask, random_key }) };
    lowerRows(ctx, attrs, sizes, buffers);
    lowerColumns(ctx, attrs, sizes, buffers);
  },
  compose: attentionGradients,
  batch: (_, attrs, batch) => batchHeads(batch, attrs),
};

/** Storage buffers of the backward kernels without a mask and a key: 4 of heads and 4 more. */
const LEAST_BUFFERS = 8;

/** Where what the kernels read of each row is: apart if the adapter binds so many buffers, else in one, which is filled here. */
function lowerPack(
  ctx: Lowering,
  attrs: AttentionAttrs,
  sizes: AttentionSizes,
  { dOut, mask, ...given }: RowValues & Pick<Buffers, "dOut" | "mask">,
): RowValues {
  const rows = sizes.batch * sizes.heads * sizes.tq;
  if (LEAST_BUFFERS + (mask ? 1 : 0) + (given.random_key ? 1 : 0) <= ctx.device.maxStorageBuffers) {
    return { ...given, delta: ctx.scratch(4 * rows) };
  }
  const packed = ctx.scratch(16 * (rows + 1), "u32");
  const kernel = attentionPackKernel(packing, sizes.width, !!attrs.dropout);
  ctx.dispatch({
    ...kernel.bind({ sizes: sizesUniform(sizes, attrs), grad: dOut, ...given, packed }),
    workgroups: Math.ceil((rows + 1) / PACK_THREADS),
    flop: 2 * rows * sizes.width,
  });
  return { packed };
}

/** dq, and the row sums that the other kernel needs. */
function lowerRows(ctx: Lowering, attrs: AttentionAttrs, sizes: AttentionSizes, b: Buffers): void {
  const { q, k, v, dOut, mask, rows: { out, ...others } } = b;
  const reads = { own_x: q, own_y: dOut, other_x: k, other_y: v, ...(out ? { out } : {}) };
  dispatch(ctx, attrs, sizes, {
    columns: false,
    reads,
    writes: { x_grad: ctx.outputs[0] },
    others: { mask, ...others },
  });
}

/** dk and dv. */
function lowerColumns(ctx: Lowering, attrs: AttentionAttrs, sizes: AttentionSizes, b: Buffers): void {
  const { q, k, v, dOut, mask, rows: { out: _, ...others } } = b;
  const reads = { own_x: k, own_y: v, other_x: q, other_y: dOut }, [, x_grad, y_grad] = ctx.outputs;
  dispatch(ctx, attrs, sizes, { columns: true, reads, writes: { x_grad, y_grad }, others: { mask, ...others } });
}

/** One of the two kernels: its arrays of heads and its other buffers. */
interface Half {
  readonly columns: boolean;
  readonly reads: Bindings;
  readonly writes: Bindings;
  readonly others: Bindings;
}

function dispatch(ctx: Lowering, attrs: AttentionAttrs, sizes: AttentionSizes, half: Half): void {
  const { columns, reads, writes, others } = half, own = columns ? sizes.tk : sizes.tq;
  const plan = attentionPlan(ctx.device, sizes.width, own);
  const name = `attentionGrad ${plan.ROWS} x ${plan.HEIGHT} ${columns ? "columns" : "rows"}`;
  const kernel = attentionKernel(name, source, plan, { attrs, sizes }, {
    reads: Object.keys(reads),
    writes: Object.keys(writes),
    consts: { COLUMNS: columns, PACKED: "packed" in others },
  });
  ctx.dispatch({
    ...kernel.bind({ sizes: sizesUniform(sizes, attrs), ...reads, ...writes, ...others }),
    workgroups: sizes.batch * sizes.heads * Math.ceil(own / (plan.ROWS * plan.HEIGHT)),
    flop: (columns ? 8 : 6) * sizes.scores * sizes.width,
  });
}
