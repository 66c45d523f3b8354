import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { resize, type ResizeOptions } from "../../src/ops/resize.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { randomTensor, testOnEachKind } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";

type Pair = readonly [number, number];

const methods: readonly ResizeOptions[] = [
  { method: "nearest" },
  { method: "bilinear" },
  { method: "bilinear", alignCorners: true },
];

/** The weights of the old elements in each new one, [to, from], by the formulas of PyTorch's `interpolate`. */
function weights(from: number, to: number, { method, alignCorners }: ResizeOptions): number[][] {
  return Array.from({ length: to }, (_, j) => {
    const row = Array<number>(from).fill(0);
    if (method === "nearest") {
      row[Math.floor(j * from / to)] = 1;
      return row;
    }
    const half = Math.max(0, (j + 0.5) * from / to - 0.5);
    const at = alignCorners ? (to === 1 ? 0 : j * (from - 1) / (to - 1)) : half;
    const low = Math.min(Math.floor(at), from - 1), high = Math.min(low + 1, from - 1);
    row[low]! += 1 - (at - low);
    row[high]! += at - low;
    return row;
  });
}

/** The planes of x, each with weights from the left and from the right. */
function resized({ data, shape }: Values, [lines, columns]: Pair, options: ResizeOptions): number[] {
  const [height, width] = shape.slice(-2) as [number, number], all: number[] = [];
  const down = weights(height, lines, options), across = weights(width, columns, options);
  for (let base = 0; base < data.length; base += height * width) {
    for (const line of down) {
      for (const column of across) {
        let value = 0;
        line.forEach((a, y) => column.forEach((b, x) => value += a * b * data[base + y * width + x]!));
        all.push(value);
      }
    }
  }
  return all;
}

const cases: readonly [shape: readonly number[], size: Pair][] = [
  [[1, 1, 1, 1], [3, 2]],
  [[2, 3, 4, 8], [8, 16]],
  [[1, 2, 7, 5], [3, 4]],
  [[1, 1, 3, 7], [10, 7]],
  [[5, 6], [1, 1]],
  [[2, 1, 9], [4, 25]],
];

testOnEachKind("resize() weighs the nearest pixels as PyTorch does, with the right gradient", async (device) => {
  for (const options of methods) {
    for (const [shape, size] of cases) {
      assertEquals(resize(placeholder(shape), size, options).shape, [...shape.slice(0, -2), ...size]);
      await checkOp((x) => resize(x, size, options), [randomTensor(shape, 1)], (x) => resized(x!, size, options), {
        device,
      });
    }
  }
});

testOnEachKind("the gradient of resize() has a gradient", async (device) => {
  const size = [5, 4] as const;
  for (const options of methods) {
    const power = (x: Tensor): Tensor => {
      const y = resize(x, size, options);
      return sum(multiply(y, y));
    };
    await checkOp((x) => grad(power)(x), [randomTensor([2, 3, 6], 1)], (x) => {
      const y = resized(x!, size, options), down = weights(3, 5, options), across = weights(6, 4, options);
      return x!.data.map((_, i) => {
        const base = Math.floor(i / 18) * 20, line = Math.floor(i / 6) % 3, column = i % 6;
        let d = 0;
        for (let j = 0; j < 20; j++) d += 2 * y[base + j]! * down[Math.floor(j / 4)]![line]! * across[j % 4]![column]!;
        return d;
      });
    }, { device });
  }
});

Deno.test("places of resize() are exact at every size", async () => {
  for (const [from, to] of [[29, 87], [100, 49], [7, 1000], [1000, 7], [333, 332]] as const) {
    const x = Float32Array.from({ length: from }, (_, i) => i);
    const y = await toHost(resize(tensor(x, [1, from]), [1, to], { method: "nearest" }));
    assertEquals(Array.from(y), Array.from({ length: to }, (_, j) => Math.floor(j * from / to)));
    const d = grad((v: Tensor) => sum(resize(v, [1, to], { method: "nearest" })))(tensor(x, [1, from]));
    const expected = Array<number>(from).fill(0);
    y.forEach((k) => expected[Number(k)]!++);
    assertEquals(Array.from(await toHost(d)), expected);
  }
});

Deno.test("resize() keeps NaN and infinities where they have a weight", async () => {
  const x = tensor([NaN, 1, 2, Infinity], [1, 4]);
  assertEquals([...await toHost(resize(x, [1, 2], { method: "nearest" }))], [NaN, 2]);
  const corners = { method: "bilinear", alignCorners: true } as const;
  assertEquals([...await toHost(resize(x, [1, 7], corners))], [NaN, NaN, 1, 1.5, 2, Infinity, Infinity]);
  const w = tensor([1, 1, 1, 1, NaN, 1, 1], [1, 7]);
  const d = grad((v: Tensor) => sum(multiply(resize(v, [1, 7], corners), w)))(tensor([0, 0, 0, 0], [1, 4]));
  assertEquals([...await toHost(d)], [1.5, 2, NaN, 1.5]);
});

Deno.test("resize() refuses what it cannot do", async () => {
  const x = placeholder([2, 3, 4]);
  await assertRefused(
    [() => resize(placeholder([4]), [2, 2], { method: "nearest" }), "the input must be (f32 or f16)[...,height,width]"],
    [() => resize(x, [2, 0], { method: "nearest" }), "an integer from 1 on, and less than 2^30 / 4: it is 0"],
    [() => resize(x, [2 ** 29, 2], { method: "bilinear" }), "less than 2^30 / 3: it is 536870912"],
    [() => resize(x, [2, 2], { method: "nearest", alignCorners: true }), "alignCorners must be false"],
    [() => resize(placeholder([2, 2], "u32"), [1, 1], { method: "nearest" }), "(f32 or f16)", TypeError],
  );
});
