/**
 * Scaled dot-product attention of all heads in one kernel, without a matrix of scores.
 *
 * @module
 */
import { applyAll, type Aval, type Node, type Op, Tensor } from "../program/graph.ts";
import { checkInput } from "./_check.ts";
import {
  type AttentionAttrs,
  attentionKernel,
  attentionPlan,
  attentionSizes,
  DROPOUT_STEPS,
  dropoutThreshold,
  sizesUniform,
} from "./attention_kernel.ts";
import { attentionGradOp } from "./attention_grad.ts";
import source from "../../kernels/attention_forward.wgsl" with { type: "text" };

/** How {@linkcode attention} is computed. */
export interface AttentionOptions {
  /** Number of heads; each is a slice of neighbouring columns. */
  readonly heads: number;
  /**
   * f32 `[B, Tk]`, added to the scores of all rows and heads: 0, or -10000 at padded keys; -Infinity counts as -1e38, so
   * that a row whose keys are all masked is uniform. No gradient reaches it.
   */
  readonly mask?: Tensor | undefined;
  /** Row i sees keys 0..i only; needs Tq = Tk. */
  readonly causal?: boolean;
  /** Factor of the scores, 1 / sqrt(width of a head) if not given. */
  readonly scale?: number;
  /** Dropout of the probabilities after the softmax, as in BERT. */
  readonly dropout?: AttentionDropout | undefined;
}

/** Where the dropout of {@linkcode attention} comes from. */
export interface AttentionDropout {
  /** In [0, 1), rounded to a multiple of 2^-16. */
  readonly probability: number;
  /** u32 `[2]`: the words of the random key. */
  readonly key: Tensor;
  /** A number that no other draw with this key uses. */
  readonly stream: number;
}

/** Attention: q, k, v, the mask if there is one, the key if there is dropout -> (out, norms `[B, heads, Tq, 2]`). */
export const attentionOp: Op<AttentionAttrs> = {
  name: "attention",
  infer(inputs, attrs): Aval[] {
    checkShapes(inputs, attrs);
    checkAttrs(inputs, attrs);
    const [batch, tq, depth] = inputs[0]!.shape as [number, number, number];
    return [{ shape: [batch, tq, depth], dtype: "f32" }, { shape: [batch, attrs.heads, tq, 2], dtype: "f32" }];
  },
  vjp(node, [dOut]): (Tensor | null)[] {
    if (!dOut) return node.inputs.map(() => null);
    const results = node.avals.map((_, i) => new Tensor(node as Node, i));
    const grads = applyAll(attentionGradOp, [...node.inputs, ...results, dOut], node.attrs);
    return node.inputs.map((_, i) => grads[i] ?? null);
  },
  lower(ctx, node): void {
    const { attrs } = node;
    const sizes = attentionSizes(node);
    const [queries, keys, values, ...rest] = ctx.inputs, [out, norms] = ctx.outputs;
    const mask = attrs.masked ? rest[0] : undefined, random_key = attrs.dropout && rest.at(-1);
    const plan = attentionPlan(ctx.device, sizes.width, sizes.tq);
    const kernel = attentionKernel(`attention ${plan.ROWS} x ${plan.THREADS} rows`, source, plan, attrs, {
      reads: ["queries", "keys", "values"],
      writes: ["out"],
    });
    ctx.dispatch({
      ...kernel.bind({ sizes: sizesUniform(sizes, attrs), queries, keys, values, mask, random_key, out, norms }),
      workgroups: sizes.batch * sizes.heads * Math.ceil(sizes.tq / (plan.ROWS * plan.THREADS)),
      flop: 4 * sizes.scores * sizes.width,
    });
  },
};

/**
 * Attention: for every head, `softmax(scale q k' + mask) v`.
 *
 * q is `[B, Tq, D]`, k and v are `[B, Tk, D]`, D = heads x width of a head; the result is `[B, Tq, D]`. No matrix of Tq x Tk is
 * stored, neither here nor in the gradient: memory is linear in both.
 *
 * @throws {RangeError} if shapes or options do not fit.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const { heads, mask, causal = false, dropout } = options;
  const width = (q.shape.at(-1) ?? 1) / heads;
  const attrs: AttentionAttrs = {
    heads,
    causal,
    scale: options.scale ?? 1 / Math.sqrt(width),
    masked: mask !== undefined,
    ...(dropout ? { dropout: { probability: dropout.probability, stream: dropout.stream } } : {}),
  };
  const inputs = [q, k, v, ...(mask ? [mask] : []), ...(dropout ? [dropout.key] : [])];
  return applyAll(attentionOp, inputs, attrs)[0]!;
}

function checkShapes(inputs: readonly Aval[], attrs: AttentionAttrs): void {
  const [q, k, v, ...rest] = inputs as [Aval, Aval, Aval, ...Aval[]];
  checkInput("attention", "q", q, "f32", ["B", "Tq", "D"]);
  const [batch, , depth] = q.shape as [number, number, number];
  checkInput("attention", `k beside q of [${q.shape}]`, k, "f32", [batch, "Tk", depth]);
  checkInput("attention", "v, as k,", v, "f32", k.shape);
  if (attrs.masked) checkInput("attention", "the mask", rest[0], "f32", [batch, k.shape[1]!]);
  if (attrs.dropout) checkInput("attention", "the key of the dropout", rest.at(-1), "u32", [2]);
}

function checkAttrs([q, k]: readonly Aval[], { heads, causal, scale, dropout }: AttentionAttrs): void {
  const depth = q!.shape[2]!;
  if (!(Number.isInteger(heads) && heads > 0 && depth % heads === 0)) {
    refuse(`the number of heads must divide the ${depth} columns: it is ${heads}`);
  }
  if (causal && q!.shape[1] !== k!.shape[1]) {
    refuse(`causal attention needs as many queries as keys: there are ${q!.shape[1]} and ${k!.shape[1]}`);
  }
  if (!Number.isFinite(scale)) refuse(`the scale must be a finite number: it is ${scale}`);
  if (dropout && !(dropout.probability >= 0 && dropoutThreshold(dropout.probability) < DROPOUT_STEPS)) {
    refuse(`the probability of dropout must be in [0, 1): it is ${dropout.probability}`);
  }
}

function refuse(sentence: string): never {
  throw new RangeError(`Cannot apply attention: ${sentence}`);
}
