/**
 * What attention is made of: its gradient in plain ops, with the matrix of probabilities, which second derivatives go through; its batches.
 *
 * @module
 */
import keepKernel from "../../kernels/attention_keep.wgsl" with { type: "text" };
import randomSource from "../../kernels/random.wgsl" with { type: "text" };
import { apply, type Batch, type Op, sizeOf, type Tensor } from "../program/graph.ts";
import { type AttentionAttrs, DROPOUT_STEPS, dropoutThreshold } from "./attention_kernel.ts";
import { folded, unfolded } from "./_batch.ts";
import { flatKernel } from "./_rows.ts";
import { tril } from "./diagonals.ts";
import { add, greaterEqual, maximum, multiply, subtract, where } from "./elementwise.ts";
import { full } from "./full.ts";
import { matmul } from "./matmul.ts";
import { max } from "./max.ts";
import { broadcastTo, sum } from "./reduce.ts";
import { reshape, stopGradient } from "./shape.ts";
import { softmax } from "./softmax.ts";
import { transpose } from "./transpose.ts";

/** What the kernels add to scores at least, and what they give to keys that are not seen (kernels/attention_heads.wgsl). */
const LEAST = -1e38, UNSEEN = -2e38;
/** Above the largest score of a row that is empty, below that of any other (kernels/attention_forward.wgsl). */
const emptyTop = (maskedZero: boolean): number => maskedZero ? -9e37 : -1.5e38;

type Keep = NonNullable<AttentionAttrs["dropout"]> & { readonly shape: readonly number[] };

/** The factors by which dropout multiplies probabilities of `shape` [B, heads, Tq, Tk], drawn as the kernels draw them. */
const keepOp: Op<Keep> = {
  name: "attentionKeep",
  infer: (_, { shape }) => [{ shape, dtype: "f32" }],
  vjp: () => [null],
  lower(ctx, { attrs: { shape, probability, stream } }): void {
    const [, , tq, tk] = shape as [number, number, number, number], count = sizeOf(shape);
    const threshold = dropoutThreshold(probability), factor = DROPOUT_STEPS / (DROPOUT_STEPS - threshold);
    const kernel = flatKernel("attentionKeep", randomSource + keepKernel, { device: ctx.device });
    const u = { count, tq, tk, stream, threshold, factor };
    ctx.dispatch(kernel.over(count, { random_key: ctx.inputs[0], y: ctx.outputs[0], u }));
  },
};

/**
 * The gradients of q, k and v, the latter two for every head of q, of the inputs of `attentionGradOp`: as its kernels compute them, but with
 * memory for B x heads x Tq x Tk probabilities.
 */
export function attentionGradients(inputs: readonly Tensor[], attrs: AttentionAttrs): Tensor[] {
  const [q, k, v, ...rest] = inputs as [Tensor, Tensor, Tensor, ...Tensor[]];
  const mask = attrs.masked ? rest.shift() : undefined, key = attrs.dropout ? rest.shift() : undefined;
  const width = q.shape[2]! / attrs.heads;
  const [queries, keys, values, dOut] = [q, k, v, rest.at(-1)!].map((x) => splitHeads(x, width, attrs.heads));
  const p = probabilities(queries!, keys!, mask, attrs);
  const keep = key ? apply(keepOp, [key], { ...attrs.dropout!, shape: p.shape }) : 1;
  const dp = multiply(matmul(dOut!, values!, { transposeB: true }), keep);
  const weighted = multiply(p, dp), ds = subtract(weighted, multiply(p, sum(weighted, { axes: [-1], keepDims: true })));
  const dScores = multiply(ds, attrs.scale);
  return [
    matmul(dScores, keys!),
    matmul(dScores, queries!, { transposeA: true }),
    matmul(multiply(p, keep), dOut!, { transposeA: true }),
  ].map(mergeHeads);
}

/** softmax(scale q k' + mask) before dropout, [B, heads, Tq, Tk], of [B, heads, T, width]. */
function probabilities(
  queries: Tensor,
  keys: Tensor,
  mask: Tensor | undefined,
  { scale, causal, maskedZero = false }: AttentionAttrs,
): Tensor {
  const tq = queries.shape[2]!, tk = keys.shape[2]!;
  let scores = multiply(matmul(queries, keys, { transposeB: true }), scale);
  if (mask) {
    const own = mask.shape.length === 2 ? reshape(mask, [mask.shape[0]!, 1, 1, tk]) : mask;
    scores = add(scores, maximum(stopGradient(own), LEAST));
  }
  if (causal) scores = where(tril(full([tq, tk], 1), tk - tq), scores, UNSEEN);
  const p = softmax(scores);
  if (!maskedZero && !(causal && tk < tq)) return p;
  return multiply(p, greaterEqual(max(scores, { axes: [-1], keepDims: true }), emptyTop(maskedZero)));
}

/** [B, T, heads * width] as [B, heads, T, width]; heads of keys are repeated for the `heads` of queries that they serve. */
function splitHeads(x: Tensor, width: number, heads: number): Tensor {
  const [batch, length, depth] = x.shape as [number, number, number], own = depth / width, shared = heads / own;
  const split = transpose(reshape(x, [batch, length, own, width]), [0, 2, 1, 3]);
  if (shared === 1) return split;
  const repeated = broadcastTo(reshape(split, [batch, own, 1, length, width]), [batch, own, shared, length, width]);
  return reshape(repeated, [batch, heads, length, width]);
}

/** [B, heads, T, width] as [B, T, heads * width]. */
function mergeHeads(x: Tensor): Tensor {
  const [batch, heads, length, width] = x.shape as [number, number, number, number];
  return reshape(transpose(x, [0, 2, 1, 3]), [batch, length, heads * width]);
}

/** The batching rule of attention and its gradient: all their inputs but a key of dropout begin with an axis B, which the batch joins. */
export function batchHeads(batch: Batch<AttentionAttrs>, attrs: AttentionAttrs): Tensor[] | undefined {
  if (attrs.dropout) return undefined;
  const whole = batch.whole(), mask = whole[3], [size, rows] = whole[0]!.shape as [number, number];
  if (attrs.masked && mask!.shape[1] !== rows) whole[3] = broadcastTo(mask!, [size, rows, ...mask!.shape.slice(2)]);
  return unfolded(batch.apply(folded(whole), attrs), size);
}
