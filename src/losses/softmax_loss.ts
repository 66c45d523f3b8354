/**
 * Softmax losses over many columns that never keep the matrix of logits: contrastive losses and the vocabulary loss are both
 * of this kind. Tiles of logits are computed, reduced online and forgotten; the backward pass computes them again.
 *
 * @module
 */
import { customVjp } from "../autograd/grad.ts";
import type { Logits } from "../nn/logits.ts";
import { lseUpdate, pickLabels } from "../ops/cross_entropy.ts";
import {
  add,
  cast,
  divide,
  equal,
  exp,
  iota,
  less,
  log,
  multiply,
  type Operand,
  subtract,
} from "../ops/elementwise.ts";
import { full } from "../ops/full.ts";
import { matmul } from "../ops/matmul.ts";
import { sum } from "../ops/reduce.ts";
import { concat, reshape, slice, stopGradient } from "../ops/shape.ts";
import { Tensor } from "../program/graph.ts";

export type { Logits };

/** The keys that a query is drawn to. */
export type Targets =
  /** One key a query, i32 or u32 [R]; a negative label leaves only the soft part. */
  | { readonly labels: Tensor }
  /** All keys whose id equals the query's (u32 [R] and [K]), in equal shares. */
  | { readonly queryIds: Tensor; readonly keyIds: Tensor };

/** How the loss is made up. */
export interface SoftmaxLossOptions {
  /** The keys that each query is drawn to. */
  readonly targets: Targets;
  /** Weight of the targets. @default 1 */
  readonly hard?: Operand;
  /** Weight that all keys share equally: label smoothing. Default: there is none */
  readonly uniform?: Operand;
  /** Other logits whose softmax (a constant) is a second target, and its weight. */
  readonly soft?: { readonly logits: Logits; readonly weight: Operand };
  /** Largest number of logits that exist at a time. @default 4,194,304: 16 MiB */
  readonly tile?: number;
}

/** The largest share of the keys that a tile of all rows takes: beyond, rows are cut too. */
const MOST_KEYS = 4096;
/** Largest number of logits that exist at a time, if nothing is said. */
export const TILE = 2 ** 22;
/** The maximum of no logits: below all of them, and finite, as WGSL wants it. */
const NONE_YET = -1e30;

/**
 * Targets mixed with those of a second model: (1 - alpha) * targets + alpha * softmax(its logits), which are constants. Nothing is
 * mixed in without a second model or where alpha is 0.
 */
export function distilled(
  logits: Logits | undefined,
  alpha: Operand,
): Pick<SoftmaxLossOptions, "hard" | "soft"> {
  if (!logits || alpha === 0) return {};
  return {
    hard: typeof alpha === "number" ? 1 - alpha : subtract(1, alpha),
    soft: { logits: constantLogits(logits), weight: alpha },
  };
}

/** Logits through which no gradient flows. */
export function constantLogits({ queries, keys, bias, scale }: Logits): Logits {
  return {
    queries: stopGradient(queries),
    keys: stopGradient(keys),
    ...(bias ? { bias: stopGradient(bias) } : {}),
    ...(scale ? { scale: stopGradient(scale) } : {}),
  };
}

/** Rows or columns [from, to). */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * Per row the cross-entropy of softmax(logits) with hard * targets + soft.weight * softmax(soft.logits) + uniform / K: [R]. Gradients flow
 * to `logits` (queries, keys, bias, scale), not to the targets or the soft logits. A row with NaN among its logits has the
 * loss NaN.
 */
export function softmaxLoss(logits: Logits, options: SoftmaxLossOptions): Tensor {
  return softmaxLossAndNorm(logits, options).losses;
}

/** {@linkcode softmaxLoss} with the log-sum-exp of each row's logits, both [R], from the same tiles. Gradients flow from both. */
export function softmaxLossAndNorm(
  logits: Logits,
  options: SoftmaxLossOptions,
): { losses: Tensor; logSumExp: Tensor } {
  const rows = logits.queries.shape[0]!;
  const tile = options.tile ?? TILE;
  const high = Math.max(1, Math.min(rows, Math.floor(tile / Math.min(logits.keys.shape[0]!, MOST_KEYS))));
  const parts = ranges(rows, high).map(({ from, to }) =>
    rowBlock(cutRows(logits, from, to), cutTargets(options, from, to), tile)
  );
  return { losses: concat(parts.map(([loss]) => loss), 0), logSumExp: concat(parts.map(([, lse]) => lse), 0) };
}

/** [0, length) in parts of `size`. */
export function ranges(length: number, size: number): Range[] {
  return Array.from(
    { length: Math.ceil(length / size) },
    (_, i) => ({ from: i * size, to: Math.min(length, (i + 1) * size) }),
  );
}

/** The logits of some queries. */
export function cutRows(logits: Logits, from: number, to: number): Logits {
  return { ...logits, queries: slice(logits.queries, 0, from, to) };
}

function cutTargets(options: SoftmaxLossOptions, from: number, to: number): SoftmaxLossOptions {
  const { targets, soft } = options;
  return {
    ...options,
    targets: "labels" in targets
      ? { labels: cast(slice(targets.labels, 0, from, to), "i32") }
      : { ...targets, queryIds: slice(targets.queryIds, 0, from, to) },
    ...(soft ? { soft: { ...soft, logits: cutRows(soft.logits, from, to) } } : {}),
  };
}

/** The loss of rows that are taken together, and the log-sum-exp of their logits. */
function rowBlock(logits: Logits, options: SoftmaxLossOptions, tile: number): [Tensor, Tensor] {
  const { queries, keys, bias = full([keys.shape[0]!], 0), scale = full([], 1) } = logits;
  const count = queries.shape[0]!, width = Math.max(4, Math.floor(tile / count / 4) * 4);
  const cuts = ranges(keys.shape[0]!, width);
  const { hard = 1, soft, uniform } = options,
    each = uniform === undefined ? undefined : multiply(operand(uniform), 1 / keys.shape[0]!);
  const others = [...soft ? [operand(soft.weight)] : [], ...uniform === undefined ? [] : [operand(uniform)]];
  const share = positiveShare(options.targets);
  const second = soft && { logits: soft.logits, weight: soft.weight, lse: logSumExpOf(soft.logits, cuts) };

  /** Target weights of the columns of one cut: [R, C]. */
  const weights = (cut: Range): Tensor => {
    const positive = multiply(hardTile(options.targets, cut, share), hard), own = each ? add(positive, each) : positive;
    if (!second) return own;
    return add(own, multiply(exp(subtract(logitTile(second.logits, cut), column(second.lse))), second.weight));
  };
  const forward = (queries: Tensor, keys: Tensor, bias: Tensor, scale: Tensor): Tensor[] => {
    const own = { queries, keys, bias, scale };
    // All that a tile is needed for comes before the next tile, so that one takes the other's memory.
    let state = emptyLse(count), drawn = full([count], 0);
    for (const cut of cuts) {
      const s = logitTile(own, cut);
      state = lseUpdate(state, s);
      drawn = add(drawn, drawnTo(s, cut));
    }
    const lse = lseOf(state);
    return [subtract(multiply(lse, mass()), drawn), lse];
  };
  /** Sum over the cut's columns of weight * logit, [R]; a single label is picked without a matrix of weights. */
  const drawnTo = (s: Tensor, cut: Range): Tensor => {
    if ("labels" in options.targets && !second) {
      const picked = multiply(pickLabels(s, options.targets.labels, cut.from), hard);
      return each ? add(picked, multiply(sum(s, { axes: [1] }), each)) : picked;
    }
    return sum(multiply(weights(cut), s), { axes: [1] });
  };
  /** The sum of a row's target weights: 0 for a row whose label is negative and that has no other target. */
  const mass = (): Tensor => {
    const own = "labels" in options.targets ? multiply(labelValid(options.targets.labels), hard) : operand(hard);
    return others.reduce((sum, weight) => add(sum, weight), own);
  };
  const loss = customVjp(
    (...args) => forward(...args as [Tensor, Tensor, Tensor, Tensor]),
    ([queries, keys, bias, scale], [, lse], [ct, ctLse]) => {
      const own = { queries: queries!, keys: keys!, bias: bias!, scale: scale! };
      const grads = cuts.map((cut) => {
        const s = logitTile(own, cut);
        const p = exp(subtract(s, column(lse!)));
        const fromLoss = ct &&
          multiply(subtract(multiply(p, column(broadcastRow(mass(), count))), weights(cut)), column(ct));
        const fromLse = ctLse && multiply(p, column(ctLse));
        const ds = fromLoss && fromLse ? add(fromLoss, fromLse) : (fromLoss ?? fromLse)!; // [R, C]
        const scaled = multiply(ds, scale!);
        return {
          queries: matmul(scaled, slice(keys!, 0, cut.from, cut.to)),
          keys: matmul(scaled, queries!, { transposeA: true }),
          bias: sum(ds, { axes: [0] }),
          scale: sum(multiply(ds, divide(subtract(s, slice(bias!, 0, cut.from, cut.to)), scale!))),
        };
      });
      return [
        grads.map((g) => g.queries).reduce((a, b) => add(a, b)),
        concat(grads.map((g) => g.keys), 0),
        concat(grads.map((g) => g.bias), 0),
        grads.map((g) => g.scale).reduce((a, b) => add(a, b)),
      ];
    },
  );
  return loss(queries, keys, bias, scale) as [Tensor, Tensor];
}

function operand(x: Operand): Tensor {
  return x instanceof Tensor ? x : full([], x);
}

/** [R] -> [R, 1]. */
function column(x: Tensor): Tensor {
  return reshape(x, [x.size, 1]);
}

function broadcastRow(x: Tensor, count: number): Tensor {
  return x.size === count ? x : multiply(x, full([count], 1));
}

/** The logits of all queries with some keys. */
export function logitTile({ queries, keys, bias, scale }: Logits, { from, to }: Range): Tensor {
  let s = matmul(queries, slice(keys, 0, from, to), { transposeB: true });
  if (scale) s = multiply(s, scale);
  return bias ? add(s, slice(bias, 0, from, to)) : s;
}

function logSumExpOf(logits: Logits, cuts: readonly Range[]): Tensor {
  return lseOf(
    cuts.reduce((state, cut) => lseUpdate(state, logitTile(logits, cut)), emptyLse(logits.queries.shape[0]!)),
  );
}

/** Maximum and sum of no logits at all: [R, 2]. */
function emptyLse(count: number): Tensor {
  return concat([full([count, 1], NONE_YET), full([count, 1], 0)], 1);
}

/** [R, 2] -> [R]. */
function lseOf(state: Tensor): Tensor {
  return reshape(add(slice(state, 1, 0, 1), log(slice(state, 1, 1, 2))), [state.shape[0]!]);
}

/** 1 where there is a label, 0 where it is negative: [R]. */
function labelValid(labels: Tensor): Tensor {
  return subtract(1, less(labels, 0));
}

/** One over the number of positive columns of each row, [R, 1]; only for targets by id. */
function positiveShare(targets: Targets): Tensor | undefined {
  if ("labels" in targets) return undefined;
  const { queryIds, keyIds } = targets;
  return divide(1, sum(equal(column(queryIds), reshape(keyIds, [1, keyIds.size])), { axes: [1], keepDims: true }));
}

/** Shares of the targets among the columns of a cut: [R, C]. */
function hardTile(targets: Targets, { from, to }: Range, share: Tensor | undefined): Tensor {
  if ("labels" in targets) {
    const own = iota([1, to - from], 1);
    return equal(column(targets.labels), add(cast(own, "i32"), from));
  }
  const ids = reshape(slice(targets.keyIds, 0, from, to), [1, to - from]);
  return multiply(equal(column(targets.queryIds), ids), share!);
}
