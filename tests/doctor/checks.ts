/** Makers of checks: a kernel's results, and gradients where there are, against the plain float64 references of the tests. */
import type { Device } from "../../src/gpu/device.ts";
import { walk } from "../../src/grit/walk.ts";
import { softmaxLoss } from "../../src/losses/softmax_loss.ts";
import { attention } from "../../src/ops/attention.ts";
import { conv2d } from "../../src/ops/conv.ts";
import { cast } from "../../src/ops/elementwise.ts";
import { matmul, type MatmulAttrs } from "../../src/ops/matmul.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { randomPairs } from "../grit/features.ts";
import { gpuWalks } from "../grit/gpu_walk.ts";
import { type AttentionCase, key, reference as attentionReference, stream } from "../testing/attention.ts";
import { checkOp, type CheckOptions, type Values } from "../testing/check_op.ts";
import { plainOf, reference as convolution } from "../testing/conv.ts";
import * as plain from "../testing/reference.ts";

/** One case of a family: throws what is wrong. */
export type Check = (device: Device) => Promise<void>;

/** Random f32 values. */
export const random = plain.randomTensor;

/** `checkOp` on the inputs given only: its edges are what the tests of the ops are for. */
export function op(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: Parameters<typeof checkOp>[1],
  reference: Parameters<typeof checkOp>[2],
  options: CheckOptions = {},
): Check {
  return (device) => checkOp(fn, inputs, reference, { ...options, device, edges: "tests/ops has them" });
}

/** Results without gradients. */
export function values(
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

export function matmulCheck(m: number, n: number, k: number, attrs: Partial<MatmulAttrs> = {}): Check {
  const a = attrs.transposeA ? [k, m] : [m, k], b = attrs.transposeB ? [n, k] : [k, n];
  return op((x, y) => matmul(x, y, attrs), [random(a, 1), random(b, 2)], (x, y) => product(x!, y!, attrs));
}

/** Operands of f16; the sums are of f32, so only the rounding of the operands counts, and that the reference does too. */
export function halfMatmulCheck(m: number, n: number, k: number): Check {
  const [a, b] = [random([m, k], 1), random([k, n], 2)];
  const rounded = ({ data, shape }: typeof a): Values => ({ data: Float64Array.from(Float16Array.from(data)), shape });
  return values(
    (x, y) => matmul(cast(x, "f16"), cast(y, "f16")),
    [a, b].map(({ data, shape }) => tensor(data, shape)),
    () => product(rounded(a), rounded(b), {}),
    2e-3,
  );
}

export function attentionCheck(c: AttentionCase): Check {
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
export function lossCheck(count: number, words: number, width: number, tile?: number): Check {
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

export function convCheck(
  x: readonly number[],
  w: readonly number[],
  options: Parameters<typeof plainOf>[0] = {},
): Check {
  const { stride, dilation, groups, padding: [[top], [left]] } = plainOf(options);
  return op(
    (x, w) => conv2d(x!, w!, { stride, dilation, groups, padding: [[top, top], [left, left]] }),
    [random(x, 1), random(w, 2)],
    (x, w) => convolution(x!, w!, plainOf(options)).data,
  );
}

export function walkCheck(count: number): Check {
  return async (device) => {
    const { image, text } = randomPairs(count, 16, 1000, count), rows = Array.from({ length: count }, (_, i) => i);
    const [chain] = await gpuWalks(image, text, [{ rows, start: count >> 1 }], device);
    plain.assertClose(chain!, walk(image, text, rows, count >> 1), 0, 0);
  };
}
