/** The families of kernels and how each is checked on an adapter, on a few shapes, odd ones too. */
import type { Device } from "../../src/gpu/device.ts";
import { gelu } from "../../src/ops/activations.ts";
import { add, exp, multiply } from "../../src/ops/elementwise.ts";
import { gather, scatterAdd } from "../../src/ops/gather.ts";
import { layerNorm } from "../../src/ops/layer_norm.ts";
import { sum } from "../../src/ops/reduce.ts";
import { cumsum } from "../../src/ops/scan.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { argsort, sort } from "../../src/ops/sort.ts";
import { topK } from "../../src/ops/top_k.ts";
import { transpose } from "../../src/ops/transpose.ts";
import { tensor } from "../../src/program/compile.ts";
import { elementwise } from "../testing/check_op.ts";
import * as plain from "../testing/reference.ts";
import { adamwCheck } from "./adamw.ts";
import {
  attentionCheck,
  type Check,
  convCheck,
  halfMatmulCheck,
  lossCheck,
  matmulCheck,
  op,
  random,
  values,
  walkCheck,
} from "./checks.ts";
import { otherRowsOrTiles, otherTiles, type Remedies, without, wrongTiles } from "./remedies.ts";

/** Kernels that stand or fall together. */
export interface Family {
  readonly name: string;
  /** Why it can't be checked on this device; undefined where it can. */
  readonly missing?: (device: Device) => string | undefined;
  readonly checks: readonly Check[];
  /** What can be avoided where it is wrong; without it the kernels are the plainest that there are. */
  readonly remedies?: Remedies;
}

/** Every kernel for products that may be chosen on this device. */
async function everyTile(device: Device): Promise<void> {
  for (const [name, error] of await wrongTiles(device)) {
    throw new Error(`"${name}" is wrong ${error.message}`, { cause: error });
  }
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
    remedies: without("rows"),
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
    remedies: without("rows"),
    checks: rowsOf.map((shape) =>
      op((x) => softmax(x!), [random(shape, 1, 4)], (x) => plain.eachRow(x!.data, shape[1], plain.softmax))
    ),
  },
  {
    name: "layer norm",
    remedies: without("rows"),
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
    remedies: otherTiles,
    checks: [
      matmulCheck(1, 1, 1),
      matmulCheck(1, 65, 33),
      matmulCheck(37, 29, 53, { transposeA: true }),
      matmulCheck(64, 64, 64, { transposeB: true }),
      matmulCheck(130, 140, 70, { transposeA: true, transposeB: true }),
      matmulCheck(128, 128, 128),
    ],
  },
  { name: "matrix products by every tile", remedies: otherTiles, checks: [everyTile] },
  {
    name: "matrix products of f16",
    remedies: without("f16"),
    missing: ({ profile }) => profile.f16 ? undefined : "the adapter has no shader-f16",
    checks: [halfMatmulCheck(5, 7, 3), halfMatmulCheck(64, 96, 128), halfMatmulCheck(130, 67, 33)],
  },
  {
    name: "attention",
    remedies: without("attention"),
    checks: [
      attentionCheck({ batch: 1, tq: 1, tk: 1, heads: 1, width: 1 }),
      attentionCheck({ batch: 2, tq: 17, tk: 33, heads: 2, width: 32 }),
      attentionCheck({ batch: 1, tq: 19, tk: 13, heads: 1, width: 64, causal: true }),
    ],
  },
  {
    name: "attention with a mask",
    remedies: without("attention"),
    checks: [
      attentionCheck({ batch: 2, tq: 9, tk: 21, heads: 2, width: 32, mask: padded }),
      attentionCheck({ batch: 3, tq: 1, tk: 13, heads: 2, width: 7, mask: padded }),
    ],
  },
  {
    name: "attention with dropout",
    remedies: without("attention"),
    checks: [attentionCheck({ batch: 2, tq: 13, tk: 21, heads: 2, width: 16, dropout: 0.3 })],
  },
  {
    name: "attention with a mask and dropout",
    remedies: without("attention"),
    checks: [attentionCheck({ batch: 2, tq: 9, tk: 14, heads: 2, width: 7, mask: padded, dropout: 0.2 })],
  },
  {
    name: "losses over a vocabulary or pairs",
    remedies: otherRowsOrTiles,
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
    remedies: without("segments"),
    checks: [
      convCheck([1, 1, 1, 1], [1, 1, 1, 1]),
      convCheck([2, 4, 7, 6], [6, 2, 3, 2], { groups: 2, stride: [2, 1], padding: [[1, 1], [0, 0]] }),
      convCheck([1, 3, 9, 8], [5, 3, 3, 3], { dilation: [2, 1], padding: [[2, 2], [1, 1]] }),
    ],
  },
  {
    name: "sorting",
    remedies: without("rows"),
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
