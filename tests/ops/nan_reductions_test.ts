import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { softmaxLoss } from "../../src/losses/softmax_loss.ts";
import { crossEntropy, crossEntropyOps } from "../../src/ops/cross_entropy.ts";
import { layerNorm } from "../../src/ops/layer_norm.ts";
import { max, maxOp } from "../../src/ops/max.ts";
import { mean, sum, sumOp } from "../../src/ops/reduce.ts";
import { logSumExp, softmax, softmaxOps } from "../../src/ops/softmax.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { runOp } from "../testing/run_op.ts";
import { randomTensor, testOnEachKind } from "../testing/reference.ts";

const attrs = { axis: 1, count: 1, scale: 1 };
const host = async (x: Tensor): Promise<number[]> => [...await toHost(x)].map(Number);
const areNaN = (x: ArrayLike<number>): boolean[] => Array.from(x, Number.isNaN);

/** `rows` random rows of `length`; the middle one has NaN (of either sign) in column `at`. */
function withNaN(rows: number, length: number, at: number, bits = 0x7fc00000): { data: Float32Array; shape: number[] } {
  const { data } = randomTensor([rows, length], length);
  const copy = Float32Array.from(data);
  new Uint32Array(copy.buffer)[(rows >> 1) * length + at] = bits;
  return { data: copy, shape: [rows, length] };
}

// Rows read one or four elements at a time, by one or many threads, and in several stages.
const lengths = [1, 3, 8, 1033, 10_004] as const;

testOnEachKind("sum and max of a row with NaN are NaN, and those of other rows are not", async (device) => {
  for (const length of lengths) {
    for (const at of [0, length >> 1, length - 1]) {
      for (const bits of [0x7fc00000, 0xffc00000]) {
        const x = withNaN(3, length, at, bits);
        for (const op of [sumOp, maxOp]) {
          const [y] = await runOp(op, [x], attrs, device);
          assertEquals(areNaN(y as Float32Array), [false, true, false], `${op.name} of ${length}, NaN at ${at}`);
        }
      }
    }
  }
});

testOnEachKind("sum and max of a column with NaN are NaN, and those of other columns are not", async (device) => {
  for (const [length, inner] of [[3, 3], [13, 8], [520, 12], [2080, 5]] as const) {
    for (const at of [0, length >> 1, length - 1]) {
      const data = Float32Array.from(randomTensor([length, inner], inner).data);
      data[at * inner + 1] = NaN;
      for (const op of [sumOp, maxOp]) {
        const [y] = await runOp(op, [{ data, shape: [1, length, inner] }], attrs, device);
        assertEquals(areNaN(y as Float32Array).map(Number), Array.from({ length: inner }, (_, i) => Number(i === 1)));
      }
    }
  }
});

testOnEachKind("max of -Infinity alone is -Infinity, of numbers below -3.4e38 the largest", async (device) => {
  for (const [length, inner] of [[3, 1], [1033, 1], [10_004, 1], [13, 3], [520, 4]] as const) {
    for (const least of [-Infinity, -3.4028234663852886e38]) {
      const x = { data: new Float32Array(length * inner).fill(least), shape: [1, length, inner] };
      const [y] = await runOp(maxOp, [x], attrs, device);
      assertEquals([...y!], Array(inner).fill(least));
    }
  }
});

testOnEachKind("softmax, logSoftmax and logSumExp of a row with NaN are NaN", async (device) => {
  for (const length of lengths) {
    for (const at of [0, length - 1]) {
      for (const bits of [0x7fc00000, 0xffc00000]) {
        const x = withNaN(3, length, at, bits);
        for (const name of ["softmax", "logSoftmax", "logSumExp"] as const) {
          const [y] = await runOp(softmaxOps[name], [x], undefined, device);
          const isNaN = areNaN(y as Float32Array), size = isNaN.length / 3;
          assertEquals(isNaN.filter(Boolean).length, size, `${name} of ${length}, NaN at ${at}`);
          assertEquals(isNaN.slice(size, 2 * size), Array(size).fill(true));
        }
      }
    }
  }
});

testOnEachKind("-Infinity has probability 0; of nothing else, the log-sum-exp is -Infinity", async (device) => {
  for (const length of lengths.slice(1)) {
    const data = new Float32Array(2 * length).fill(-Infinity);
    data[1] = 5;
    const x = { data, shape: [2, length] };
    const [p] = await runOp(softmaxOps.softmax, [x], undefined, device);
    const first = Array.from({ length }, (_, i) => i === 1);
    assertEquals([...p!], [...first.map(Number), ...Array(length).fill(NaN)]);
    const [l] = await runOp(softmaxOps.logSoftmax, [x], undefined, device);
    assertEquals([...l!], [...first.map((own) => own ? 0 : -Infinity), ...Array(length).fill(NaN)]);
    assertEquals([...(await runOp(softmaxOps.logSumExp, [x], undefined, device))[0]!], [5, -Infinity]);
  }
});

testOnEachKind("crossEntropy of a row with NaN is NaN, and so is its gradient", async (device) => {
  for (const length of lengths) {
    for (const at of new Set([0, length >> 1, length - 1])) {
      for (const label of new Set([0, length - 1])) {
        const x = withNaN(3, length, at);
        const labels = { data: new Int32Array(3).fill(label), shape: [3], dtype: "i32" as const };
        const [loss, lse] = await runOp(crossEntropyOps.crossEntropy, [x, labels], { ignoreIndex: -100 }, device);
        assertEquals(areNaN(loss as Float32Array), [false, true, false], `${length}, NaN at ${at}, label ${label}`);
        assertEquals(areNaN(lse as Float32Array), [false, true, false]);
        const inputs = [x, { data: lse!, shape: [3] }, labels, { data: new Float32Array(3).fill(1), shape: [3] }];
        const attrs = { offset: 0, ignoreIndex: -100 };
        const [d] = await runOp(crossEntropyOps.softmaxTileGrad, inputs, attrs, device);
        const isNaN = areNaN(d as Float32Array);
        assertEquals(isNaN.filter(Boolean).length, length);
        assertEquals(isNaN.slice(length, 2 * length), Array(length).fill(true));
      }
    }
  }
});

Deno.test("crossEntropy() of an ignored row with NaN has loss 0 and gradient 0", async () => {
  const logits = tensor([NaN, 1, 2, 0, 1, 2], [2, 3]), labels = tensor(Int32Array.of(-100, 2));
  const loss = (x: Tensor): Tensor => sum(crossEntropy(x, labels)[0]);
  assertEquals(areNaN(await host(loss(logits))), [false]);
  assertEquals((await host(grad(loss)(logits))).slice(0, 3).map(Math.abs), [0, 0, 0]);
});

Deno.test("crossEntropy([[NaN, 1, 2]]) is NaN with its gradient", async () => {
  const labels = tensor(Int32Array.of(1));
  const loss = (x: Tensor): Tensor => sum(crossEntropy(x, labels)[0]);
  for (const at of [0, 1, 2]) {
    const logits = tensor([0, 1, 2].map((v) => v === at ? NaN : v), [1, 3]);
    assertEquals(await host(loss(logits)), [NaN]);
    assertEquals(await host(grad(loss)(logits)), [NaN, NaN, NaN]);
  }
});

testOnEachKind("lseUpdate keeps NaN of an earlier tile", async (device) => {
  const tile = randomTensor([3, 8], 1);
  let state = Float32Array.of(-1e30, 0, -1e30, 0, -1e30, 0);
  for (const x of [tile, withNaN(3, 8, 5), tile]) {
    const inputs = [{ data: state, shape: [3, 2] }, x];
    state = Float32Array.from((await runOp(crossEntropyOps.lseUpdate, inputs, undefined, device))[0]!);
  }
  assertEquals([1, 3, 5].map((i) => Number.isNaN(state[i])), [false, true, false]);
});

Deno.test("softmaxLoss() of a row with NaN is NaN, with its gradient", async () => {
  const keys = tensor(randomTensor([12, 4], 1).data as Float32Array, [12, 4]), labels = tensor(Int32Array.of(0, 5, 11));
  for (const column of [2, 6, 10]) {
    const bias = tensor(Array.from({ length: 12 }, (_, i) => i === column ? NaN : 0));
    const queries = tensor(randomTensor([3, 4], 2).data as Float32Array, [3, 4]);
    const loss = (q: Tensor): Tensor => softmaxLoss({ queries: q, keys, bias }, { targets: { labels }, tile: 12 });
    assertEquals(await host(loss(queries)), [NaN, NaN, NaN]);
    assertEquals(await host(grad((q: Tensor) => sum(loss(q)))(queries)), Array(12).fill(NaN));
  }
});

Deno.test("softmaxLoss() is NaN, with its gradient, where the soft target's logits have NaN", async () => {
  const keys = tensor(randomTensor([12, 4], 1).data as Float32Array, [12, 4]), labels = tensor(Int32Array.of(0, 5, 11));
  const queries = tensor(randomTensor([3, 4], 2).data as Float32Array, [3, 4]);
  const bias = tensor(Array.from({ length: 12 }, (_, i) => i === 6 ? NaN : 0));
  const soft = { logits: { queries, keys, bias }, weight: 0.5 };
  const loss = (q: Tensor): Tensor => softmaxLoss({ queries: q, keys }, { targets: { labels }, soft, tile: 12 });
  assertEquals(await host(loss(queries)), [NaN, NaN, NaN]);
  assertEquals(await host(grad((q: Tensor) => sum(loss(q)))(queries)), Array(12).fill(NaN));
});

Deno.test("gradients of max(), softmax() and logSumExp() are NaN in rows with NaN", async () => {
  const x = tensor([0, NaN, 2, 0, 1, 3], [2, 3]);
  for (const f of [(a: Tensor) => max(a, { axes: [1] }), (a: Tensor) => softmax(a), (a: Tensor) => logSumExp(a)]) {
    const d = await host(grad((a: Tensor) => sum(f(a)))(x));
    assertEquals(areNaN(d), [true, true, true, false, false, false]);
  }
});

Deno.test("mean() and layerNorm() of a row with NaN are NaN", async () => {
  const gamma = tensor([1, 1, 1, 1]), beta = tensor([0, 0, 0, 0]);
  for (const at of [0, 3]) {
    const x = tensor([0, 1, 2, 3, 4, 3, 2, 1].map((v, i) => i === at ? NaN : v), [2, 4]);
    assertEquals(areNaN(await host(mean(x, { axes: [1] }))), [true, false]);
    assertEquals(areNaN(await host(layerNorm(x, gamma, beta, 1e-6))), [
      ...Array(4).fill(true),
      ...Array(4).fill(false),
    ]);
    const d = await host(grad((a: Tensor) => sum(layerNorm(a, gamma, beta, 1e-6)))(x));
    assertEquals(areNaN(d), [...Array(4).fill(true), ...Array(4).fill(false)]);
  }
});
