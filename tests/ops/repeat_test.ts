import { assertEquals } from "@std/assert";
import { multiply } from "../../src/ops/elementwise.ts";
import { repeat, tile } from "../../src/ops/repeat.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp } from "../testing/check_op.ts";
import { indexed } from "../testing/indexed.ts";
import { randomTensor } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";

Deno.test("repeat() gives every element several times along any axis", async () => {
  for (const [shape, count, axis] of [[[5], 3, 0], [[2, 3, 4], 4, 1], [[2, 3], 2, -1], [[3, 1, 8], 1, 0]] as const) {
    const at = (axis + shape.length) % shape.length, lengths = shape.map((n, i) => i === at ? n * count : n);
    await checkOp(
      (x) => repeat(x, count, axis),
      [randomTensor(shape, 1)],
      (x) => indexed(lengths, () => x, (place) => place.with(at, Math.floor(place[at]! / count))),
    );
    assertEquals(repeat(placeholder(shape), count, axis).shape, lengths);
  }
});

Deno.test("tile() gives the tensor several times along several axes, as in NumPy", async () => {
  const cases: [number[], number[], number[]][] = [
    [[4], [3], [12]],
    [[2, 3, 4], [2, 1, 3], [4, 3, 12]],
    [[2, 3], [2], [2, 6]],
    [[3], [2, 2], [2, 6]],
    [[], [5], [5]],
    [[1, 7], [1, 1], [1, 7]],
  ];
  for (const [shape, counts, result] of cases) {
    const shift = result.length - shape.length;
    await checkOp(
      (x) => tile(x, counts),
      [randomTensor(shape, 2)],
      (x) => indexed(result, () => x, (place) => place.slice(shift).map((i, axis) => i % shape[axis]!)),
    );
    assertEquals(tile(placeholder(shape), counts).shape, result);
  }
});

Deno.test("what follows tile() and repeat() element by element is one kernel with them; integers stay integers", async () => {
  const f = compile((x: Tensor) => multiply(tile(repeat(x, 2, 0), [2]), 10));
  const ids = tensor(Int32Array.of(1, -2));
  assertEquals(await toHost(await f(ids)), Int32Array.of(10, 10, -20, -20, 10, 10, -20, -20));
  const once = compile((x: Tensor) => multiply(tile(x, [3]), 10));
  assertEquals((await once.program(ids)).plan.steps.length, 1);
});

Deno.test("numbers of repeats that are none are refused with a sentence", async () => {
  const x = placeholder([2, 3]);
  await assertRefused(
    [() => repeat(x, 0, 0), "Cannot apply repeat: a number of repeats must be a positive integer: it is 0"],
    [() => repeat(x, 2, 2), "Cannot apply repeat: axis must be an integer from -2 to 1: axis is 2"],
    [() => tile(x, [1.5]), "Cannot apply tile: a number of repeats must be a positive integer: it is 1.5"],
  );
});
