/**
 * The families of kernels and how each is checked on an adapter: results, and gradients where there are, on a few shapes, odd ones
 * too, against the plain float64 references of the tests.
 */
import type { Device } from "../../src/gpu/device.ts";
import { walk } from "../../src/grit/walk.ts";
import { softmaxLoss } from "../../src/losses/softmax_loss.ts";
import { attention } from "../../src/ops/attention.ts";
import { gelu } from "../../src/ops/activations.ts";
import { conv2d } from "../../src/ops/conv.ts";
import { add, cast, exp, multiply } from "../../src/ops/elementwise.ts";
import { gather, scatterAdd } from "../../src/ops/gather.ts";
import { layerNorm } from "../../src/ops/layer_norm.ts";
import { matmul, type MatmulAttrs } from "../../src/ops/matmul.ts";
import { matmulVariants, overrideMatmulChoice } from "../../src/ops/matmul_variants.ts";
import { sum } from "../../src/ops/reduce.ts";
import { cumsum } from "../../src/ops/scan.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { argsort, sort } from "../../src/ops/sort.ts";
import { topK } from "../../src/ops/top_k.ts";
import { transpose } from "../../src/ops/transpose.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { randomPairs } from "../grit/features.ts";
import { gpuWalks } from "../grit/gpu_walk.ts";
import { type AttentionCase, key, reference as attentionReference, stream } from "../testing/attention.ts";
import { checkOp, type CheckOptions, elementwise, type Values } from "../testing/check_op.ts";
import { plainOf, reference as convolution } from "../testing/conv.ts";
import * as plain from "../testing/reference.ts";
import { adamwCheck } from "./adamw.ts";

/** One case of a family: throws what is wrong. */
export type Check = (device: Device) => Promise<void>;

/** Kernels that stand or fall together. */
export interface Family {
  readonly name: string;
  /** Why it can't be checked on this device; undefined where it can. */
  readonly missing?: (device: Device) => string | undefined;
  readonly checks: readonly Check[];
}

const random = plain.randomTensor;

/** `checkOp` on the inputs given only: its edges are what the tests of the ops are for. */
function op(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: Parameters<typeof checkOp>[1],
  reference: Parameters<typeof checkOp>[2],
  options: CheckOptions = {},
): Check {
  return (device) => checkOp(fn, inputs, reference, { ...options, device, edges: "tests/ops has them" });
}

/** Results without gradients. */
function values(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  expected: () => ArrayLike<number>,
  tolerance?: number,
): Check {
  return async (device) => {
    const program = compile((all: Tensor[]) => fn(...all), { device });
    plain.assertClose(await toHost(await program([...inputs])), expected(), tolerance);
    program.destroy();
  };
}

/** The product of two matrices. */
function product(a: Values, b: Values, { transposeA = false, transposeB = false }: Partial<MatmulAttrs>): Float64Array {
  const [m, k] = (transposeA ? a.shape.toReversed() : a.shape) as [number, number];
  const n = b.shape[transposeB ? 0 : 1]!, out = new Float64Array(m * n);
  for (let i = 0; i < m * n; i++) {
    const row = Math.floor(i / n), column = i % n;
    for (let j = 0; j < k; j++) {
      out[i]! += a.data[transposeA ? j * m + row : row * k + j]! *
        b.data[transposeB ? column * k + j : j * n + column]!;
    }
  }
  return out;
}

function matmulCheck(m: number, n: number, k: number, attrs: Partial<MatmulAttrs> = {}): Check {
  const a = attrs.transposeA ? [k, m] : [m, k], b = attrs.transposeB ? [n, k] : [k, n];
  return op((x, y) => matmul(x, y, attrs), [random(a, 1), random(b, 2)], (x, y) => product(x!, y!, attrs));
}

/** Every kernel for products that the rule may choose on this device, at the borders of its tiles. */
async function everyTile(device: Device): Promise<void> {
  for (const variant of matmulVariants(device.profile)) {
    const [rows, columns] = variant.tile;
    overrideMatmulChoice(() => ({ variant, splits: 1 }));
    try {
      await matmulCheck(rows + 4, columns + 1, 36, { transposeB: true })(device);
    } catch (error) {
      throw new Error(`"${variant.name}" is wrong ${(error as Error).message}`, { cause: error });
    } finally {
      overrideMatmulChoice(undefined);
    }
  }
}

/** Operands of f16; the sums are of f32, so only the rounding of the operands counts, and that the reference does too. */
function halfMatmulCheck(m: number, n: number, k: number): Check {
  const [a, b] = [random([m, k], 1), random([k, n], 2)];
  const rounded = ({ data, shape }: typeof a): Values => ({ data: Float64Array.from(Float16Array.from(data)), shape });
  return values(
    (x, y) => matmul(cast(x, "f16"), cast(y, "f16")),
    [a, b].map(({ data, shape }) => tensor(data, shape)),
    () => product(rounded(a), rounded(b), {}),
    2e-3,
  );
}

function attentionCheck(c: AttentionCase): Check {
  const { batch, tq, tk, heads, width } = c, depth = heads * width;
  const mask = c.mask && Float32Array.from({ length: batch * tk }, (_, i) => c.mask!(Math.floor(i / tk), i % tk));
  return op(
    (q, k, v) =>
      attention(q!, k!, v!, {
        heads,
        causal: c.causal ?? false,
        ...(mask ? { mask: tensor(mask, [batch, tk]) } : {}),
        ...(c.dropout ? { dropout: { probability: c.dropout, key: tensor(key), stream } } : {}),
      }),
    [random([batch, tq, depth], 1), random([batch, tk, depth], 2), random([batch, tk, depth], 3)],
    (q, k, v) => attentionReference(c, [q!.data, k!.data, v!.data, new Float64Array(q!.data.length)])[0]!,
    { tolerance: 2e-5 },
  );
}

/** The vocabulary loss: states against words and a bias. */
function lossCheck(count: number, words: number, width: number, tile?: number): Check {
  const labels = Int32Array.from({ length: count }, (_, i) => i === 1 ? -100 : (7 * i) % words);
  return op(
    (queries, keys, bias) =>
      softmaxLoss({ queries: queries!, keys: keys!, bias: bias! }, {
        targets: { labels: tensor(labels) },
        ...(tile ? { tile } : {}),
      }),
    [random([count, width], 1), random([words, width], 2), random([words], 3)],
    (queries, keys, bias) => {
      const logits = product(queries!, keys!, { transposeB: true }).map((s, i) => s + bias!.data[i % words]!);
      return plain.crossEntropy(logits, labels, words);
    },
  );
}

function convCheck(x: readonly number[], w: readonly number[], options: Parameters<typeof plainOf>[0] = {}): Check {
  const { stride, dilation, groups, padding: [[top], [left]] } = plainOf(options);
  return op(
    (x, w) => conv2d(x!, w!, { stride, dilation, groups, padding: [[top, top], [left, left]] }),
    [random(x, 1), random(w, 2)],
    (x, w) => convolution(x!, w!, plainOf(options)).data,
  );
}

function walkCheck(count: number): Check {
  return async (device) => {
    const { image, text } = randomPairs(count, 16, 1000, count), rows = Array.from({ length: count }, (_, i) => i);
    const [chain] = await gpuWalks(image, text, [{ rows, start: count >> 1 }], device);
    plain.assertClose(chain!, walk(image, text, rows, count >> 1), 0, 0);
  };
}

const descending = (x: ArrayLike<number>): number[] => Array.from(x).sort((a, b) => b - a);
const padded = (b: number, j: number): number => j > 3 + 5 * b ? -10000 : 0;
const rowsOf = [[1, 1], [3, 17], [5, 260], [70, 64]] as const;
const ids = Uint32Array.of(3, 0, 6, 3, 3, 1, 9);

/** All of them, the simple ones first. */
export const families: readonly Family[] = [
  {
    name: "element-wise",
    checks: [[1], [3, 5], [4, 64]].flatMap((shape) => [
      op(
        (x, y) => add(multiply(x!, y!), exp(x!)),
        [random(shape, 1), random(shape.slice(-1), 2)],
        elementwise((x, y) => x! * y! + Math.exp(x!)),
      ),
      op(
        (x) => multiply(gelu(x!), x!),
        [random(shape, 3)],
        elementwise((x) => x! * x! * (1 + erf(x! / Math.SQRT2)) / 2),
      ),
    ]),
  },
  {
    name: "transposes",
    checks: [[7, 5], [33, 64]].map(([m, n]) =>
      op(
        (x) => transpose(x!, [1, 0]),
        [random([m!, n!], 1)],
        ({ data }) => Float64Array.from(data, (_, i) => data[(i % m!) * n! + Math.floor(i / m!)]!),
      )
    ),
  },
  {
    name: "reductions",
    checks: ([[1, 1, 1], [3, 257, 1], [2, 70, 5], [1, 3000, 4]] as const).map((extent) =>
      op(
        (x) => sum(x!, { axes: [1] }),
        [random(extent, 1)],
        ({ data }) => plain.reduceMiddle(data, extent, (a, b) => a + b, 0),
      )
    ),
  },
  {
    name: "softmax",
    checks: rowsOf.map((shape) =>
      op((x) => softmax(x!), [random(shape, 1, 4)], (x) => plain.eachRow(x!.data, shape[1], plain.softmax))
    ),
  },
  {
    name: "layer norm",
    checks: rowsOf.slice(1).map((shape) =>
      op(
        (x, w, b) => layerNorm(x!, w!, b!, 1e-5),
        [random(shape, 1, 2, 1), random([shape[1]], 2), random([shape[1]], 3)],
        (x, w, b) => plain.layerNorm(x!.data, w!.data, b!.data, 1e-5),
      )
    ),
  },
  {
    name: "running sums",
    checks: rowsOf.map((shape) =>
      op((x) => cumsum(x!), [random(shape, 1)], (x) =>
        plain.eachRow(x!.data, shape[1], (row) => {
          let total = 0;
          return row.map((v) => total += v);
        }))
    ),
  },
  {
    name: "matrix products",
    checks: [
      matmulCheck(1, 1, 1),
      matmulCheck(1, 65, 33),
      matmulCheck(37, 29, 53, { transposeA: true }),
      matmulCheck(64, 64, 64, { transposeB: true }),
      matmulCheck(130, 140, 70, { transposeA: true, transposeB: true }),
      matmulCheck(128, 128, 128),
    ],
  },
  { name: "matrix products by every tile", checks: [everyTile] },
  {
    name: "matrix products of f16",
    missing: ({ profile }) => profile.f16 ? undefined : "the adapter has no shader-f16",
    checks: [halfMatmulCheck(5, 7, 3), halfMatmulCheck(64, 96, 128), halfMatmulCheck(130, 67, 33)],
  },
  {
    name: "attention",
    checks: [
      attentionCheck({ batch: 1, tq: 1, tk: 1, heads: 1, width: 1 }),
      attentionCheck({ batch: 2, tq: 17, tk: 33, heads: 2, width: 32 }),
      attentionCheck({ batch: 1, tq: 19, tk: 13, heads: 1, width: 64, causal: true }),
    ],
  },
  {
    name: "attention with a mask",
    checks: [
      attentionCheck({ batch: 2, tq: 9, tk: 21, heads: 2, width: 32, mask: padded }),
      attentionCheck({ batch: 3, tq: 1, tk: 13, heads: 2, width: 7, mask: padded }),
    ],
  },
  {
    name: "attention with dropout",
    checks: [attentionCheck({ batch: 2, tq: 13, tk: 21, heads: 2, width: 16, dropout: 0.3 })],
  },
  {
    name: "attention with a mask and dropout",
    checks: [attentionCheck({ batch: 2, tq: 9, tk: 14, heads: 2, width: 7, mask: padded, dropout: 0.2 })],
  },
  {
    name: "losses over a vocabulary or pairs",
    checks: [lossCheck(5, 13, 4), lossCheck(9, 70, 32), lossCheck(5, 45, 8, 40)],
  },
  {
    name: "rows by id, and their sums",
    checks: [5, 64].flatMap((width) => [
      op(
        (x) => gather(x!, tensor(ids)),
        [random([10, width], 1)],
        ({ data }) => Array.from(ids).flatMap((id) => Array.from(data.slice(id * width, (id + 1) * width))),
      ),
      op((x) => scatterAdd(x!, tensor(ids), 10), [random([ids.length, width], 1)], ({ data }) => {
        const out = new Float64Array(10 * width);
        data.forEach((v, i) => out[ids[Math.floor(i / width)]! * width + i % width]! += v);
        return out;
      }),
    ]),
  },
  {
    name: "convolutions",
    checks: [
      convCheck([1, 1, 1, 1], [1, 1, 1, 1]),
      convCheck([2, 4, 7, 6], [6, 2, 3, 2], { groups: 2, stride: [2, 1], padding: [[1, 1], [0, 0]] }),
      convCheck([1, 3, 9, 8], [5, 3, 3, 3], { dilation: [2, 1], padding: [[2, 2], [1, 1]] }),
    ],
  },
  {
    name: "sorting",
    checks: [1, 13, 300].flatMap((length) => {
      const x = random([length], length), given = [tensor(x.data, x.shape)];
      const rising = () => descending(x.data as Float32Array).reverse();
      return [
        values((x) => sort(x!), given, rising, 0),
        values((x) => gather(x!, argsort(x!)), given, rising, 0),
        values((x) => topK(x!, Math.min(5, length))[0], given, () => descending(x.data as Float32Array).slice(0, 5), 0),
      ];
    }),
  },
  { name: "optimizer step", checks: [adamwCheck(1), adamwCheck(130)] },
  { name: "grouping walk", checks: [walkCheck(1), walkCheck(33), walkCheck(130)] },
];

/** The error function by its series, which converges fast for the |x| < 2 of the checks. */
function erf(x: number): number {
  let term = x, total = x;
  for (let n = 1; n < 40; n++) total += (term *= -x * x / n) / (2 * n + 1);
  return 2 / Math.sqrt(Math.PI) * total;
}
