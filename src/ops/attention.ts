/**
 * Scaled dot-product attention of all heads in one kernel, without a matrix of scores.
 *
 * @module
 */
import { applyAll, type Aval, type Node, type Op, Tensor } from "../program/graph.ts";
import { checkOptions, type OptionKinds } from "../program/options.ts";
import { sum } from "./reduce.ts";
import { reshape } from "./shape.ts";
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
import { batchHeads } from "./_attention_parts.ts";
import { attentionGradOp } from "./attention_grad.ts";
import source from "../../kernels/attention_forward.wgsl" with { type: "text" };

/** How {@linkcode attention} is computed. */
export interface AttentionOptions {
  /** Number of heads of q; each is a slice of neighbouring columns. */
  readonly heads: number;
  /**
   * f32, added to the scores: 0, or -10000 or -Infinity at keys that do not count, or a bias. `[B, Tk]` is added to all rows and
   * heads; `[B, heads, Tq, Tk]` and `[B, Tq, Tk]` (the same for all heads) may have 1 in the place of all but Tk. -Infinity counts
   * as -1e38, as does what is below. No gradient reaches it.
   */
  readonly mask?: Tensor | undefined;
  /**
   * Row i sees keys 0..i + Tk - Tq only: the last row sees all keys, as it must where k and v are a cache that ends with the keys
   * of q's rows (flash-attention aligns so; PyTorch's `is_causal` aligns the first row with the first key). With Tk < Tq the
   * first Tq - Tk rows see no key and are 0.
   */
  readonly causal?: boolean;
  /**
   * What a row is whose keys are all masked by -Infinity: the `"mean"` of the values that it sees (default), or `"zero"`, as in
   * ONNX and in PyTorch from 2.5 on. Its gradients are then 0.
   */
  readonly maskedRows?: "mean" | "zero";
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
    const [dq, ...shared] = applyAll(attentionGradOp, [...node.inputs, ...results, dOut], node.attrs);
    const width = dq!.shape[2]! / node.attrs.heads;
    const grads = [dq!, ...shared.map((x) => sumShared(x, node.inputs[1]!.shape, width))];
    return node.inputs.map((_, i) => grads[i] ?? null);
  },
  batch: (_, attrs, batch) => batchHeads(batch, attrs),
  lower(ctx, node): void {
    const { attrs } = node;
    const sizes = attentionSizes(node);
    const [queries, keys, values, ...rest] = ctx.inputs, [out, norms] = ctx.outputs;
    const mask = attrs.masked ? rest[0] : undefined, random_key = attrs.dropout && rest.at(-1);
    const plan = attentionPlan(ctx.device, sizes.width, sizes.tq);
    const kernel = attentionKernel(`attention ${plan.ROWS} x ${plan.HEIGHT} rows`, source, plan, { attrs, sizes }, {
      reads: ["queries", "keys", "values"],
      writes: ["out"],
    });
    ctx.dispatch({
      ...kernel.bind({ sizes: sizesUniform(sizes, attrs), queries, keys, values, mask, random_key, out, norms }),
      workgroups: sizes.batch * sizes.heads * Math.ceil(sizes.tq / (plan.ROWS * plan.HEIGHT)),
      flop: 4 * sizes.scores * sizes.width,
    });
  },
};

/** Gradients of keys for every head of queries, [B, Tk, D], added up where these share a head of keys: `shape`. */
function sumShared(x: Tensor, shape: readonly number[], width: number): Tensor {
  const [batch, tk, keyDepth] = shape as [number, number, number];
  const keyHeads = keyDepth / width, shared = x.shape[2]! / keyDepth;
  if (shared === 1) return x;
  return reshape(sum(reshape(x, [batch, tk, keyHeads, shared, width]), { axes: [3] }), shape);
}

const ATTENTION_OPTIONS: OptionKinds<AttentionOptions> = {
  heads: "one",
  mask: "one",
  causal: "one",
  maskedRows: "one",
  scale: "one",
  dropout: "one",
};

/**
 * Attention: for every head, `softmax(scale q k' + mask) v`.
 *
 * q is `[B, Tq, D]`, D = heads x width of a head; k and v are `[B, Tk, D]`, or with fewer heads `[B, Tk, keyHeads x width]`, each of which
 * serves heads / keyHeads neighbouring heads of q (grouped queries: Ainslie et al. 2023; one head of keys: Shazeer 2019). The
 * result is `[B, Tq, D]`. No matrix of Tq x Tk is stored, neither here nor in the gradient: memory is linear in both.
 *
 * @throws {RangeError} if shapes or options do not fit.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const { heads, causal = false, dropout } = checkOptions("attention", options, ATTENTION_OPTIONS);
  const mask = options.mask?.shape.length === 3 ? overHeads(options.mask) : options.mask;
  const width = (q.shape.at(-1) ?? 1) / heads;
  const attrs: AttentionAttrs = {
    heads,
    causal,
    scale: options.scale ?? 1 / Math.sqrt(width),
    masked: mask !== undefined,
    ...(options.maskedRows === "zero" ? { maskedZero: true } : {}),
    ...(dropout ? { dropout: { probability: dropout.probability, stream: dropout.stream } } : {}),
  };
  const inputs = [q, k, v, ...(mask ? [mask] : []), ...(dropout ? [dropout.key] : [])];
  return applyAll(attentionOp, inputs, attrs)[0]!;
}

/** A mask `[B, Tq, Tk]` with an axis of heads. */
function overHeads(mask: Tensor): Tensor {
  const [batch, tq, tk] = mask.shape as [number, number, number];
  return reshape(mask, [batch, 1, tq, tk]);
}

function checkShapes(inputs: readonly Aval[], attrs: AttentionAttrs): void {
  const [q, k, v, ...rest] = inputs as [Aval, Aval, Aval, ...Aval[]];
  checkInput("attention", "q", q, "f32", ["B", "Tq", "D"]);
  const [batch, tq] = q.shape as [number, number, number];
  checkInput("attention", `k beside q of [${q.shape}]`, k, "f32", [batch, "Tk", "Dk"]);
  checkInput("attention", "v, as k,", v, "f32", k.shape);
  if (attrs.masked) checkMask(rest[0], [batch, attrs.heads, tq, k.shape[1]!]);
  if (attrs.dropout) checkInput("attention", "the key of the dropout", rest.at(-1), "u32", [2]);
}

function checkMask(mask: Aval | undefined, [batch, heads, tq, tk]: readonly [number, number, number, number]): void {
  if (mask?.shape.length !== 4) return checkInput("attention", "the mask", mask, "f32", [batch, tk]);
  checkInput("attention", "the mask", mask, "f32", ["B", "heads", "Tq", tk]);
  const most = [batch, heads, tq];
  if (most.some((n, axis) => mask.shape[axis] !== n && mask.shape[axis] !== 1)) {
    refuse(`the mask must be [${[...most, tk]}], with 1 in the place of any but the last: it is [${mask.shape}]`);
  }
}

function checkAttrs([q, k]: readonly Aval[], { heads, scale, dropout }: AttentionAttrs): void {
  const depth = q!.shape[2]!, keyDepth = k!.shape[2]!;
  if (!(Number.isInteger(heads) && heads > 0 && depth % heads === 0)) {
    refuse(`the number of heads must divide the ${depth} columns: it is ${heads}`);
  }
  const keyHeads = keyDepth / (depth / heads);
  if (!(Number.isInteger(keyHeads) && heads % keyHeads === 0)) {
    refuse(
      `k must have as many heads of ${depth / heads} columns as q or a divisor of ${heads}: it has ${keyDepth} columns`,
    );
  }
  if (!Number.isFinite(scale)) refuse(`the scale must be a finite number: it is ${scale}`);
  if (dropout && !(dropout.probability >= 0 && dropoutThreshold(dropout.probability) < DROPOUT_STEPS)) {
    refuse(`the probability of dropout must be in [0, 1): it is ${dropout.probability}`);
  }
}

function refuse(sentence: string): never {
  throw new RangeError(`Cannot apply attention: ${sentence}`);
}
