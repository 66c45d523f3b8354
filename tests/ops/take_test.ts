import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { UnsupportedError } from "../../src/gpu/errors.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { argmax } from "../../src/ops/argmax.ts";
import { expandDims, swapAxes } from "../../src/ops/axes.ts";
import { cast, square } from "../../src/ops/elementwise.ts";
import { gatherOps, scatterAdd } from "../../src/ops/gather.ts";
import { pad } from "../../src/ops/pad.ts";
import { broadcastTo, sum } from "../../src/ops/reduce.ts";
import { repeat, tile } from "../../src/ops/repeat.ts";
import { roll } from "../../src/ops/roll.ts";
import { flip, strided } from "../../src/ops/strided.ts";
import { scatterAddAlongAxis, take, takeAlongAxis } from "../../src/ops/take.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { elementAt, places } from "../testing/indexed.ts";
import { assertClose, randomIds, randomTensor, testOnEachKind } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { type HostTensor, placeholder, runOp } from "../testing/run_op.ts";
import { testWhere } from "../testing/where.ts";

const { f16 } = (await defaultDevice()).profile;

/** The element along an axis of `length` that an index means; undefined: none. */
function meant(index: number, length: number): number | undefined {
  const k = index < 0 ? index + length : index;
  return k >= 0 && k < length ? k : undefined;
}

/** y[..., indices, ...] along `axis`, one by one. */
const taken = (axis: number, fill = NaN) => (x: Values, indices: Values): number[] =>
  places(x.shape.toSpliced(axis, 1, ...indices.shape)).map((place) => {
    const index = elementAt(indices, place.slice(axis, axis + indices.shape.length));
    const k = meant(index, x.shape[axis]!);
    return k === undefined ? fill : elementAt(x, place.toSpliced(axis, indices.shape.length, k));
  });

const takenAlong = (axis: number, fill = NaN) => (x: Values, indices: Values): number[] => {
  const at = ({ shape }: Values, place: number[]): number[] => place.map((i, a) => shape[a] === 1 ? 0 : i);
  const shape = x.shape.map((n, a) => a === axis ? indices.shape[a]! : Math.max(n, indices.shape[a]!));
  return places(shape).map((place) => {
    const k = meant(elementAt(indices, at(indices, place)), x.shape[axis]!);
    return k === undefined ? fill : elementAt(x, at(x, place).with(axis, k));
  });
};

/** Sums over [outer, ids, inner], indices being those of `indexOf(outer, n, inner)`. */
function sums(
  { data }: Values,
  [outer, ids, inner]: readonly [number, number, number],
  length: number,
  indexOf: (o: number, n: number, c: number) => number | undefined,
): Float64Array {
  const y = new Float64Array(outer * length * inner);
  for (const [o, n, c] of places([outer, ids, inner]) as [number, number, number][]) {
    const k = indexOf(o, n, c);
    if (k !== undefined) y[(o * length + k) * inner + c]! += data[(o * ids + n) * inner + c]!;
  }
  return y;
}

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

testOnEachKind(
  "take() takes slices along any axis by indices of any rank; its gradient adds them up",
  async (device) => {
    const cases: [number[], number[], number, "i32" | "u32"][] = [
      [[7], [5], 0, "i32"],
      [[5, 3], [2, 4], 0, "i32"],
      [[3, 6, 8], [5], 1, "u32"], // whole vectors
      [[3, 6, 8], [2, 1, 3], -1, "i32"],
      [[2, 4, 3, 5], [9], 1, "i32"],
      [[4, 3], [], 0, "i32"],
      [[2, 1, 3], [40], 1, "u32"],
    ];
    for (const [shape, ids, axis, dtype] of cases) {
      const at = (axis + shape.length) % shape.length, length = shape[at]!;
      const indices = randomIds(ids, 2, dtype === "i32" ? -length : 0, length, dtype);
      await checkOp((x, i) => take(x, i, axis), [randomTensor(shape, 1), indices], taken(at), { device });
      assertEquals(take(placeholder(shape), placeholder(ids, dtype), axis).shape, shape.toSpliced(at, 1, ...ids));
    }
  },
);

testOnEachKind("takeAlongAxis() takes elements by indices of their own; its gradient adds them up", async (device) => {
  const cases: [number[], number[], number, "i32" | "u32"][] = [
    [[9], [4], 0, "u32"],
    [[4, 7], [4, 1], 1, "i32"],
    [[4, 7], [4, 30], -1, "i32"], // each several times
    [[3, 5, 2], [3, 8, 2], 1, "i32"],
    [[6, 2, 4], [3, 2, 4], 0, "u32"],
    [[2, 3, 50], [2, 3, 40], 2, "i32"], // sorted in several merges
    [[4, 7], [1, 3], 1, "i32"], // broadcast
    [[1, 7, 2], [4, 3, 1], 1, "i32"],
  ];
  for (const [shape, ids, axis, dtype] of cases) {
    const at = (axis + shape.length) % shape.length, length = shape[at]!;
    const indices = randomIds(ids, 3, dtype === "i32" ? -length : 0, length, dtype);
    await checkOp((x, i) => takeAlongAxis(x, i, axis), [randomTensor(shape, 1), indices], takenAlong(at), { device });
  }
});

/** Along an axis of 4: the ends of the range, what lies beyond either, and far beyond. */
const beyond: readonly HostTensor[] = [
  { data: Int32Array.of(0, -1, -4, 3, -5, 4, 2147483647, -2147483648), shape: [8], dtype: "i32" },
  { data: Uint32Array.of(0, 3, 4, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 1), shape: [8], dtype: "u32" },
];

Deno.test("indices out of range give what is to be filled in, and no gradient", async () => {
  for (const indices of beyond) {
    for (const shape of [[3, 4, 1], [3, 4, 4]]) {
      const x = randomTensor(shape, 1);
      await checkOp((x, i) => take(x, i, 1, { fill: 7 }), [x, indices], taken(1, 7));
    }
    const row = { ...indices, shape: [1, 8] };
    await checkOp((x, i) => takeAlongAxis(x, i, 1, { fill: -1 }), [randomTensor([3, 4], 2), row], takenAlong(1, -1));
  }
});

Deno.test("indices out of range give NaN, or the number of integers that is farthest from 0", async () => {
  const [signed, unsigned] = beyond.map((i) => tensor(i.data, i.shape)) as [Tensor, Tensor];
  assertEquals([...await toHost(take(tensor([1, 2, 3, 4]), signed, 0))], [1, 4, 1, 4, NaN, NaN, NaN, NaN]);
  const i32 = tensor(Int32Array.of(1, 2, 3, 4)), u32 = tensor(Uint32Array.of(5, 6, 7, 8));
  const low = -2147483648, high = 4294967295;
  assertEquals(await toHost(takeAlongAxis(i32, signed, 0)), Int32Array.of(1, 4, 1, 4, low, low, low, low));
  assertEquals(await toHost(take(u32, unsigned, 0)), Uint32Array.of(5, 8, high, high, high, high, high, 6));
});

testOnEachKind("scatterAdd() along any axis is the sum by id, and take() its gradient", async (device) => {
  const cases: [number[], number[], number, number, [number, number, number]][] = [
    [[3, 9, 4], [9], 5, 1, [3, 9, 4]],
    [[2, 3, 5, 2], [3, 5], 4, -2, [2, 15, 2]],
    [[4, 6], [6], 7, 1, [4, 6, 1]],
    [[4], [], 3, 1, [4, 1, 1]],
  ];
  for (const [shape, ids, rows, axis, blocks] of cases) {
    const indices = randomIds(ids, 4, -1, rows + 1, "i32"); // -1 and `rows` are left out
    await checkOp(
      (x, i) => scatterAdd(x, i, rows, { axis }),
      [randomTensor(shape, 1), indices],
      (x, i) => sums(x, blocks, rows, (_, n) => i.data[n]! < 0 || i.data[n]! >= rows ? undefined : i.data[n]!),
      { device },
    );
  }
});

testOnEachKind("scatterAdd() along an inner axis adds up rows that are cut into stripes", async (device) => {
  const ids = randomIds([5], 4, 0, 3, "u32");
  for (const width of [4200, 2051]) {
    const x = randomTensor([2, 5, width], 1), values = { data: Float64Array.from(x.data), shape: x.shape };
    const [y] = await runOp(gatherOps.scatterAdd, [x, ids], { rows: 3, axis: 1 }, device);
    assertClose(y!, sums(values, [2, 5, width], 3, (_, n) => ids.data[n]!), 1e-6);
  }
});

testOnEachKind("scatterAddAlongAxis() is the sum by indices of their own", async (device) => {
  for (
    const [shape, axis, length] of [[[12], 0, 3], [[3, 40], 1, 7], [[2, 9, 3], 1, 4], [[6, 5], 0, 1]] as const
  ) {
    const blocks = [size(shape.slice(0, axis)), shape[axis]!, size(shape.slice(axis + 1))] as const;
    const indices = randomIds(shape, 5, -length - 2, length + 2, "i32"); // some out of range
    await checkOp(
      (x, i) => scatterAddAlongAxis(x, i, length, axis),
      [randomTensor(shape, 1), indices],
      (x, i) => sums(x, blocks, length, (o, n, c) => meant(i.data[(o * blocks[1] + n) * blocks[2] + c]!, length)),
      { device },
    );
  }
});

Deno.test("takeAlongAxis() at argmax() is the maximum", async () => {
  const f = compile((x: Tensor) => takeAlongAxis(x, expandDims(argmax(x, { axis: 1 }), 1), 1));
  assertEquals([...await toHost(await f(tensor([1, 5, 2, 9, -1, 3], [2, 3])))], [5, 9]);
});

Deno.test("the second derivatives through take() and takeAlongAxis() are right", async () => {
  const x = tensor([1, 2, 3]), indices = tensor(Int32Array.of(-1, 0, -1));
  for (const op of [take, takeAlongAxis]) {
    const inner = (t: Tensor) => sum(square(op(t, indices, 0))); // x0^2 + 2 * x2^2
    const second = grad((t: Tensor) => sum(square(grad(inner)(t)))); // of 4 * x0^2 + 16 * x2^2
    assertEquals([...await toHost(second(x))], [8, 0, 96]);
  }
});

Deno.test("one index of its own many times is the sum, up to as many as a CPU adapter can loop over", async () => {
  const f = compile((x: Tensor, i: Tensor) => scatterAddAlongAxis(x, i, 3, 0));
  const count = 5000, x = new Float32Array(count).fill(0.5);
  assertEquals([...await toHost(await f(tensor(x), tensor(new Int32Array(count).fill(-2))))], [0, 2500, 0]);
});

testOnEachKind("more indices a line than a CPU adapter can loop over are told from a mistake", async (device) => {
  const f = compile((x: Tensor, i: Tensor) => scatterAddAlongAxis(x, i, 3, 0), { device });
  const planned = (count: number) => f.program(placeholder([count]), placeholder([count], "u32"));
  if (device.profile.kind === "gpu") return void await planned(60_001);
  await assertRefused([() => planned(60_001), "a CPU adapter takes at most 60000 ids", UnsupportedError]);
});

testWhere(f16, "the adapter has none", "f16 is moved as the same numbers in f32, and so is its gradient", async () => {
  const half = cast(tensor(randomTensor([4, 5], 1).data as Float32Array, [4, 5]), "f16"), same = cast(half, "f32");
  const i = tensor(Int32Array.of(1, -1, 1, 0), [4, 1]),
    ops: ((x: Tensor) => Tensor)[] = [
      (x) => strided(x, [{ axis: 0, start: 1, stop: 3 }, { axis: 1, step: -2 }]),
      (x) => strided(x, [{ axis: 0, start: 1, stop: 3 }]),
      (x) => flip(x),
      (x) => roll(x, 3, 1),
      (x) => pad(x, [1, [0, 2]], { value: 0.1 }),
      (x) => pad(x, [1, [0, 2]], { mode: "reflect" }),
      (x) => pad(x, [1, [0, 2]], { mode: "edge" }),
      (x) => tile(x, [2, 3]),
      (x) => repeat(x, 2, 0),
      (x) => swapAxes(x, 0, 1),
      (x) => take(x, i, 1),
      (x) => takeAlongAxis(x, i, 0),
      (x) => scatterAddAlongAxis(x, broadcastTo(i, [4, 5]), 2, 0),
    ];
  for (const op of ops) {
    const both = (x: Tensor) => [op(x), grad((t: Tensor) => sum(square(op(t))))(x)];
    const [a, b] = [both(half), both(same)];
    assertEquals(a.map((t) => t.dtype), ["f32", "f32"]);
    assertEquals(await toHost(a), await toHost(b), `${op}`);
  }
});

Deno.test("what cannot be taken is refused with a sentence", async () => {
  const x = placeholder([2, 3]), i = placeholder([4], "i32");
  await assertRefused(
    [() => take(x, i, 2), "Cannot apply take: axis must be an integer from -2 to 1: axis is 2"],
    [() => take(x, x, 0), "Cannot apply take: indices must be i32 or u32: it is f32", TypeError],
    [() => take(i, i, 0, { fill: 0.5 }), "the value must be an integer: it is 0.5", TypeError],
    [() => takeAlongAxis(x, i, 0), "must have equal axes but axis 0, or 1: they are f32[2,3] and i32[4]"],
    [() => takeAlongAxis(x, placeholder([3, 3], "u32"), 1), "they are f32[2,3] and u32[3,3]"],
    [() => scatterAddAlongAxis(x, i, 3, 1), "indices must be (i32 or u32)[2,3]: it is i32[4]"],
    [() => scatterAddAlongAxis(i, i, 3, 0), "Cannot apply scatterAddAlongAxis: x must be f32: it is i32", TypeError],
    [() => scatterAddAlongAxis(x, placeholder([2, 3], "u32"), 0, 1), "the length must be a positive integer: it is 0"],
    [
      () => scatterAdd(x, i, 3, { axis: 2 }),
      "Cannot apply scatterAdd: axis must be an integer from -2 to 1: axis is 2",
    ],
    [() => scatterAdd(x, i, 3, { axis: 1 }), "the rows must be f32[2,4,...]: it is f32[2,3]"],
  );
});
