/**
 * Matrix products, batched and transposed as asked: the shape rule, the gradient rule and the lowering.
 *
 * @module
 */
import { apply, type Aval, type Op, sameShape, sizeOf, type Tensor } from "../program/graph.ts";
import { reshape } from "./shape.ts";
import { lowerMatmul } from "./matmul_lowering.ts";
import { chooseMatmul, type MatmulSizes } from "./matmul_variants.ts";

/** How the operands of {@linkcode matmul} are stored. */
export interface MatmulAttrs {
  /** `a` is stored as `[..., K, M]`. */
  readonly transposeA: boolean;
  /** `b` is stored as `[..., N, K]`. */
  readonly transposeB: boolean;
}

/** The matrix product; see {@linkcode matmul}. */
export const matmulOp: Op<MatmulAttrs> = {
  name: "matmul",
  emits: true,
  infer([a, b]: readonly Aval[], attrs): Aval[] {
    const { m, n } = matrixSizes(a!, b!, attrs);
    return [{ shape: [...a!.shape.slice(0, -2), m, n], dtype: "f32" }];
  },
  vjp(node, [g]) {
    const [a, b] = node.inputs as [Tensor, Tensor];
    const { transposeA, transposeB } = node.attrs;
    const da = transposeA
      ? matmul(b, g!, { transposeA: transposeB, transposeB: true })
      : matmul(g!, b, { transposeB: !transposeB });
    // A shared b gathers the whole batch: its rows are folded into the inner axis of one product.
    const [x, y] = b.shape.length === 2 ? [foldRows(a), foldRows(g!)] : [a, g!];
    const db = transposeB
      ? matmul(y, x, { transposeA: true, transposeB: transposeA })
      : matmul(x, y, { transposeA: !transposeA });
    return [da, db];
  },
  lower(ctx, node): void {
    const [a, b] = node.inputs as [Tensor, Tensor];
    const half = { halfA: a.dtype === "f16", halfB: b.dtype === "f16" };
    const problem = { ...foldedSizes(a, b, node.attrs), ...node.attrs, ...half };
    lowerMatmul(ctx, problem, chooseMatmul(ctx.device, problem));
  },
};

/**
 * `a [..., M, K]` times `b [..., K, N]`: `[..., M, N]` f32, accumulated in f32.
 *
 * Each may be stored in f16; their gradients are f32. The leading (batch) axes of both are equal, or `b` has two axes and is shared by the batch.
 *
 * @param options `transposeA`: `a` is stored as `[..., K, M]`, and then `b` has the batch axes of `a`; `transposeB`: `b` is
 * stored as `[..., N, K]`.
 * @throws {RangeError} if the shapes do not fit.
 */
export function matmul(a: Tensor, b: Tensor, options: Partial<MatmulAttrs> = {}): Tensor {
  return apply(matmulOp, [a, b], { transposeA: options.transposeA ?? false, transposeB: options.transposeB ?? false });
}

/** Sizes of the product that runs: without a transposed `a`, the batch of a shared `b` is more rows. */
function foldedSizes(a: Aval, b: Aval, attrs: MatmulAttrs): MatmulSizes {
  const sizes = matrixSizes(a, b, attrs);
  const batch = sizeOf(a.shape.slice(0, -2));
  return b.shape.length === 2 ? { ...sizes, m: sizes.m * batch, batch: 1 } : { ...sizes, batch };
}

/** M, N and K of one matrix of the batch; throws if the shapes do not fit. */
function matrixSizes(a: Aval, b: Aval, { transposeA, transposeB }: MatmulAttrs): { m: number; n: number; k: number } {
  const fail = (required: string): never => {
    const of = (x: Aval, transposed: boolean) => `${x.dtype}[${x.shape}]${transposed ? " (transposed)" : ""}`;
    throw new RangeError(`Cannot multiply matrices ${of(a, transposeA)} and ${of(b, transposeB)}: ${required}`);
  };
  if (a.shape.length < 2 || b.shape.length < 2) fail("both must have at least 2 axes");
  if (![a, b].every(({ dtype }) => dtype === "f32" || dtype === "f16")) fail("both must be f32 or f16");
  const [aRows, aColumns] = a.shape.slice(-2) as [number, number];
  const [bRows, bColumns] = b.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [aColumns, aRows] : [aRows, aColumns];
  const [bk, n] = transposeB ? [bColumns, bRows] : [bRows, bColumns];
  if (k !== bk) fail(`the inner axes must be equal: they are ${k} and ${bk}`);
  const shared = b.shape.length === 2 && !transposeA;
  if (!shared && !sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2))) {
    fail(
      b.shape.length === 2
        ? "a transposed first matrix with batch axes needs a second one with the same batch axes"
        : "the batch axes must be equal, or the second must have 2 axes",
    );
  }
  return { m, n, k };
}

/** `[..., M, K]` as `[... * M, K]`. */
function foldRows(x: Tensor): Tensor {
  return reshape(x, [x.size / x.shape.at(-1)!, x.shape.at(-1)!]);
}
