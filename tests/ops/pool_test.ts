import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { UnsupportedError } from "../../src/gpu/errors.ts";
import { maxPoolGradOp, maxPoolOp } from "../../src/ops/_max_pool.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { avgPool1d, avgPool2d, maxPool1d, maxPool2d } from "../../src/ops/pool.ts";
import { sum } from "../../src/ops/reduce.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { assertClose, deviceOfKind, randomTensor, testOnEachKind } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder, runOp } from "../testing/run_op.ts";

type Pair = readonly [number, number];

interface Plain {
  readonly window: Pair;
  readonly stride: Pair;
  readonly padding: readonly [Pair, Pair];
  readonly dilation: Pair;
}

/** The places [line * width + column] that each position of a window covers. */
function covered([height, width]: Pair, { window, stride, padding, dilation }: Plain): number[][] {
  const axis = (i: 0 | 1, length: number): number[][] => {
    const all: number[][] = [], span = (window[i] - 1) * dilation[i];
    for (let at = -padding[i][0]; at + span < length + padding[i][1]; at += stride[i]) {
      all.push(Array.from({ length: window[i] }, (_, r) => at + r * dilation[i]).filter((v) => v >= 0 && v < length));
    }
    return all;
  };
  const columns = axis(1, width);
  return axis(0, height).flatMap((lines) => columns.map((c) => lines.flatMap((l) => c.map((v) => l * width + v))));
}

/** Each window of each plane of x [..., height, width] replaced by `f` of its elements. */
function pooled(x: Values, plain: Plain, f: (elements: number[]) => number): number[] {
  const [height, width] = x.shape.slice(-2) as [number, number], windows = covered([height, width], plain);
  return Array.from({ length: x.data.length / height / width }, (_, plane) => plane * height * width)
    .flatMap((base) => windows.map((places) => f(places.map((i) => x.data[base + i]!))));
}

const none = [[0, 0], [0, 0]] as const;
const cases: readonly [shape: readonly [number, number, number, number], Plain][] = [
  [[1, 1, 1, 1], { window: [1, 1], stride: [1, 1], padding: none, dilation: [1, 1] }],
  [[2, 3, 4, 8], { window: [2, 2], stride: [2, 2], padding: none, dilation: [1, 1] }],
  [[1, 2, 7, 5], { window: [3, 3], stride: [2, 1], padding: [[1, 1], [1, 1]], dilation: [1, 1] }],
  [[1, 3, 9, 8], { window: [2, 1], stride: [4, 3], padding: [[0, 1], [0, 0]], dilation: [1, 1] }],
  [[2, 1, 6, 7], { window: [3, 2], stride: [1, 2], padding: [[2, 0], [1, 1]], dilation: [2, 3] }],
  [[1, 2, 3, 4], { window: [5, 6], stride: [1, 1], padding: [[1, 1], [2, 1]], dilation: [1, 1] }],
];

const mean = (elements: readonly number[]): number => elements.reduce((a, b) => a + b, 0) / elements.length;

testOnEachKind("maxPool2d() takes the largest element of each window, with the right gradient", async (device) => {
  for (const [shape, plain] of cases) {
    await checkOp((x) => maxPool2d(x, plain.window, plain), [randomTensor(shape, 1)], (x) => {
      return pooled(x!, plain, (elements) => Math.max(...elements));
    }, { device, edges: { kinks: "the first of equals gets the gradient: a test of its own has them" } });
  }
});

testOnEachKind("the gradient of maxPool2d() is that of the first of equals, and has a gradient", async (device) => {
  for (const [shape, plain] of cases) {
    const x = randomTensor(shape, 1, 2), [height, width] = shape.slice(2) as [number, number];
    const rounded = { ...x, data: (x.data as Float32Array).map(Math.round) };
    const [values, places] = await runOp(maxPoolOp, [rounded], windowOf(shape, plain), device);
    const windows = covered([height, width], plain), dx = new Float32Array(x.data.length);
    const g = randomTensor([...shape.slice(0, 2), ...windowOf(shape, plain).to], 2);
    for (let i = 0; i < values!.length; i++) {
      const base = Math.floor(i / windows.length) * height * width, own = windows[i % windows.length]!;
      const elements = own.map((place) => rounded.data[base + place]!);
      const place = own[elements.indexOf(Math.max(...elements))]!;
      assertEquals([values![i], places![i]], [rounded.data[base + place], place]);
      dx[base + place]! += g.data[i]!;
    }
    const given = [g, { data: places!, shape: g.shape, dtype: "u32" as const }];
    const [d] = await runOp(maxPoolGradOp, given, windowOf(shape, plain), device);
    assertEquals(Array.from(d!, (v) => v.toFixed(5)), Array.from(dx, (v) => v.toFixed(5)));
  }
  const [shape, plain] = cases[2]!;
  const power = (x: Tensor): Tensor => {
    const y = maxPool2d(x, plain.window, plain);
    return sum(multiply(y, multiply(y, y)));
  };
  await checkOp((x) => grad(power)(x), [randomTensor(shape, 5)], (x) => {
    const dx = new Float64Array(x!.data.length), windows = covered([shape[2], shape[3]], plain);
    for (let base = 0; base < dx.length; base += shape[2] * shape[3]) {
      for (const own of windows) {
        const best = own.reduce((a, b) => x!.data[base + b]! > x!.data[base + a]! ? b : a);
        dx[base + best]! += 3 * x!.data[base + best]! ** 2;
      }
    }
    return dx;
  }, { device, edges: "the derivative jumps at equal elements" });
});

/** What the op is given for a case. */
function windowOf(
  [, , ...from]: readonly [number, number, number, number],
  { window, stride, padding, dilation }: Plain,
) {
  const to = ([0, 1] as const).map((i) =>
    Math.floor((from[i] + padding[i][0] + padding[i][1] - dilation[i] * (window[i] - 1) - 1) / stride[i]) + 1
  ) as [number, number];
  return { from, to, kernel: window, stride, padding: [padding[0][0], padding[1][0]] as const, dilation };
}

testOnEachKind("avgPool2d() is the mean of each window, with its padding or without", async (device) => {
  for (const [shape, plain] of cases) {
    const moves = { ...plain, dilation: [1, 1] } as const, { stride, padding, window } = moves;
    const x = [randomTensor(shape, 1)];
    await checkOp((a) => avgPool2d(a, window, { stride, padding }), x, (a) => {
      return pooled(a!, moves, (elements) => mean(elements) * elements.length / window[0] / window[1]);
    }, { device });
    await checkOp((a) => avgPool2d(a, window, { stride, padding, countIncludePad: false }), x, (a) => {
      return pooled(a!, moves, mean);
    }, { device });
  }
});

testOnEachKind("maxPool1d() and avgPool1d() pool sequences; the stride is the window by default", async (device) => {
  const x = [randomTensor([2, 3, 11], 1)], edges = { kinks: "another test has equals" };
  const plain = (options: Partial<Plain> = {}): Plain => ({
    ...{ window: [1, 3], stride: [1, 3], padding: none, dilation: [1, 1] },
    ...options,
  });
  const rows = ({ data, shape: [n, c, l] }: Values): Values => ({ data, shape: [n!, c!, 1, l!] });
  const largest = (elements: number[]): number => Math.max(...elements);
  await checkOp((a) => maxPool1d(a, 3), x, (a) => pooled(rows(a!), plain(), largest), { device, edges });
  await checkOp((a) => avgPool1d(a, 3), x, (a) => pooled(rows(a!), plain(), mean), { device });
  const moved = plain({ stride: [1, 2], padding: [[0, 0], [1, 2]], dilation: [1, 2] });
  await checkOp((a) => maxPool1d(a, 3, { stride: 2, padding: [1, 2], dilation: 2 }), x, (a) => {
    return pooled(rows(a!), moved, largest);
  }, { device, edges });
  await checkOp((a) => avgPool1d(a, 3, { stride: 2, padding: "same", countIncludePad: false }), x, (a) => {
    return pooled(rows(a!), plain({ stride: [1, 2], padding: [[0, 0], [1, 1]] }), mean);
  }, { device });
  assertEquals(maxPool2d(placeholder([1, 2, 7, 9]), [2, 3]).shape, [1, 2, 3, 3]);
  assertEquals(avgPool2d(placeholder([1, 2, 7, 9]), 4).shape, [1, 2, 1, 2]);
});

testOnEachKind("pools keep NaN, and infinities where they belong", async (device) => {
  const data = Float32Array.of(1, NaN, -3, -Infinity, -Infinity, -2, 7, NaN, NaN, Infinity);
  new Uint32Array(data.buffer)[7] = 0xffc00001;
  const x = { data, shape: [1, 1, 1, 10] };
  const attrs = windowOf([1, 1, 1, 10], { window: [1, 2], stride: [1, 1], padding: none, dilation: [1, 1] });
  const [y, places] = await runOp(maxPoolOp, [x], attrs, device);
  assertEquals([...y!], [NaN, NaN, -3, -Infinity, -2, 7, NaN, NaN, NaN]);
  assertEquals([...places!], [1, 1, 2, 3, 5, 6, 7, 7, 8]);
  const means = await toHost(avgPool2d(tensor(data, x.shape), [1, 2], { stride: 1 }));
  assertEquals([...means], [NaN, NaN, -Infinity, -Infinity, -Infinity, 2.5, NaN, NaN, NaN]);
});

Deno.test("avgPool2d() takes windows of any size; maxPool2d() those that a thread of a CPU adapter may go through", async () => {
  const x = randomTensor([1, 2, 300, 301], 1), image = Array.from(x.data as Float32Array);
  const expected = [mean(image.slice(0, 90_300)), mean(image.slice(90_300))];
  assertClose(await toHost(avgPool2d(tensor(x.data, x.shape), [300, 301])), expected);
  const attrs = windowOf([1, 2, 300, 301], { window: [300, 301], stride: [1, 1], padding: none, dilation: [1, 1] });
  const sentence = "a window may hold about 60000 elements: it is 300 x 301";
  const device = await deviceOfKind("cpu");
  await assertRefused([() => runOp(maxPoolOp, [x], attrs, device), sentence, UnsupportedError]);
});

Deno.test("pools refuse what does not fit", async () => {
  const x = placeholder([1, 2, 4, 5]);
  await assertRefused(
    [() => maxPool2d(placeholder([2, 4, 5]), 2), "the input must be (f32 or f16)[batch,channels,height,width]"],
    [() => maxPool2d(placeholder([1, 2, 4, 5], "i32"), 2), "Cannot apply maxPool2d: the input must be", TypeError],
    [() => maxPool2d(x, 0), "window must hold integers from 1 on: it is 0"],
    [() => avgPool2d(x, [5, 1]), "the window must fit into the padded image: it spans 5 of 4 lines"],
    [() => maxPool2d(x, 2, { padding: 2 }), "at every position: at line -2 it covers padding alone"],
    [() => avgPool2d(x, 2, { padding: [[0, 0], [0, 3]], stride: 1 }), "at column 5 it covers padding alone"],
    [() => maxPool1d(placeholder([1, 1, 1]), 2, { dilation: 2, padding: 1 }), "at column -1 it covers padding alone"],
    [() => avgPool1d(x, 2), "Cannot apply avgPool1d: the input must be (f32 or f16)[batch,channels,length]"],
  );
});
