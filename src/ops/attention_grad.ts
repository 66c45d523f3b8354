/**
 * The gradient of attention: probabilities are computed again from the log-sum-exp of each row.
 *
 * @module
 */
import type { Op } from "../program/graph.ts";
import type { BufferRef, Lowering } from "../program/lowering.ts";
import { specialize } from "../gpu/wgsl.ts";
import {
  type AttentionAttrs,
  AttentionBindings,
  attentionPlan,
  type AttentionSizes,
  attentionSizes,
  sizesUniform,
} from "./attention_kernel.ts";
import prelude from "../../kernels/prelude.wgsl" with { type: "text" };
import random from "../../kernels/random.wgsl" with { type: "text" };
import source from "../../kernels/attention_backward.wgsl" with { type: "text" };

/** The buffers of one gradient, by name. */
interface Buffers {
  readonly q: BufferRef;
  readonly k: BufferRef;
  readonly v: BufferRef;
  readonly out: BufferRef;
  readonly lse: BufferRef;
  readonly dOut: BufferRef;
  /** Row sums of dOut * out, from the first kernel to the second. */
  readonly delta: BufferRef;
  readonly mask: BufferRef | undefined;
  readonly key: BufferRef | undefined;
}

/**
 * Inputs: those of attention (q, k, v, the mask and the key if there are), its results (out, log-sum-exp) and the gradient of
 * out. Results: the gradients of q, k and v. Two kernels: dq by rows, then dk and dv by columns; nothing of Tq x Tk is stored.
 */
export const attentionGradOp: Op<AttentionAttrs> = {
  name: "attentionGrad",
  infer: (inputs) => inputs.slice(0, 3).map(({ shape }) => ({ shape, dtype: "f32" })),
  lower(ctx, node): void {
    const { attrs } = node;
    const sizes = attentionSizes(node);
    const [q, k, v, ...rest] = ctx.inputs as [BufferRef, BufferRef, BufferRef, ...BufferRef[]];
    const mask = attrs.masked ? rest.shift() : undefined;
    const key = attrs.dropout ? rest.shift() : undefined;
    const [out, lse, dOut] = rest as [BufferRef, BufferRef, BufferRef];
    const delta = ctx.scratch(4 * sizes.batch * sizes.heads * sizes.tq);
    const buffers = { q, k, v, out, lse, dOut, delta, mask, key };
    lowerRows(ctx, attrs, sizes, buffers);
    lowerColumns(ctx, attrs, sizes, buffers);
  },
};

function lowerRows(ctx: Lowering, attrs: AttentionAttrs, sizes: AttentionSizes, b: Buffers): void {
  const bindings = new AttentionBindings(sizes.width, sizesUniform(sizes, attrs));
  bindings.readHeads("own_x", b.q);
  bindings.readHeads("own_y", b.dOut);
  bindings.readHeads("other_x", b.k);
  bindings.readHeads("other_y", b.v);
  bindings.readHeads("out", b.out);
  readScalars(bindings, b);
  bindings.writeHeads("dx", ctx.outputs[0]!);
  bindings.write("delta", b.delta, "f32");
  dispatch(ctx, attrs, sizes, bindings, false);
}

function lowerColumns(ctx: Lowering, attrs: AttentionAttrs, sizes: AttentionSizes, b: Buffers): void {
  const bindings = new AttentionBindings(sizes.width, sizesUniform(sizes, attrs));
  bindings.readHeads("own_x", b.k);
  bindings.readHeads("own_y", b.v);
  bindings.readHeads("other_x", b.q);
  bindings.readHeads("other_y", b.dOut);
  readScalars(bindings, b);
  bindings.writeHeads("dx", ctx.outputs[1]!);
  bindings.writeHeads("dy", ctx.outputs[2]!);
  bindings.write("delta", b.delta, "f32");
  dispatch(ctx, attrs, sizes, bindings, true);
}

function readScalars(bindings: AttentionBindings, { lse, mask, key }: Buffers): void {
  bindings.readScalars("lse", lse, "f32");
  if (mask) bindings.readScalars("mask", mask, "f32");
  if (key) bindings.readScalars("key", key, "u32");
}

function dispatch(
  ctx: Lowering,
  attrs: AttentionAttrs,
  sizes: AttentionSizes,
  bindings: AttentionBindings,
  columns: boolean,
): void {
  const own = columns ? sizes.tk : sizes.tq;
  const plan = attentionPlan(ctx.device, sizes.width, own, 192);
  const flags = { COLUMNS: columns, MASK: attrs.masked, CAUSAL: attrs.causal, DROPOUT: !!attrs.dropout };
  ctx.dispatch({
    name: `attentionGrad ${plan.ROWS} x ${plan.THREADS} ${columns ? "columns" : "rows"}`,
    code: prelude + (attrs.dropout ? random : "") +
      specialize(source, { consts: { ...plan, ...flags }, hooks: { bindings: bindings.code } }),
    bindings: bindings.refs,
    workgroups: sizes.batch * sizes.heads * Math.ceil(own / (plan.ROWS * plan.THREADS)),
    flop: (columns ? 8 : 6) * sizes.scores * sizes.width,
  });
}
