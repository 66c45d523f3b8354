import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { add, iota, multiply, square } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { concat, reshape, slice, split, stack } from "../../src/ops/shape.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { randomTensor } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";

/** Elements [start, end) along the middle axis of [outer, length, inner]. */
function sliceReference({ data: x }: Values, outer: number, length: number, [start, end]: [number, number]): number[] {
  const inner = x.length / outer / length;
  return Array.from({ length: outer }, (_, o) => [...x.slice((o * length + start) * inner, (o * length + end) * inner)])
    .flat();
}

Deno.test("reshape() keeps the elements and runs no kernel", async () => {
  await checkOp((x) => reshape(x, [4, 6]), [randomTensor([2, 3, 4], 1)], (x) => x.data);
  await checkOp((x) => multiply(reshape(x, [-1, 5]), 2), [randomTensor([15], 2)], (x) => x.data.map((v) => 2 * v));
  const viewed = await compile((x: Tensor) => reshape(reshape(x, [6]), [3, 2])).program(tensor([1, 2, 3, 4, 5, 6]));
  assertEquals(viewed.plan.steps.length, 0);
});

Deno.test("split() gives equal parts along the first axis, and the gradients of the parts one after the other", async () => {
  for (const [shape, parts] of [[[6, 64], 3], [[9, 5], 3], [[4], 2]] as const) {
    const size = shape.reduce((a: number, b) => a * b, 1) / parts;
    for (let i = 0; i < parts; i++) {
      await checkOp(
        (x) => split(x, parts)[i]!,
        [randomTensor(shape, 3)],
        (x) => x.data.slice(i * size, (i + 1) * size),
      );
    }
    const squares = (x: Tensor): Tensor =>
      split(x, parts).map((t, i) => sum(multiply(t, multiply(t, i + 1)))).reduce(add);
    const reference = (x: Values): number[] => [
      x.data.reduce((n, v, k) => n + v * v * (Math.floor(k / size) + 1), 0),
    ];
    await checkOp(squares, [randomTensor(shape, 4)], reference);
  }
  assertThrows(() => split(placeholder([7, 2]), 3), RangeError, "must be a multiple of 3: it is 7");
});

Deno.test("the gradient of a split into thousands of parts is that of the parts that are used", async () => {
  const gradient = grad((x: Tensor) => {
    const parts = split(x, 4097), first = square(parts[0]!);
    return sum(add(first, multiply(parts[4096]!, 5)));
  });
  const g = await toHost(gradient(tensor(new Float32Array(4097).fill(3))));
  assertEquals([g[0], g[1], g[4095], g[4096]], [6, 0, 0, 5]);
});

Deno.test("slice() along any axis equals the reference, and its gradient is zero elsewhere", async () => {
  const cases: [number[], number, [number, number]][] = [
    [[8, 64], 0, [2, 5]], // an aligned view
    [[9, 5], 0, [1, 8]], // a view that starts in between
    [[1, 1, 13], 2, [3, 4]],
    [[4, 8], 1, [0, 4]],
    [[3, 16], 1, [4, 12]], // whole vectors to whole vectors
    [[3, 12], 1, [3, 7]], // vectors from in between
    [[3, 6], 1, [1, 5]],
    [[3, 5, 4], 1, [1, 3]],
    [[3, 7, 5], 1, [2, 7]],
    [[2, 3, 11], 2, [10, 11]],
    [[7], 0, [6, 7]],
  ];
  for (const [shape, axis, range] of cases) {
    const outer = shape.slice(0, axis).reduce((a, b) => a * b, 1);
    const reference = (x: Values) => sliceReference(x, outer, shape[axis]!, range);
    await checkOp((x) => slice(x, axis, ...range), [randomTensor(shape, 7)], reference);
    const squares = (x: Values) => reference(x).map((v) => v * v);
    await checkOp(
      (x) => multiply(slice(x, axis, ...range), slice(x, axis, ...range)),
      [randomTensor(shape, 8)],
      squares,
    );
  }
});

Deno.test("slices and their gradients run in the kernels of what is computed from them", async () => {
  const product = (x: Tensor) => multiply(square(slice(x, 1, 0, 2)), slice(x, 1, 2, 4)), x = placeholder([8, 4]);
  assertEquals((await compile(product).program(x)).plan.steps.length, 1);
  // One kernel for the gradients of both parts, one that puts them in place and adds them.
  assertEquals((await compile(grad((x: Tensor) => sum(product(x)))).program(x)).plan.steps.length, 2);
  const positions = await compile(() => add(slice(iota([3, 4], 1), 1, 1, 3), 5))();
  assertEquals([...await toHost(positions)], [6, 7, 6, 7, 6, 7]);
});

Deno.test("a kernel that reads a tensor and the start of the same tensor reads both to their ends", async () => {
  const whole = ({ data: x }: Values) => x.map((v, i) => x[i % 4]! + v);
  await checkOp((x) => add(slice(x, 0, 0, 1), x), [randomTensor([64, 4], 3)], whole);
  await checkOp((x) => add(x, slice(x, 0, 0, 1)), [randomTensor([64, 4], 4)], whole);
});

Deno.test("slices of slices start where both say", async () => {
  const x = tensor(Float32Array.from({ length: 60 }, (_, i) => i), [20, 3]);
  const inner = slice(slice(x, 0, 4, 18), 0, 3, 6);
  assertEquals([...await toHost(inner)], [21, 22, 23, 24, 25, 26, 27, 28, 29]);
  assertEquals([...await toHost(add(slice(reshape(inner, [9]), 0, 8, 9), 1))], [30]);
});

Deno.test("concat() along any axis equals the reference, with computed, given and repeated parts", async () => {
  const joined = (rows: number) => (...parts: Values[]) =>
    Array.from(
      { length: rows },
      (_, r) => parts.flatMap(({ data: x }) => [...x.slice(r * x.length / rows, (r + 1) * x.length / rows)]),
    ).flat();
  const doubled = (x: Values): Values => ({ ...x, data: x.data.map((v) => 2 * v) });
  for (
    const [a, b, axis] of [[[64], [64], 0], [[3, 5], [4, 5], 0], [[2, 3], [2, 8], 1], [
      [2, 2, 3],
      [2, 1, 3],
      1,
    ]] as const
  ) {
    const inputs = [randomTensor(a, 1), randomTensor(b, 2)];
    const rows = a.slice(0, axis).reduce((p: number, q) => p * q, 1);
    await checkOp((x, y) => concat([x, y], axis), inputs, joined(rows));
    await checkOp(
      (x, y) => concat([multiply(x, 2), y, multiply(x, 2)], axis),
      inputs,
      (x, y) => joined(rows)(doubled(x), y, doubled(x)),
    );
    await checkOp(
      (x, y) => {
        const part = multiply(y, 2);
        return concat([part, part, x], axis);
      },
      inputs,
      (x, y) => joined(rows)(doubled(y), doubled(y), x),
    );
  }
});

Deno.test("parts computed for a concatenation are written into it, at aligned and unaligned places", async () => {
  const join = compile((a: Tensor, b: Tensor) => concat([multiply(a, 2), add(b, 1)], 0));
  const aligned = await join.program(tensor(new Float32Array(64)), tensor(new Float32Array(3)));
  assertEquals(
    aligned.plan.steps.map((s) => s.name),
    ["multiply", "add"],
  );
  const unaligned = await join.program(tensor(new Float32Array(3)), tensor(new Float32Array(3)));
  assertEquals(unaligned.plan.steps.length, 3);
  const out = await toHost(await join(tensor([1, 2, 3]), tensor([4, 5, 6])));
  assertEquals([...out], [2, 4, 6, 5, 6, 7]);
});

Deno.test("a part of a concatenation can be read by others and returned too", async () => {
  const f = compile((a: Tensor) => {
    const part = multiply(a, 3);
    const whole = concat([part, part], 0);
    return [whole, part, sum(part), add(whole, 1)];
  });
  const [whole, part, total, more] = await f(tensor([1, 2]));
  assertEquals([...await toHost(whole!)], [3, 6, 3, 6]);
  assertEquals([...await toHost(part!)], [3, 6]);
  assertEquals([...await toHost(total!)], [9]);
  assertEquals([...await toHost(more!)], [4, 7, 4, 7]);
});

Deno.test("stack() adds a first axis", async () => {
  await checkOp((x, y) => stack([x, multiply(y, 2), x]), [randomTensor([2, 3], 1), randomTensor([2, 3], 2)], (x, y) => [
    ...x.data,
    ...y.data.map((v) => 2 * v),
    ...x.data,
  ]);
  assertEquals(stack([placeholder([2, 3]), placeholder([2, 3])]).shape, [2, 2, 3]);
});

Deno.test("ops that move numbers move integers too", async () => {
  const ids = tensor(Int32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);
  assertEquals([...await toHost(slice(ids, 1, 1, 2))], [2, 4, 6]);
  assertEquals([...await toHost(concat([ids, slice(ids, 0, 2, 3)], 0))], [1, 2, 3, 4, 5, 6, 5, 6]);
});

Deno.test("shapes that do not fit are refused with a sentence", async () => {
  const x = placeholder([2, 3]);
  await assertRefused(
    [() => reshape(x, [4, 2]), "Cannot reshape [2,3] to [4,2]: the number of elements must stay 6"],
    [() => slice(x, 1, 2, 5), "Cannot slice [2,3] along axis 1: the range must lie in [0, 3]"],
    [() => slice(x, 2, 0, 1), "Cannot apply slice: axis must be an integer from -2 to 1: axis is 2"],
    [() => slice(x, 0, 1, 1), "it is [1, 1]"],
    [() => concat([x, placeholder([2, 4])], 0), "tensors are f32[2,3], f32[2,4]"],
    [() => concat([x, placeholder([2, 3], "i32")], 0), "the types must be equal"],
    [() => concat([], 0), "at least 1 tensor is needed"],
    [() => tensor([1, 2, 3], [2, 2]), "it needs 4 elements: there are 3"],
  );
  await assertRejects(async () => await toHost(placeholder([2])), Error);
});
