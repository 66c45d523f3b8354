import { assertEquals } from "@std/assert";
import { attention, type AttentionOptions } from "../../src/ops/attention.ts";
import { philox } from "../../src/random/philox.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import { sizeOf, type Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { checkSecondDerivatives } from "../testing/second_derivative.ts";
import { randomTensor, testOnEachKind } from "../testing/reference.ts";
import type { HostTensor } from "../testing/run_op.ts";

/** Sizes and options of one attention; the mask is a host tensor. */
interface Case extends Omit<AttentionOptions, "mask" | "dropout"> {
  readonly batch: number;
  readonly tq: number;
  readonly tk: number;
  readonly keyHeads: number;
  readonly width: number;
  readonly mask?: HostTensor;
  /** The probability of dropout. */
  readonly dropout?: number;
}

const stream = 3, key = Uint32Array.of(0x1234567, 0x89abcdef);

/** What dropout multiplies the probability of a key by: 16 bits of Philox for each, eight keys a counter. */
function keepFactor(probability: number, group: number, i: number, j: number): number {
  const threshold = Math.round(probability * 65536), words = philox([j >> 3, i, group, stream], key);
  const bits = (words[(j % 8) >> 1]! >>> (16 * (j & 1))) & 0xffff;
  return bits < threshold ? 0 : 65536 / (65536 - threshold);
}

/** What a mask adds to the score of a row and key. */
function maskAt(mask: HostTensor | undefined, b: number, h: number, i: number, j: number): number {
  if (!mask) return 0;
  const [keys, rows, heads, batch] = mask.shape.length === 2
    ? [mask.shape[1]!, 1, 1, mask.shape[0]!]
    : [mask.shape.at(-1)!, mask.shape.at(-2)!, mask.shape.length === 3 ? 1 : mask.shape[1]!, mask.shape[0]!];
  return mask.data[((b % batch * heads + h % heads) * rows + i % rows) * keys + j]!;
}

/** The definition in float64, row by row. */
function reference(c: Case, q: Values, k: Values, v: Values): Float64Array {
  const { batch, tq, tk, heads, keyHeads, width } = c, out = new Float64Array(q.data.length);
  const dot = (i: number, j: number): number => {
    let total = 0;
    for (let d = 0; d < width; d++) total += q.data[i + d]! * k.data[j + d]!;
    return total;
  };
  for (let row = 0; row < batch * heads * tq; row++) {
    const i = row % tq, h = Math.floor(row / tq) % heads, b = Math.floor(row / (tq * heads));
    const at = (b * tq + i) * heads * width + h * width, keyHead = Math.floor(h * keyHeads / heads);
    const atKey = (j: number): number => (b * tk + j) * keyHeads * width + keyHead * width;
    const seen = Array.from({ length: tk }, (_, j) => j).filter((j) => !c.causal || j <= i + tk - tq);
    const masks = seen.map((j) => Math.max(-1e38, maskAt(c.mask, b, h, i, j))), all = masks.every((m) => m === -1e38);
    if (all && (c.maskedRows === "zero" || seen.length === 0)) continue;
    const scores = seen.map((j, n) => all ? 0 : (c.scale ?? 1 / Math.sqrt(width)) * dot(at, atKey(j)) + masks[n]!);
    const top = Math.max(...scores), total = scores.reduce((x, s) => x + Math.exp(s - top), 0);
    seen.forEach((j, n) => {
      const keep = c.dropout ? keepFactor(c.dropout, b * heads + h, i, j) : 1,
        p = keep * Math.exp(scores[n]! - top) / total;
      for (let d = 0; d < width; d++) out[at + d]! += p * v.data[atKey(j) + d]!;
    });
  }
  return out;
}

function inputsOf({ batch, tq, tk, heads, keyHeads, width }: Case): HostTensor[] {
  const keys = [batch, tk, keyHeads * width];
  return [randomTensor([batch, tq, heads * width], 1, 2), randomTensor(keys, 2, 2), randomTensor(keys, 3)];
}

/** Result and gradients of q, k and v against the definition and its differences. */
async function check(c: Case, device: Parameters<Parameters<typeof testOnEachKind>[1]>[0]): Promise<void> {
  const { heads, causal, maskedRows, scale, mask } = c;
  const options = {
    heads,
    ...(causal ? { causal } : {}),
    ...(maskedRows ? { maskedRows } : {}),
    ...(scale ? { scale } : {}),
  };
  await checkOp(
    (q, k, v, m) => {
      const dropout = c.dropout ? { probability: c.dropout, key: tensor(key), stream } : undefined;
      return attention(q!, k!, v!, { ...options, mask: m, dropout });
    },
    [...inputsOf(c), ...(mask ? [mask] : [])],
    (q, k, v) => reference(c, q!, k!, v!),
    {
      device,
      // Rows of the mean have the gradients of a softmax of equal scores, which those of masks of -1e38 are but by rounding.
      wrt: maskedRows === "mean" ? [2] : [0, 1, 2],
      edges: mask ? "the mask would change, too" : { domain: (x) => Math.max(-2, Math.min(2, x)) },
    },
  );
}

const mask = (shape: number[], value: (i: number) => number): HostTensor => ({
  shape,
  data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => value(i)),
});
const sizes = { batch: 2, tq: 11, tk: 13, heads: 4, keyHeads: 4, width: 4 };

testOnEachKind("attention() adds masks and biases of any rows and heads", async (device) => {
  const bias = (shape: number[]): HostTensor => randomTensor(shape, 5, 3);
  const banded = mask([1, 11, 13], (i) => Math.abs(Math.floor(i / 13) - i % 13) < 4 ? 0 : -Infinity);
  await check({ ...sizes, mask: banded }, device);
  await check({ ...sizes, mask: bias([2, 11, 13]) }, device);
  await check({ ...sizes, mask: bias([1, 4, 11, 13]) }, device);
  await check({ ...sizes, mask: bias([2, 4, 11, 13]) }, device);
  await check({ ...sizes, mask: bias([2, 4, 1, 13]) }, device);
  await check({ ...sizes, mask: bias([1, 1, 1, 13]) }, device);
  await check({ ...sizes, mask: bias([2, 13]) }, device);
  await check({ ...sizes, mask: bias([2, 1, 11, 13]), causal: true, scale: 0.3 }, device);
});

testOnEachKind("attention() lets heads of queries share heads of keys", async (device) => {
  await check({ ...sizes, keyHeads: 2 }, device);
  await check({ ...sizes, keyHeads: 1, width: 5 }, device);
  await check(
    { ...sizes, keyHeads: 2, dropout: 0.3, maskedRows: "zero", mask: randomTensor([2, 1, 11, 13], 4) },
    device,
  );
  await check({ ...sizes, heads: 6, keyHeads: 3, causal: true, mask: randomTensor([2, 6, 11, 13], 6) }, device);
});

testOnEachKind(
  "attention() of several workgroups and tiles has rows' masks and shared heads of keys",
  async (device) => {
    const large = { batch: 1, tq: 70, tk: 75, heads: 2, keyHeads: 1, width: 8 };
    await check({ ...large, mask: randomTensor([1, 2, 70, 75], 7, 2) }, device);
    await check({ ...large, tq: 40, causal: true, mask: randomTensor([1, 75], 8, 2) }, device);
  },
);

testOnEachKind("attention() gives 0 or the mean in rows whose keys are all masked, as asked", async (device) => {
  // Rows of batch 0 from the fifth on, and of batch 1 none: by key, and by row.
  const byRow = mask(
    [2, 11, 13],
    (i) => i < 11 * 13 && Math.floor(i / 13) > 4 ? -Infinity : i % 3 === 0 ? -Infinity : 0,
  );
  const byKey = mask([2, 13], (i) => i < 13 || i % 2 ? -Infinity : 0);
  for (const maskedRows of ["zero", "mean"] as const) {
    await check({ ...sizes, mask: byRow, maskedRows }, device);
    await check({ ...sizes, mask: byKey, maskedRows }, device);
  }
  // Row 0 sees keys 0..2, which are masked; with fewer keys than rows some see none.
  await check(
    { ...sizes, causal: true, maskedRows: "zero", mask: mask([2, 13], (i) => i % 13 < 5 ? -Infinity : 0) },
    device,
  );
  await check({
    ...sizes,
    tk: 6,
    causal: true,
    maskedRows: "mean",
    mask: mask([2, 6], (i) => i % 6 < 2 ? -Infinity : 0),
  }, device);
});

testOnEachKind("attention() that gives 0 in masked rows hides their values, and no NaN of others", async (device) => {
  const run = compile(
    (x: Tensor, v: Tensor, m: Tensor) => attention(x, x, v, { heads: 1, mask: m, maskedRows: "zero" }),
    { device },
  );
  const [x, v] = [randomTensor([3, 2, 4], 1), randomTensor([3, 2, 4], 2)];
  x.data[8] = NaN; // a query and key of batch 1
  v.data[1] = NaN; // a value of batch 0, which the mask covers
  const m = tensor(Float32Array.of(-Infinity, -Infinity, 0, 0, -Infinity, -3.4e38), [3, 2]);
  const out = await toHost(await run(tensor(x.data, x.shape), tensor(v.data, v.shape), m));
  assertEquals([...out].map((y) => y === 0 ? 0 : Number.isNaN(y) ? NaN : 1), [
    ...Array(8).fill(0),
    ...Array(8).fill(NaN),
    ...Array(8).fill(0),
  ]);
  run.destroy();
});

Deno.test("attention() has the right second derivatives: grouped, causal, masked and with dropout", async () => {
  const bias = mask([1, 1, 3, 2], (i) => i < 2 ? -Infinity : Math.sin(i)),
    small = { batch: 1, tq: 3, tk: 2, heads: 2, width: 2 };
  const variants: readonly Case[] = [
    { ...small, keyHeads: 1, causal: true },
    { ...small, keyHeads: 2, mask: bias, maskedRows: "zero", dropout: 0.4, scale: 0.9 },
    { ...small, keyHeads: 2, batch: 2, mask: mask([2, 2], (i) => i === 1 ? -1e4 : i / 10) },
  ];
  for (const { mask, dropout, heads, causal, maskedRows, scale, ...sizes } of variants) {
    const options: AttentionOptions = {
      ...{ heads, causal: !!causal, maskedRows: maskedRows ?? "mean", scale: scale ?? 1 },
      ...(mask ? { mask: tensor(mask.data, mask.shape) } : {}),
      ...(dropout ? { dropout: { probability: dropout, key: tensor(key), stream } } : {}),
    };
    const c = {
      ...sizes,
      heads,
      causal: !!causal,
      scale: scale ?? 1,
      ...(mask ? { mask } : {}),
      ...(dropout ? { dropout } : {}),
    };
    await checkSecondDerivatives(
      (q, k, v) => attention(q!, k!, v!, options),
      inputsOf(c),
      (q, k, v) => reference({ ...c, maskedRows: maskedRows ?? "mean" }, q!, k!, v!),
    );
  }
});
