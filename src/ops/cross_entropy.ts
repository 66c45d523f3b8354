/**
 * Cross-entropy of logits against labels, whole or in tiles of columns.
 *
 * @module
 */
import forwardKernel from "../../kernels/cross_entropy.wgsl" with { type: "text" };
import lseUpdateKernel from "../../kernels/lse_update.wgsl" with { type: "text" };
import pickKernel from "../../kernels/pick_labels.wgsl" with { type: "text" };
import gradKernel from "../../kernels/softmax_tile_grad.wgsl" with { type: "text" };
import { apply, applyAll, type Aval, type Node, type Op, Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { firstAxis } from "./_batch.ts";
import { checkInput } from "./_check.ts";
import { flatKernel, lastAxis, rowKernel } from "./_rows.ts";
import { notEqual } from "./comparisons.ts";
import { add, cast, equal, exp, iota, multiply, subtract, where } from "./elementwise.ts";
import { reshape } from "./shape.ts";
import { softmax } from "./softmax.ts";

/** Options of {@linkcode crossEntropy}. */
export interface CrossEntropyOptions {
  /** Rows with this label have loss 0 and no gradient. Default -100. */
  readonly ignoreIndex?: number;
}

interface TileAttrs {
  readonly offset: number;
  readonly ignoreIndex: number;
}

/** Throws unless `tile` is f32 [rows, columns] and `labels` i32 or u32 [rows]. */
function checkTile(name: string, role: string, tile: Aval, labels: Aval): void {
  checkInput(name, role, tile, "f32", ["rows", "columns"]);
  checkInput(name, "labels", labels, ["i32", "u32"], tile.shape.slice(0, 1));
}

const crossEntropyOp: Op<{ readonly ignoreIndex: number }> = {
  name: "crossEntropy",
  batch: firstAxis,
  infer([logits, labels]): Aval[] {
    checkTile("crossEntropy", "logits", logits!, labels!);
    const rows: Aval = { shape: labels!.shape, dtype: "f32" };
    return [rows, rows];
  },
  lower(ctx, { inputs: [logits], attrs: { ignoreIndex } }): void {
    const [rows, length] = logits!.shape as [number, number];
    const kernel = rowKernel("crossEntropy", forwardKernel, { device: ctx.device, length });
    const [logitsRef, labels] = ctx.inputs, [loss, lse] = ctx.outputs;
    const u = { rows, length: kernel.loads, ignored: ignoreIndex };
    ctx.dispatch(kernel.over(rows, { logits: logitsRef, labels, loss, lse, u }));
  },
  vjp(node, [dLoss, dLse]) {
    const [logits, labels] = node.inputs as [Tensor, Tensor];
    const lse = new Tensor(node as Node, 1);
    const attrs = { offset: 0, ignoreIndex: node.attrs.ignoreIndex };
    const fromLoss = dLoss && apply(softmaxTileGradOp, [logits, lse, labels, dLoss], attrs);
    const fromLse = dLse && multiply(softmax(logits), reshape(dLse, [...dLse.shape, 1]));
    return [fromLoss && fromLse ? add(fromLoss, fromLse) : fromLoss ?? fromLse ?? null, null];
  },
};

const softmaxTileGradOp: Op<TileAttrs> = {
  name: "softmaxTileGrad",
  batch: firstAxis,
  infer([tile, lse, labels, scale]): Aval[] {
    checkTile("softmaxTileGrad", "the tile", tile!, labels!);
    checkInput("softmaxTileGrad", "lse", lse, "f32", labels!.shape);
    checkInput("softmaxTileGrad", "scale", scale, "f32", labels!.shape);
    return [{ shape: tile!.shape, dtype: "f32" }];
  },
  lower(ctx, { inputs: [tile], attrs: { offset, ignoreIndex } }): void {
    const [rows, length] = tile!.shape as [number, number];
    const kernel = rowKernel("softmaxTileGrad", gradKernel, { device: ctx.device, length });
    const [tileRef, lse, labels, scales] = ctx.inputs;
    const u = { rows, length: kernel.loads, offset, ignored: ignoreIndex };
    ctx.dispatch(kernel.over(rows, { tile: tileRef, lse, labels, scales, d: ctx.outputs[0], u }));
  },
  compose([tile, lse, labels, scale], { offset, ignoreIndex }): Tensor[] {
    const column = (x: Tensor): Tensor => reshape(x, [x.size, 1]), own = cast(labels!, "i32");
    const labelled = equal(column(own), add(cast(iota([1, lastAxis(tile!)], 1), "i32"), offset));
    const d = multiply(subtract(exp(subtract(tile!, column(lse!))), labelled), column(scale!));
    return [where(column(notEqual(own, ignoreIndex)), d, 0)];
  },
};

const lseUpdateOp: Op<void> = {
  name: "lseUpdate",
  batch: firstAxis,
  infer([state, tile]): Aval[] {
    checkInput("lseUpdate", "the tile", tile, "f32", ["rows", "columns"]);
    checkInput("lseUpdate", "state", state, "f32", [tile!.shape[0]!, 2]);
    return [{ shape: state!.shape, dtype: "f32" }];
  },
  lower(ctx, { inputs: [, tile] }): void {
    const [rows, length] = tile!.shape as [number, number];
    const kernel = rowKernel("lseUpdate", lseUpdateKernel, { device: ctx.device, length });
    const [state, tileRef] = ctx.inputs;
    const u = { rows, length: kernel.loads };
    ctx.dispatch(kernel.over(rows, { state, tile: tileRef, result: ctx.outputs[0], u }));
  },
};

const pickLabelsOp: Op<{ readonly offset: number }> = {
  name: "pickLabels",
  batch: firstAxis,
  infer([tile, labels]): Aval[] {
    checkTile("pickLabels", "the tile", tile!, labels!);
    return [{ shape: labels!.shape, dtype: "f32" }];
  },
  lower(ctx, { inputs: [tile], attrs: { offset } }): void {
    const kernel = flatKernel("pickLabels", pickKernel, { device: ctx.device });
    const [tileRef, labels] = ctx.inputs;
    const u = { count: tile!.shape[0]!, length: lastAxis(tile!), offset };
    ctx.dispatch(kernel.over(u.count, { tile: tileRef, labels, y: ctx.outputs[0], u }));
  },
};

/**
 * Cross-entropy of every row and its log-sum-exp: `[loss, lse]`, both [rows].
 *
 * Labels must be `ignoreIndex` or from 0 to classes - 1. The GPU does not check them (a label beyond the last class
 * counts as the last one, without gradient for its column): data loaders do.
 *
 * A row with NaN in any class has the loss and the lse NaN, and NaN throughout its gradient, so that training stops; the
 * loss and its gradient stay 0 where the label is `ignoreIndex`.
 *
 * @param logits f32 [rows, classes].
 * @param labels i32 or u32 [rows].
 */
export function crossEntropy(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): [Tensor, Tensor] {
  const { ignoreIndex = -100 } = checkOptions("crossEntropy", options, { ignoreIndex: "one" });
  return applyAll(crossEntropyOp, [logits, labels], { ignoreIndex }) as [Tensor, Tensor];
}

/**
 * Adds a tile of columns to an online log-sum-exp. NaN in a row makes its sum NaN for good. No gradient rule.
 *
 * @param state f32 [rows, 2]: the largest element so far and the sum of exp(x - largest); starts as (-1e30, 0).
 * @param tile f32 [rows, columns].
 */
export function lseUpdate(state: Tensor, tile: Tensor): Tensor {
  return apply(lseUpdateOp, [state, tile], undefined);
}

/**
 * The logit at each row's label where the tile holds that column, else 0. No gradient rule.
 *
 * @param tile f32 [rows, columns]: columns from `offset` on.
 * @param labels i32 or u32 [rows].
 */
export function pickLabels(tile: Tensor, labels: Tensor, offset: number): Tensor {
  return apply(pickLabelsOp, [tile, labels], { offset });
}

/**
 * Gradient of cross-entropy for a tile of columns: `(exp(tile - lse) - onehot(label - offset)) * scale`; rows with the
 * label `ignoreIndex` get 0.
 *
 * @param tile f32 [rows, columns]: columns from `offset` on.
 * @param lse f32 [rows]: log-sum-exp of whole rows.
 * @param labels i32 or u32 [rows].
 * @param scale f32 [rows].
 */
export function softmaxTileGrad(
  tile: Tensor,
  lse: Tensor,
  labels: Tensor,
  scale: Tensor,
  offset: number,
  options: CrossEntropyOptions = {},
): Tensor {
  const attrs = { offset, ignoreIndex: options.ignoreIndex ?? -100 };
  return apply(softmaxTileGradOp, [tile, lse, labels, scale], attrs);
}

/** The ops, for tests of a single kernel. */
export const crossEntropyOps: {
  readonly crossEntropy: Op<Required<CrossEntropyOptions>>;
  readonly softmaxTileGrad: Op<TileAttrs>;
  readonly lseUpdate: Op<void>;
  readonly pickLabels: Op<{ readonly offset: number }>;
} = {
  crossEntropy: crossEntropyOp,
  softmaxTileGrad: softmaxTileGradOp,
  lseUpdate: lseUpdateOp,
  pickLabels: pickLabelsOp,
};
