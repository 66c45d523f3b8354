/** Attention in its variants, with caches of keys and values, and rotary embeddings. */
import * as ops from "../../../mod.ts";
import type { Call, Operator, Operators } from "../call.ts";
import type { ElementType } from "../types.ts";
import { Value } from "../value.ts";

type Tensor = ops.Tensor;

/** [batch, time, heads * width] as [batch, heads, time, width]; with 4 axes it is so already. */
function inHeads(x: Tensor, heads: number): Tensor {
  if (x.shape.length === 4) return x;
  const [batch, time, depth] = x.shape as [number, number, number];
  return ops.transpose(ops.reshape(x, [batch, time, heads, depth / heads]), [0, 2, 1, 3]);
}

/** [batch, heads, time, width] as [batch, time, heads * width]. */
function joinedHeads(x: Tensor): Tensor {
  const [batch, heads, time, width] = x.shape as [number, number, number, number];
  return ops.reshape(ops.transpose(x, [0, 2, 1, 3]), [batch, time, heads * width]);
}

/** Heads of keys, each for as many neighbouring heads of queries as there are. */
const sharedHeads = (x: Tensor, heads: number): Tensor =>
  x.shape[1] === heads ? x : ops.repeat(x, heads / x.shape[1]!, 1);

/** What is added to the scores, [..., Tq, Tk]: the mask, no later keys, no padded keys; undefined if nothing is. */
async function bias(call: Call, tq: number, tk: number, past: number): Promise<Tensor | undefined> {
  const mask = call.inputs[3], lengths = await call.numbers(6), parts: Tensor[] = [];
  if (mask) {
    const own = mask.type === "bool" ? ops.where(mask.tensor, 0, -Infinity) : mask.tensor, rank = own.shape.length;
    const missing = tk - own.shape[rank - 1]!; // keys behind the mask do not count
    parts.push(ops.pad(own, own.shape.map((_, i) => [0, i === rank - 1 ? missing : 0] as const), { value: -Infinity }));
  }
  const column = ops.cast(ops.iota([1, 1, tq, tk], 3), "i32"), row = ops.cast(ops.iota([1, 1, tq, tk], 2), "i32");
  const perBatch = lengths && ops.tensor(Int32Array.from(lengths), [lengths.length, 1, 1, 1]);
  if (call.flag("is_causal")) {
    const offset = perBatch ? ops.subtract(perBatch, tq) : past;
    parts.push(ops.where(ops.greater(column, ops.add(row, offset)), -Infinity, 0));
  }
  if (perBatch) parts.push(ops.where(ops.less(column, perBatch), 0, -Infinity));
  return parts.length ? parts.reduce(ops.add) : undefined;
}

/** With four axes. */
const with4Axes = (x: Tensor): Tensor => ops.reshape(x, [...Array(4 - x.shape.length).fill(1), ...x.shape]);

/** Our kernel, where it can: heads of one width, no scores asked for, no cap of the scores. */
function inOneKernel(q: Tensor, k: Tensor, v: Tensor, scale: number, mask: Tensor | undefined): Tensor {
  const heads = q.shape[1]!, options = { heads, scale, maskedRows: "zero" as const };
  const whole = mask &&
    ops.broadcastTo(with4Axes(mask), [q.shape[0]!, with4Axes(mask).shape[1]!, q.shape[2]!, k.shape[2]!]);
  const y = ops.attention(joinedHeads(q), joinedHeads(k), joinedHeads(v), {
    ...options,
    ...(whole ? { mask: whole } : {}),
  });
  return inHeads(y, heads);
}

/** 0 for rows whose keys are all masked by -Infinity; the softmax of such a row is NaN. */
function probabilities(scores: Tensor, mask: Tensor | undefined): Tensor {
  const p = ops.softmax(scores);
  return mask ? ops.where(ops.isInf(ops.max(mask, { axes: [-1], keepDims: true })), 0, p) : p;
}

/** Whether a mask holds numbers which our kernel takes for -Infinity. */
async function isExtreme(mask: Value | undefined): Promise<boolean> {
  return mask !== undefined && Array.from(await mask.numbers()).some((x) => x < -1e37 && x > -Infinity);
}

const attention: Operator = async (call) => {
  const flat = call.value(0).shape.length === 3, { type } = call;
  const q = inHeads(call.x(0), call.int("q_num_heads", 0));
  const [newK, newV] = [1, 2].map((i) => inHeads(call.x(i), call.int("kv_num_heads", 0))) as [Tensor, Tensor];
  const [pastK, pastV] = [call.inputs[4], call.inputs[5]].map((v) => v?.size ? v.tensor : undefined);
  const k = pastK ? ops.concat([pastK, newK], 2) : newK, v = pastV ? ops.concat([pastV, newV], 2) : newV;
  const [, heads, tq, width] = q.shape as [number, number, number, number], tk = k.shape[2]!;
  const mask = await bias(call, tq, tk, tk - newK.shape[2]!);
  const scale = call.float("scale", 1 / Math.sqrt(width)), cap = call.float("softcap", 0);
  const result = (y: Tensor): Value => Value.from(type, flat ? joinedHeads(y) : y);
  const present = [Value.from(type, k), Value.from(call.value(2).type, v)];
  const fits = !cap && !call.asked[3] && v.shape[3] === width && !await isExtreme(call.inputs[3]);
  if (fits) return [result(inOneKernel(q, k, v, scale, mask)), ...present];
  const root = Math.sqrt(scale);
  const raw = ops.matmul(ops.multiply(q, root), ops.multiply(sharedHeads(k, heads), root), { transposeB: true });
  const capped = cap ? ops.multiply(ops.tanh(ops.divide(raw, cap)), cap) : raw;
  const scores = mask ? ops.add(capped, mask) : capped, p = probabilities(scores, mask);
  const shown = [raw, capped, scores, p][call.int("qk_matmul_output_mode", 0)]!;
  return [result(ops.matmul(p, sharedHeads(v, heads))), ...present, Value.from(type, shown)];
};

/** Attention whose scores and probabilities go through graphs of the model. */
const flexAttention: Operator = async (call) => {
  const [q, k, v] = [call.x(0), call.x(1), call.x(2)], heads = q.shape[1]!, width = q.shape[3]!;
  const scale = call.float("scale", 1 / Math.sqrt(width)),
    wide: ElementType = call.type === "double" ? "double" : "float";
  const modified = async (name: string, x: Value): Promise<Value> => {
    const graph = call.graph(name);
    return graph ? (await call.run(graph, [x]))[0]! : x;
  };
  const raw = ops.multiply(ops.matmul(q, sharedHeads(k, heads), { transposeB: true }), scale);
  const scores = await modified("score_mod", Value.from(wide, raw));
  const p = await modified("prob_mod", Value.from(wide, ops.softmax(scores.tensor)));
  return Value.from(call.type, ops.matmul(p.tensor, sharedHeads(v, heads)));
};

/**
 * A state of [keys, values] that follows the tokens: linear attention (Katharopoulos et al. 2020), with a decay of the state, and
 * with the delta rule (Yang et al. 2024).
 */
const linearAttention: Operator = (call) => {
  const qHeads = call.int("q_num_heads", 1), kvHeads = call.int("kv_num_heads", qHeads);
  const rule = call.string("update_rule", "gated_delta"), q = inHeads(call.x(0), qHeads);
  const [k, v] = [inHeads(call.x(1), kvHeads), inHeads(call.x(2), kvHeads)];
  const [batch, , time, dk] = q.shape as [number, number, number, number], dv = v.shape[3]!;
  const decay = call.maybe(4) && inHeads(call.x(4), kvHeads),
    beta = call.maybe(5) && inHeads(betaOf(call.x(5), kvHeads), kvHeads);
  const scale = call.float("scale", 0) || 1 / Math.sqrt(dk);
  let state = call.inputs[3]?.size ? call.x(3) : ops.zeros([batch, kvHeads, dk, dv]);
  const rows = Array.from({ length: time }, (_, t) => {
    const at = (x: Tensor): Tensor => ops.slice(x, 2, t, t + 1); // [batch, heads, 1, width]
    if (decay && rule.includes("gated")) state = ops.multiply(state, ops.exp(ops.swapAxes(at(decay), 2, 3)));
    let write = at(v);
    if (rule.includes("delta")) write = ops.multiply(at(beta!), ops.subtract(write, ops.matmul(at(k), state)));
    state = ops.add(state, ops.matmul(ops.swapAxes(at(k), 2, 3), write));
    return ops.multiply(ops.matmul(at(q), sharedHeads(state, qHeads)), scale);
  });
  const y = rows.length === 1 ? rows[0]! : ops.concat(rows, 2);
  return [Value.from(call.type, joinedHeads(y)), Value.from(call.inputs[3]?.type ?? call.type, state)];
};

/** One beta for each head, or one for all. */
const betaOf = (beta: Tensor, heads: number): Tensor => beta.shape[2] === 1 ? ops.repeat(beta, heads, 2) : beta;

/** A depth-wise convolution over what came before, whose last positions are the next call's. */
const causalConv: Operator = (call) => {
  const x = call.x(0), weight = call.x(1), bias = call.maybe(2), [batch, channels] = x.shape as [number, number];
  const kept = weight.shape[2]! - 1,
    past = call.inputs[3],
    before = past?.size ? past.tensor : kept ? ops.zeros([batch, channels, kept]) : undefined;
  const all = before ? ops.concat([before, x], 2) : x, total = all.shape[2]!;
  let y = ops.conv1d(all, weight, { groups: channels, ...(bias ? { bias } : {}) });
  if (["silu", "swish"].includes(call.string("activation", "none"))) y = ops.silu(Value.from(call.type, y).tensor);
  const state = kept
    ? Value.from(call.type, ops.slice(all, 2, total - kept, total))
    : Value.of(call.type, [batch, channels, 0], []);
  return [Value.from(call.type, y), state];
};

/** Turns pairs of elements of each head by the angles of their positions. */
const rotaryEmbedding: Operator = (call) => {
  const given = call.value(0), flat = given.shape.length === 3, ids = call.maybe(3);
  const heads = flat ? call.int("num_heads", 0) : given.shape[1]!;
  const x = ops.transpose(inHeads(given.tensor, heads), [0, 2, 1, 3]); // [batch, time, heads, width]
  const [batch, time, , width] = x.shape as [number, number, number, number];
  const turned = call.int("rotary_embedding_dim", 0) || width, half = turned / 2;
  const [cos, sin] = [1, 2].map((i) => {
    const table = ids ? ops.take(call.x(i), ids, 0) : call.x(i);
    return ops.reshape(ops.slice(table, -1, 0, half), [table.shape[0]!, time, 1, half]);
  }) as [Tensor, Tensor];
  const part = ops.slice(x, 3, 0, turned), interleaved = call.flag("interleaved");
  const pairs = ops.reshape(part, [batch, time, heads, ...(interleaved ? [half, 2] : [2, half])]),
    axis = interleaved ? 4 : 3;
  const [a, b] = [0, 1].map((i) => ops.squeeze(ops.slice(pairs, axis, i, i + 1), axis)) as [Tensor, Tensor];
  const first = ops.subtract(ops.multiply(cos, a), ops.multiply(sin, b));
  const second = ops.add(ops.multiply(sin, a), ops.multiply(cos, b));
  const y = ops.reshape(ops.stack([first, second], axis), part.shape);
  const whole = turned === width ? y : ops.concat([y, ops.slice(x, 3, turned, width)], 3);
  return Value.from(given.type, flat ? ops.reshape(whole, given.shape) : ops.transpose(whole, [0, 2, 1, 3]));
};

/** The table. */
export const attentions: Operators = {
  Attention: attention,
  "ai.onnx.preview.FlexAttention": flexAttention,
  LinearAttention: linearAttention,
  CausalConvWithState: causalConv,
  RotaryEmbedding: rotaryEmbedding,
};
