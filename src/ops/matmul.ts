/**
 * Matrix products, batched and transposed as asked: the shape rule, the gradient rule and the lowering.
 *
 * @module
 */
import { apply, type Aval, type Op, sameShape, sizeOf, type Tensor } from "../program/graph.ts";
import { checkOptions } from "../program/options.ts";
import { asF32 } from "./_float.ts";
import { broadcastTo, sumTo } from "./reduce.ts";
import { reshape } from "./shape.ts";
import { lowerMatmul, type SharedOperands } from "./matmul_lowering.ts";
import { chooseMatmul, type MatmulSizes } from "./matmul_variants.ts";

/** How the operands of {@linkcode matmul} are stored. */
export interface MatmulAttrs {
  /** `a` is stored as `[..., K, M]`. */
  readonly transposeA: boolean;
  /** `b` is stored as `[..., N, K]`. */
  readonly transposeB: boolean;
}

/**
 * The product of matrices whose batch axes are equal, or of which one has two axes and is shared by the batch; {@linkcode matmul}
 * brings all others to that.
 */
export const matmulOp: Op<MatmulAttrs> = {
  name: "matmul",
  emits: true,
  infer([a, b]: readonly Aval[], attrs): Aval[] {
    const { m, n, batch } = matrixSizes(a!, b!, attrs);
    return [{ shape: [...batch, m, n], dtype: "f32" }];
  },
  vjp(node, [g]) {
    const [a, b] = node.inputs as [Tensor, Tensor];
    const { transposeA, transposeB } = node.attrs;
    const da = transposeA
      ? matmul(b, g!, { transposeA: transposeB, transposeB: true })
      : matmul(g!, b, { transposeB: !transposeB });
    // A shared b gathers the whole batch: its rows are folded into the inner axis of one product, unless they are stored as columns.
    const [x, y] = b.shape.length === 2 && !transposeA ? [foldRows(a), foldRows(g!)] : [a, g!];
    const db = transposeB
      ? matmul(y, x, { transposeA: true, transposeB: transposeA })
      : matmul(x, y, { transposeA: !transposeA });
    return [sumTo(da, a.shape), sumTo(db, b.shape)];
  },
  batch([a, b], attrs, { size, batched }): Tensor[] {
    const rank = Math.max(...[a!, b!].map((x, i) => x.shape.length - Number(batched[i])));
    const align = (x: Tensor, i: 0 | 1): Tensor =>
      batched[i] ? reshape(x, [size, ...Array<number>(rank + 1 - x.shape.length).fill(1), ...x.shape.slice(1)]) : x;
    return [matmul(align(a!, 0), align(b!, 1), attrs)];
  },
  lower(ctx, node): void {
    const [a, b] = node.inputs as [Tensor, Tensor];
    const half = { halfA: a.dtype === "f16", halfB: b.dtype === "f16" };
    const problem = { ...foldedSizes(a, b, node.attrs), ...node.attrs, ...half };
    lowerMatmul(ctx, problem, chooseMatmul(ctx.device, problem));
  },
};

/**
 * `a [..., M, K]` times `b [..., K, N]`: `[..., M, N]` f32, accumulated in f32, by the rules of `numpy.matmul`.
 *
 * The leading (batch) axes broadcast. An operand whose batch axes are 1 or missing is shared, not copied; others that broadcast
 * are copied. A vector `a` is a row, a vector `b` a column, and the result does not have that axis. Each operand may be stored in
 * f16; gradients are f32.
 *
 * @param options `transposeA`: `a` is stored as `[..., K, M]`; `transposeB`: `b` is stored as `[..., N, K]`. They do not touch
 * vectors.
 * @throws {RangeError} if the shapes do not fit.
 */
export function matmul(a: Tensor, b: Tensor, options: Partial<MatmulAttrs> = {}): Tensor {
  checkOptions("matmul", options, { transposeA: "one", transposeB: "one" });
  const row = a.shape.length === 1, column = b.shape.length === 1;
  const attrs = {
    transposeA: !row && (options.transposeA ?? false),
    transposeB: !column && (options.transposeB ?? false),
  };
  if (!row && !column) return product(a, b, attrs);
  const y = product(row ? reshape(a, [1, a.size]) : a, column ? reshape(b, [b.size, 1]) : b, attrs);
  const m = y.shape.length - 2;
  return reshape(y, y.shape.filter((_, axis) => axis < m || (axis === m ? !row : !column)));
}

/** The product of matrices whose batch axes broadcast. */
function product(a: Tensor, b: Tensor, attrs: MatmulAttrs): Tensor {
  const { batch } = matrixSizes(a, b, attrs);
  const shared = [b, a].find((x) => sizeOf(batchOf(x)) === 1);
  const fit = (x: Tensor): Tensor => {
    if (x.shape.length === 2 || sameShape(batchOf(x), batch)) return x;
    const matrix = x.shape.slice(-2);
    if (x === shared) return reshape(x, matrix);
    const full = [...batch, ...matrix];
    return sizeOf(full) === x.size ? reshape(x, full) : broadcastTo(asF32(x), full);
  };
  return apply(matmulOp, [fit(a), fit(b)], attrs);
}

function batchOf(x: Aval): readonly number[] {
  return x.shape.slice(0, -2);
}

/** Sizes of the product that runs: without a transposed `a`, the batch of a shared `b` is more rows. */
function foldedSizes(a: Aval, b: Aval, attrs: MatmulAttrs): MatmulSizes & SharedOperands {
  const { m, n, k, batch: axes } = matrixSizes(a, b, attrs);
  const batch = sizeOf(axes);
  if (b.shape.length === 2 && !attrs.transposeA) return { m: m * batch, n, k, batch: 1 };
  return { m, n, k, batch, sharedA: a.shape.length === 2, sharedB: b.shape.length === 2 };
}

/** M, N and K of one matrix, and the batch axes of all; throws if the shapes do not fit. */
function matrixSizes(
  a: Aval,
  b: Aval,
  { transposeA, transposeB }: MatmulAttrs,
): { m: number; n: number; k: number; batch: readonly number[] } {
  const fail = (required: string): never => {
    const of = (x: Aval, transposed: boolean) => `${x.dtype}[${x.shape}]${transposed ? " (transposed)" : ""}`;
    throw new RangeError(`Cannot multiply matrices ${of(a, transposeA)} and ${of(b, transposeB)}: ${required}`);
  };
  if (a.shape.length < 2 || b.shape.length < 2) fail("both must have at least 1 axis");
  if (![a, b].every(({ dtype }) => dtype === "f32" || dtype === "f16")) fail("both must be f32 or f16");
  const [aRows, aColumns] = a.shape.slice(-2) as [number, number];
  const [bRows, bColumns] = b.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [aColumns, aRows] : [aRows, aColumns];
  const [bk, n] = transposeB ? [bColumns, bRows] : [bRows, bColumns];
  if (k !== bk) fail(`the inner axes must be equal: they are ${k} and ${bk}`);
  const batch = broadcast(batchOf(a), batchOf(b));
  if (!batch) fail(`the batch axes must be equal or 1: they are [${batchOf(a)}] and [${batchOf(b)}]`);
  return { m, n, k, batch: batch! };
}

/** The axes that two lists of axes broadcast to by NumPy's rule, or undefined. */
function broadcast(a: readonly number[], b: readonly number[]): readonly number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const lengths = Array.from({ length: rank }, (_, i) => [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1]);
  if (lengths.some(([x, y]) => x !== y && x !== 1 && y !== 1)) return undefined;
  return lengths.map(([x, y]) => x === 1 ? y! : x!);
}

/** `[..., M, K]` as `[... * M, K]`. */
function foldRows(x: Tensor): Tensor {
  return reshape(x, [x.size / x.shape.at(-1)!, x.shape.at(-1)!]);
}
