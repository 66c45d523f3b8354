import { assertEquals } from "@std/assert";
import { defaultDevice } from "../../src/gpu/device.ts";
import {
  arange,
  fullLike,
  linspace,
  meshgrid,
  oneHot,
  type OneHotOptions,
  ones,
  onesLike,
  zeros,
  zerosLike,
} from "../../src/ops/creation.ts";
import { add, multiply } from "../../src/ops/elementwise.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { DType, Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { assertRefused } from "../testing/refusals.ts";
import { assertClose, randomIds, randomTensor } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";
import { testWhere } from "../testing/where.ts";

const { f16 } = (await defaultDevice()).profile;
const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));
/** Type, shape and elements. */
const all = async (x: Tensor): Promise<unknown[]> => [x.dtype, x.shape, await host(x)];

Deno.test("zeros(), ones() and their kin have the shape, the type and the number", async () => {
  assertEquals(await all(zeros([2, 3])), ["f32", [2, 3], [0, 0, 0, 0, 0, 0]]);
  assertEquals(await all(ones([3], "u32")), ["u32", [3], [1, 1, 1]]);
  assertEquals(await all(zeros([])), ["f32", [], [0]]);
  const x = tensor(Int32Array.of(1, 2, 3, 4), [2, 2]);
  assertEquals(await all(zerosLike(x)), ["i32", [2, 2], [0, 0, 0, 0]]);
  assertEquals(await all(onesLike(x)), ["i32", [2, 2], [1, 1, 1, 1]]);
  assertEquals(await all(onesLike(x, "f32")), ["f32", [2, 2], [1, 1, 1, 1]]);
  assertEquals(await all(fullLike(x, -(2 ** 31))), ["i32", [2, 2], Array(4).fill(-(2 ** 31))]);
  assertEquals(await all(fullLike(x, 0.5, "f32")), ["f32", [2, 2], [0.5, 0.5, 0.5, 0.5]]);
});

Deno.test("arange() of integers is exact on all 32 bits, up and down", async () => {
  const cases: [number, number, number, DType][] = [
    [0, 7, 1, "i32"],
    [3, 20, 4, "u32"],
    [5, -8, -3, "i32"],
    [5, 0, -1, "u32"],
    [-(2 ** 31), 2 ** 31, 2 ** 30, "i32"],
    [2 ** 31 - 1, -(2 ** 31), -(2 ** 31), "i32"],
    [0, 2 ** 32, 2 ** 30 + 1, "u32"],
    [2 ** 32 - 1, -1, -(2 ** 31), "u32"],
    [2 ** 24, 2 ** 24 + 4, 1, "i32"],
    [9, 10, 5, "i32"],
  ];
  for (const [start, stop, step, dtype] of cases) {
    const expected: number[] = [];
    for (let n = start; step > 0 ? n < stop : n > stop; n += step) expected.push(n);
    assertEquals(await all(arange(start, stop, step, dtype)), [dtype, [expected.length], expected]);
  }
});

Deno.test("arange() of floats steps from start to before stop", async () => {
  assertEquals(await all(arange(0, 5)), ["f32", [5], [0, 1, 2, 3, 4]]);
  assertEquals(await host(arange(2, -2.5, -1.5)), [2, 0.5, -1]);
  assertEquals(await host(arange(0.25, 1, 0.25)), [0.25, 0.5, 0.75]);
  for (const [start, stop, step] of [[0, 1, 0.1], [-3, 40, 0.37], [1e4, -1e4, -33.3]] as const) {
    const count = Math.ceil((stop - start) / step), y = await host(arange(start, stop, step));
    assertClose(y, Array.from({ length: count }, (_, i) => start + i * step), 2e-7, 0);
  }
});

Deno.test("linspace() has exact ends and equal distances", async () => {
  for (const [start, stop, count] of [[0, 1, 11], [-2, 3, 8], [0.1, 0.7, 3], [7, -7, 1000], [5, 5, 4]] as const) {
    const y = await host(linspace(start, stop, count));
    assertEquals([y.length, y[0], y.at(-1)], [count, Math.fround(start), Math.fround(stop)]);
    assertClose(y, Array.from({ length: count }, (_, i) => start + i * (stop - start) / (count - 1)), 2e-7, 0);
  }
  assertEquals(await host(linspace(10, 20, 11)), [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  assertEquals([await host(linspace(3, 9, 1)), await host(linspace(3, 9, 2))], [[3], [3, 9]]);
});

Deno.test("created tensors are computed where they are used, and stored nowhere", async () => {
  const ids = tensor(Uint32Array.of(1, 0, 3));
  const made: Record<string, (x: Tensor) => Tensor> = {
    arange: (x) => add(x, arange(0, 12, 1)),
    linspace: (x) => add(x, linspace(0, 1, 12)),
    onesLike: (x) => add(x, onesLike(x)),
    oneHot: () => oneHot(ids, 4),
  };
  for (const [name, fn] of Object.entries(made)) {
    const run = compile(fn), { plan } = await run.program(tensor(new Float32Array(12)));
    assertEquals(plan.steps.length, 1, name);
    run.destroy();
  }
});

Deno.test("oneHot() equals the reference along any axis, for any classes", async () => {
  const cases: [number[], number, OneHotOptions][] = [
    [[], 3, {}],
    [[5], 4, {}],
    [[7], 1, {}],
    [[2, 3], 5, { axis: 0 }],
    [[2, 3], 4, { axis: 1, on: 0.9, off: 0.025 }],
    [[4, 8], 8, { axis: -2 }],
    [[3, 2], 7, { axis: -1, on: -5, off: 3, dtype: "i32" }],
  ];
  for (const dtype of ["i32", "u32"] as const) {
    for (const [shape, classes, options] of cases) {
      const ids = randomIds(shape, 5, 0, classes + 2, dtype), { axis = -1, on = 1, off = 0 } = options;
      const at = axis < 0 ? axis + shape.length + 1 : axis, inner = shape.slice(at).reduce((a, b) => a * b, 1);
      const expected = Array.from({ length: ids.data.length * classes }, (_, i) => {
        const outer = Math.floor(i / inner / classes), position = Math.floor(i / inner) % classes;
        return Math.fround(ids.data[outer * inner + i % inner] === position ? on : off);
      });
      const y = oneHot(tensor(ids.data, shape), classes, options);
      assertEquals(await all(y), [options.dtype ?? "f32", shape.toSpliced(at, 0, classes), expected]);
    }
  }
  assertEquals(await host(oneHot(tensor(Int32Array.of(-1, 2, 1)), 2)), [0, 0, 0, 0, 0, 1]);
});

Deno.test("meshgrid() gives coordinates as NumPy does, with gradients", async () => {
  const a = tensor([1, 2, 3]), b = tensor(Int32Array.of(10, 20));
  const [x, y] = meshgrid([a, b]), [u, v] = meshgrid([a, b], { indexing: "ij" });
  assertEquals(await all(x!), ["f32", [2, 3], [1, 2, 3, 1, 2, 3]]);
  assertEquals(await all(y!), ["i32", [2, 3], [10, 10, 10, 20, 20, 20]]);
  assertEquals(await all(u!), ["f32", [3, 2], [1, 1, 2, 2, 3, 3]]);
  assertEquals(await all(v!), ["i32", [3, 2], [10, 20, 10, 20, 10, 20]]);
  assertEquals(meshgrid([a, b, ones([4])]).map((t) => t.shape), [[2, 3, 4], [2, 3, 4], [2, 3, 4]]);
  assertEquals(await all(meshgrid([a])[0]!), ["f32", [3], [1, 2, 3]]);
  await checkOp(
    (p, q, r) => meshgrid([p, q, r]).reduce(multiply),
    [randomTensor([3], 1), randomTensor([4], 2), randomTensor([5], 3)],
    (p, q, r) => {
      const lines = Array.from(q!.data, (y) => Array.from(p!.data, (x) => Array.from(r!.data, (z) => x * y * z)));
      return lines.flat(2);
    },
    { tolerance: 1e-5, edges: { domain: (v) => Math.abs(v) > 100 ? v / 1e3 : v } },
  );
});

testWhere(f16, "the adapter has none", "tensors of 16-bit floats are created", async () => {
  for (const length of [3, 4]) {
    assertEquals(await all(ones([length], "f16")), ["f16", [length], Array(length).fill(0x3c00)]);
    assertEquals(await all(zerosLike(ones([length], "f16"))), ["f16", [length], Array(length).fill(0)]);
    assertEquals(await all(arange(1, length + 1, 1, "f16")), [
      "f16",
      [length],
      [0x3c00, 0x4000, 0x4200, 0x4400].slice(0, length),
    ]);
  }
  assertEquals(await all(oneHot(tensor(Int32Array.of(1, 0)), 2, { dtype: "f16" })), ["f16", [2, 2], [
    0,
    0x3c00,
    0x3c00,
    0,
  ]]);
});

Deno.test("what cannot be created is refused with a sentence", async () => {
  const ids = placeholder([3], "i32");
  await assertRefused(
    [() => zeros([2, 0]), "every axis must hold at least 1 element: shape is [2,0]"],
    [() => fullLike(ids, 0.5), "Cannot fill a tensor of type i32: the value must be an integer: it is 0.5", TypeError],
    [() => fullLike(ids, 2 ** 31), "the value must fit 32 bits: it is 2147483648"],
    [
      () => arange(0, 5, 0),
      "Cannot apply arange: steps of finite length must lead from start to stop: they are 0 to 5 by 0",
    ],
    [() => arange(5, 0), "they are 5 to 0 by 1"],
    [() => arange(3, 3), "they are 3 to 3 by 1"],
    [() => arange(0, Infinity), "they are 0 to Infinity by 1"],
    [() => arange(0, NaN), "they are 0 to NaN by 1"],
    [() => arange(0, 2, 0.5, "i32"), "must be an integer", TypeError],
    [() => arange(0.5, 9, 1, "i32"), "must be an integer", TypeError],
    [() => arange(-1, 4, 1, "u32"), "the value must fit 32 bits: it is -1"],
    [() => arange(2 ** 31 - 2, 2 ** 31 + 1, 1, "i32"), "the value must fit 32 bits: it is 2147483648"],
    [() => linspace(0, 1, 0), "Cannot apply linspace: count must be an integer from 1 to 2147483647: it is 0"],
    [() => linspace(0, 1, 2.5), "it is 2.5"],
    [() => linspace(0, Infinity, 3), "start, stop and their distance must be finite in f32: it is from 0 to Infinity"],
    [() => linspace(-3e38, 3e38, 2), "must be finite in f32"],
    [() => oneHot(placeholder([3]), 4), "Cannot apply oneHot: indices must be i32 or u32: it is f32", TypeError],
    [() => oneHot(ids, 0), "Cannot apply oneHot: classes must be an integer from 1 to 2147483647: it is 0"],
    [() => oneHot(ids, 4, { axis: 2 }), "Cannot apply oneHot: axis must be an integer from -2 to 1: axis is 2"],
    [() => meshgrid([placeholder([2, 3])]), "Cannot apply meshgrid: vector 0 must be [length]: it is f32[2,3]"],
  );
});
