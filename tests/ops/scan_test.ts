import { assertEquals, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { cumprod, cumsum, linearScan, logCumsumExp, scanOps, type ScanOptions } from "../../src/ops/scan.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { placeholder, runOp } from "../testing/run_op.ts";
import { assertClose, randomIds, randomTensor, testOnEachKind } from "../testing/reference.ts";

/** Scans the middle axis of [outer, length, inner] in float64. */
function scanMiddle(
  x: ArrayLike<number>,
  [outer, length, inner]: readonly [number, number, number],
  combine: (a: number, b: number, at: number) => number,
  start: number,
  { exclusive = false, reverse = false }: ScanOptions,
): Float64Array {
  const y = new Float64Array(x.length);
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < inner; c++) {
      let all = start;
      for (let i = 0; i < length; i++) {
        const at = (o * length + (reverse ? length - 1 - i : i)) * inner + c, next = combine(all, x[at]!, at);
        y[at] = exclusive ? all : next;
        all = next;
      }
    }
  }
  return y;
}

const plus = (a: number, b: number): number => a + b, times = (a: number, b: number): number => a * b;
function logAddExp(a: number, b: number): number {
  const top = Math.max(a, b);
  return Math.abs(top) === Infinity ? top : top + Math.log(Math.exp(a - top) + Math.exp(b - top));
}

const directions = [[false, false], [true, false], [false, true], [true, true]].map(([exclusive, reverse]) => ({
  exclusive: exclusive!,
  reverse: reverse!,
}));
const extents: [number, number, number][] = [[1, 1, 1], [3, 7, 1], [2, 300, 1], [1, 5003, 3], [2, 41, 8], [40, 33, 1]];

testOnEachKind("cumulative sums, products and log-sum-exps equal the float64 reference", async (device) => {
  for (const extent of extents) {
    for (const options of directions) {
      const attrs = { axis: 1, ...options }, x = randomTensor(extent, 1 + extent[1]);
      const near1 = { ...x, data: (x.data as Float32Array).map((v) => (v < 0 ? -1 : 1) * (1 + v / 20)) };
      const [total] = await runOp(scanOps.cumsum, [x], attrs, device);
      assertClose(total!, scanMiddle(x.data, extent, plus, 0, options), 1e-5);
      const [product] = await runOp(scanOps.cumprod, [near1], attrs, device);
      assertClose(product!, scanMiddle(near1.data, extent, times, 1, options), 5e-4);
      const large = { ...x, data: (x.data as Float32Array).map((v) => 1e3 * v) };
      const [lse] = await runOp(scanOps.logCumsumExp, [large], attrs, device);
      const expected = scanMiddle(large.data, extent, logAddExp, -Infinity, options);
      const numbers = (v: ArrayLike<number>): number[] => Array.from(v, (y) => y === -Infinity ? -1e4 : y);
      assertClose(numbers(lse!), numbers(expected), 1e-6);
      const b = randomTensor(extent, 5);
      const [h] = await runOp(scanOps.linearScan, [near1, b], { ...attrs, exclusive: true }, device);
      const step = (a: number, v: number, at: number): number => v * a + b.data[at]!;
      assertClose(h!, scanMiddle(near1.data, extent, step, 0, { ...options, exclusive: true }), 5e-4);
    }
  }
});

testOnEachKind("cumulative sums of integers are exact, modulo 2^32", async (device) => {
  for (const dtype of ["i32", "u32"] as const) {
    const x = randomIds([2, 700, 3], 3, dtype === "i32" ? -(2 ** 31) : 0, 2 ** 31, dtype);
    const wrap = (a: number, b: number): number => dtype === "i32" ? (a + b) | 0 : (a + b) >>> 0;
    for (const options of directions) {
      const [y] = await runOp(scanOps.cumsum, [x], { axis: 1, ...options }, device);
      assertEquals(Array.from(y!), Array.from(scanMiddle(x.data, [2, 700, 3], wrap, 0, options)));
    }
  }
});

testOnEachKind(
  "a product may leave the range of f32 and come back, and 0 ends it, in long lines too",
  async (device) => {
    for (const length of [8, 2000]) {
      const data = new Float32Array(length).map((_, i) => i < length / 2 ? 1e4 : 1e-4);
      const [y] = await runOp(scanOps.cumprod, [{ data, shape: [length] }], {
        axis: 0,
        exclusive: false,
        reverse: false,
      }, device);
      assertClose([y![length - 1]!], [1], 1e-4 * length);
      data.fill(2)[1] = 0;
      const zeros = await runOp(scanOps.cumprod, [{ data, shape: [length] }], {
        axis: 0,
        exclusive: false,
        reverse: false,
      }, device);
      assertEquals(Array.from(zeros[0]!), Array.from(data, (_, i) => i === 0 ? 2 : 0));
    }
  },
);

testOnEachKind("NaN reaches every later result and no earlier one, infinities are kept", async (device) => {
  for (const length of [5, 1200]) {
    for (const name of ["cumsum", "cumprod", "logCumsumExp"] as const) {
      for (const at of [0, length >> 1, length - 1]) {
        const data = new Float32Array(length).fill(1);
        data[at] = NaN;
        const attrs = { axis: 0, exclusive: false, reverse: false };
        const [y] = await runOp(scanOps[name], [{ data, shape: [length] }], attrs, device);
        assertEquals(Array.from(y!, Number.isNaN), Array.from(data, (_, i) => i >= at), `${name}, NaN at ${at}`);
        data[at] = Infinity;
        const [z] = await runOp(scanOps[name], [{ data, shape: [length] }], attrs, device);
        assertEquals(Array.from(z!, (v) => v === Infinity), Array.from(data, (_, i) => i >= at), name);
      }
    }
    const masked = new Float32Array(length).fill(-Infinity);
    masked[length - 1] = 3;
    const attrs = { axis: 0, exclusive: false, reverse: false };
    const [y] = await runOp(scanOps.logCumsumExp, [{ data: masked, shape: [length] }], attrs, device);
    assertEquals(Array.from(y!), Array.from(masked));
  }
});

const along = (f: (x: Values, extent: [number, number, number]) => ArrayLike<number>, axis: number) => (x?: Values) => {
  const size = (from: number, to: number): number => x!.shape.slice(from, to).reduce((a, b) => a * b, 1);
  return f(x!, [size(0, axis), x!.shape[axis]!, size(axis + 1, 9)]);
};

for (const options of directions) {
  const name = `exclusive: ${options.exclusive}, reverse: ${options.reverse}`;
  Deno.test(`cumsum(), cumprod() and logCumsumExp() have the right gradients along any axis (${name})`, async () => {
    for (const axis of [0, 1, 2]) {
      const x = randomTensor([3, 4, 5], 2 + axis, 1, 0.2), all = { axis: axis - 3, ...options };
      await checkOp((a) => cumsum(a, all), [x], along((v, e) => scanMiddle(v.data, e, plus, 0, options), axis));
      await checkOp((a) => cumprod(a, all), [x], along((v, e) => scanMiddle(v.data, e, times, 1, options), axis), {
        edges: { domain: (v) => Math.sign(v) * Math.min(Math.abs(v), 30) },
      });
      if (options.exclusive) continue; // begins with -Infinity, of which a sum makes NaN: see the next test
      await checkOp(
        (a) => logCumsumExp(a, all),
        [x],
        along((v, e) => scanMiddle(v.data, e, logAddExp, -Infinity, options), axis),
        { edges: { domain: (v) => Math.abs(v) > 100 ? v / 1e3 : v } },
      );
    }
  });
}

Deno.test("cumulative ops have the right gradients along lines that are cut into chunks", async () => {
  const x = randomTensor([2, 400], 9), extent = [2, 400, 1] as const;
  const options = { edges: { domain: (v: number) => v > 1 ? 1 : v < -1 ? -1 : v } };
  await checkOp((a) => cumsum(a), [x], (v) => scanMiddle(v!.data, extent, plus, 0, {}), options);
  await checkOp((a) => logCumsumExp(a), [x], (v) => scanMiddle(v!.data, extent, logAddExp, -Infinity, {}), options);
  const near1 = { ...x, data: (x.data as Float32Array).map((v) => 1 + v / 50) };
  await checkOp((a) => cumprod(a), [near1], (v) => scanMiddle(v!.data, extent, times, 1, {}), {
    ...options,
    tolerance: 1e-4,
    gradientTolerance: 1e-3,
  });
});

Deno.test("logCumsumExp() that is exclusive has the right gradient, and 0 at -Infinity", async () => {
  for (const reverse of [false, true]) {
    const x = [0.3, -1, 2, 0.5, -0.25], w = [0.5, 2, -1, 3, 1];
    const loss = (a: Tensor): Tensor => sum(multiply(tensor(w), logCumsumExp(a, { exclusive: true, reverse })));
    const gradient = await toHost(grad(loss)(tensor(x)));
    const expected = x.map((v, i) =>
      w.reduce((all, weight, k) => {
        const part = x.filter((_, j) => reverse ? j > k : j < k);
        const inside = reverse ? i > k : i < k;
        return all + (inside ? weight * Math.exp(v) / part.reduce((a, b) => a + Math.exp(b), 0) : 0);
      }, 0)
    );
    assertClose(gradient, expected, 1e-5);
  }
  const masked = tensor([-Infinity, -Infinity, 1, 2, -Infinity]);
  const p = Math.exp(1) / (Math.exp(1) + Math.exp(2));
  const gradient = await toHost(grad((a: Tensor) => sum(multiply(logCumsumExp(a), tensor([0, 0, 1, 1, 1]))))(masked));
  assertClose(gradient, [0, 0, 1 + 2 * p, 2 * (1 - p), 0], 1e-6);
});

Deno.test("cumprod() has exact gradients with one zero and with two in a row, first and second ones", async () => {
  const reference = (x?: Values): ArrayLike<number> =>
    scanMiddle(x!.data, [x!.shape[0]!, x!.shape[1]!, 1], times, 1, {});
  const x = { data: Float32Array.of(2, 0, 3, 4, 5, 0, 0, 3, 0, 1, 0, 2), shape: [3, 4] };
  await checkOp((a) => cumprod(a), [x], reference);
  // The gradient of sum(w * cumprod(x)) with respect to x, as a function of x: its own gradient is a second derivative.
  const weights = [0.5, -1, 2, 1.5];
  const first = (a: Tensor): Tensor => grad((v: Tensor) => sum(multiply(cumprod(v), tensor(weights))))(a);
  await checkOp(first, [x], (v) =>
    Float64Array.from(v!.data, (_, i) => {
      const row = i >> 2, at = i & 3, values = v!.data.slice(4 * row, 4 * row + 4);
      return weights.reduce(
        (all, w, k) => k < at ? all : all + w * values.slice(0, k + 1).reduce((p, f, j) => j === at ? p : p * f, 1),
        0,
      );
    }), { edges: { domain: (v) => Math.sign(v) * Math.min(Math.abs(v), 30) } });
});

Deno.test("linearScan() and logCumsumExp() have gradients that have gradients", async () => {
  const [a, b] = [randomTensor([2, 6], 1), randomTensor([2, 6], 2)];
  const attrs = { axis: 1, exclusive: true, reverse: false };
  const small = { edges: { domain: (v: number) => Math.sign(v) * Math.min(Math.abs(v), 10) } };
  const run = (x: Values, y: Values): Float64Array =>
    scanMiddle(x.data, [2, 6, 1], (h, v, at) => v * h + y.data[at]!, 0, attrs);
  await checkOp((x, y) => linearScan(x, y, attrs), [a, b], (x, y) => run(x!, y!), small);
  const gradient = (x: Tensor): Tensor => grad((v: Tensor) => sum(multiply(logCumsumExp(v), v)))(x);
  await checkOp(gradient, [a], (x) => {
    const y = scanMiddle(x!.data, [2, 6, 1], logAddExp, -Infinity, {});
    return Float64Array.from(x!.data, (v, i) => {
      let all = y[i]!;
      for (let k = i; k < 6 * (Math.floor(i / 6) + 1); k++) all += x!.data[k]! * Math.exp(v - y[k]!);
      return all;
    });
  }, small);
});

Deno.test("cumulative ops refuse scalars, and products of integers", () => {
  assertThrows(() => cumsum(placeholder([])), RangeError, "Cannot apply cumsum: axis must be an integer");
  assertThrows(() => cumprod(placeholder([3], "i32")), TypeError, "must be f32 or f16: it is i32");
});
