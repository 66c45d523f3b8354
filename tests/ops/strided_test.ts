import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { multiply, square } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { flip, strided, type StridedRange } from "../../src/ops/strided.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { indexed } from "../testing/indexed.ts";
import { randomTensor } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";

/** The places along each axis, one by one, as a reference. */
function picked(x: Values, places: readonly (readonly number[])[]): number[] {
  return indexed(places.map((p) => p.length), () => x, (at) => at.map((i, axis) => places[axis]![i]!));
}

/** The places of Python's range(start, stop, step), counted one by one. */
function range(start: number, stop: number, step: number): number[] {
  const all: number[] = [];
  for (let i = start; step > 0 ? i < stop : i > stop; i += step) all.push(i);
  return all;
}

Deno.test("strided() takes ranges with steps along several axes, either way", async () => {
  const cases: [number[], StridedRange[], number[][]][] = [
    [[11], [{ axis: 0, step: 3 }], [range(0, 11, 3)]],
    [[11], [{ axis: 0, step: -3 }], [range(10, -1, -3)]],
    [[12], [{ axis: 0, start: 1, stop: -1, step: 5 }], [range(1, 11, 5)]],
    [[9, 8], [{ axis: 0, start: -2, stop: 1, step: -2 }], [range(7, 1, -2), range(0, 8, 1)]], // whole vectors
    [[5, 4, 6], [{ axis: -1, start: 1, step: 2 }, { axis: 0, stop: 3 }], [range(0, 3, 1), range(0, 4, 1), [1, 3, 5]]],
    [[5, 3, 8], [{ axis: 1, step: -1 }, { axis: 2, start: 4 }], [range(0, 5, 1), [2, 1, 0], range(4, 8, 1)]],
    [[1, 7, 2, 3], [{ axis: 1, start: 2, stop: 6 }, { axis: 3, step: 2 }], [[0], range(2, 6, 1), [0, 1], [0, 2]]],
    [[6, 5], [{ axis: 0, start: 4, step: 9 }, { axis: 1, start: 3, stop: 4 }], [[4], [3]]],
    [[2, 3, 2, 3, 2, 5], [{ axis: 5, step: -2 }, { axis: 1, step: 2 }, { axis: 3, step: -1 }], [
      [0, 1],
      [0, 2],
      [0, 1],
      [
        2,
        1,
        0,
      ],
      [0, 1],
      [4, 2, 0],
    ]],
    [[34, 13], [{ axis: 0, step: 2 }, { axis: 1, start: 12, step: -2 }], [range(0, 34, 2), range(12, -1, -2)]],
  ];
  for (const [shape, ranges, places] of cases) {
    await checkOp((x) => strided(x, ranges), [randomTensor(shape, 1)], (x) => picked(x, places));
    assertEquals(strided(placeholder(shape), ranges).shape, places.map((p) => p.length));
  }
});

Deno.test("strided() of a computed tensor that is read twice", async () => {
  await checkOp(
    (x) => {
      const part = strided(multiply(x, 3), [{ axis: 1, step: -2 }]);
      return multiply(part, part);
    },
    [randomTensor([3, 7], 2)],
    (x) => picked(x, [[0, 1, 2], [6, 4, 2, 0]]).map((v) => 9 * v * v),
  );
});

Deno.test("strided() is a view where the elements are contiguous", async () => {
  const steps = async (shape: number[], ranges: StridedRange[]): Promise<number> => {
    const f = compile((x: Tensor) => strided(x, ranges));
    return (await f.program(placeholder(shape))).plan.steps.length;
  };
  assertEquals(await steps([8, 64], [{ axis: 0, start: 1, stop: 4 }]), 0);
  assertEquals(await steps([8, 64], [{ axis: 0, start: 1, stop: 2 }, { axis: 1, start: 8, stop: 16 }]), 0);
  assertEquals(await steps([8, 64], [{ axis: 0, step: 1 }, { axis: 1, stop: 64 }]), 0);
  assertEquals(await steps([8, 64], [{ axis: 0, step: 2 }]), 1);
  assertEquals(strided(placeholder([3]), []).shape, [3]);
});

Deno.test("flip() reverses axes", async () => {
  const back = (n: number) => range(n - 1, -1, -1), forth = (n: number) => range(0, n, 1);
  for (const shape of [[7], [2, 3, 4], [1, 5], [3, 8]]) {
    const last = shape.length - 1;
    await checkOp((x) => flip(x), [randomTensor(shape, 1)], (x) => picked(x, shape.map(back)));
    await checkOp(
      (x) => flip(x, -1),
      [randomTensor(shape, 2)],
      (x) => picked(x, shape.map((n, i) => i === last ? back(n) : forth(n))),
    );
    await checkOp(
      (x) => flip(x, [0]),
      [randomTensor(shape, 3)],
      (x) => picked(x, shape.map((n, i) => i === 0 ? back(n) : forth(n))),
    );
  }
  assertEquals(flip(placeholder([1, 4]), 0).node.op.name, "input");
  assertEquals(flip(placeholder([])).shape, []);
});

Deno.test("strided() and flip() move any bits: integers and NaN", async () => {
  assertEquals(await toHost(flip(tensor(Int32Array.of(1, -2, 3)))), Int32Array.of(3, -2, 1));
  const bits = new Float32Array(Uint32Array.of(0xffc00001, 0x7f800001, 0x80000000, 0x7f800000).buffer);
  const [result] = [await toHost(strided(tensor(bits), [{ axis: 0, step: -1 }]))];
  assertEquals(new Uint32Array(result.buffer, result.byteOffset, 4), new Uint32Array(bits.buffer).reverse());
});

Deno.test("the second derivative through strided() is right", async () => {
  const inner = (x: Tensor) => sum(multiply(square(strided(x, [{ axis: 0, step: -2 }])), x.shape[0]!));
  const second = grad((x: Tensor) => sum(square(grad(inner)(x))));
  // inner = 5 * (x0^2 + x2^2 + x4^2); the square of its gradient is 100 * x^2 there.
  assertEquals([...await toHost(second(tensor([1, 2, 3, 4, 5])))], [200, 0, 600, 0, 1000]);
});

Deno.test("ranges that do not fit are refused with a sentence", async () => {
  const x = placeholder([4, 6]);
  await assertRefused(
    [() => strided(x, [{ axis: 1, step: 0 }]), "a step must be an integer other than 0: along axis 1 it is 0"],
    [() => strided(x, [{ axis: 0, start: 4 }]), "along axis 0 start must be an integer from -4 to 3: it is 4"],
    [() => strided(x, [{ axis: 0, stop: 5 }]), "along axis 0 stop must be an integer from -4 to 4: it is 5"],
    [() => strided(x, [{ axis: 0, start: 2, stop: 2 }]), "must hold at least 1 element: along axis 0 it is 2:2:1"],
    [() => strided(x, [{ axis: 0, start: 1, stop: 3, step: -1 }]), "at least 1 element: along axis 0 it is 1:3:-1"],
    [() => strided(x, [{ axis: 0 }, { axis: -2 }]), "an axis must have one range: axis 0 has several"],
    [() => strided(x, [{ axis: 2 }]), "Cannot apply strided: axis must be an integer from -2 to 1: axis is 2"],
    [() => flip(x, 2), "Cannot apply flip: axis must be an integer from -2 to 1: axis is 2"],
  );
});
