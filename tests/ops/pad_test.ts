import { assertEquals } from "@std/assert";
import { pad, type PadAmount } from "../../src/ops/pad.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { elementAt, places } from "../testing/indexed.ts";
import { randomTensor } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";

/** Where an element comes from along an axis of `n`, for a place from -before on; undefined: from nowhere. */
const sources = {
  constant: (i: number, n: number): number | undefined => i < 0 || i >= n ? undefined : i,
  edge: (i: number, n: number): number => Math.min(Math.max(i, 0), n - 1),
  reflect: (i: number, n: number): number => i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i,
};

function reference(mode: keyof typeof sources, amounts: readonly PadAmount[], value: number) {
  const sides = amounts.map((n) => [n].flat()), first = sides.map((s) => s[0]!);
  return (x: Values): number[] =>
    places(x.shape.map((n, i) => n + first[i]! + sides[i]!.at(-1)!)).map((place) => {
      const from = place.map((i, axis) => sources[mode](i - first[axis]!, x.shape[axis]!));
      return from.every((i) => i !== undefined) ? elementAt(x, from) : value;
    });
}

const cases: [number[], PadAmount[]][] = [
  [[5], [2]],
  [[5], [[0, 4]]],
  [[3, 4], [[1, 2], [3, 0]]],
  [[2, 3, 8], [[1, 1], 0, 0]], // whole vectors, merged
  [[2, 3, 8], [0, 2, 0]],
  [[3, 12], [1, [4, 8]]],
  [[4, 1, 3, 2], [[1, 0], 0, [2, 1], 1]],
  [[33, 9], [0, [8, 7]]],
];

for (const mode of ["constant", "edge", "reflect"] as const) {
  Deno.test(`pad() in mode "${mode}" adds elements before and behind each axis`, async () => {
    for (const [shape, amounts] of cases) {
      const value = mode === "constant" ? -1.5 : 0;
      await checkOp(
        (x) => pad(x, amounts, { mode, value }),
        [randomTensor(shape, 1)],
        reference(mode, amounts, value),
      );
    }
  });
}

Deno.test("pad() of zeros is the default, along axes of length 1 too", async () => {
  await checkOp((x) => pad(x, [2, 1]), [randomTensor([1, 1], 1)], reference("constant", [2, 1], 0));
  await checkOp((x) => pad(x, [2, 1], { mode: "edge" }), [randomTensor([1, 1], 1)], reference("edge", [2, 1], 0));
  assertEquals(pad(placeholder([2, 3]), [0, 0]).node.op.name, "input");
  assertEquals(pad(placeholder([]), []).shape, []);
});

Deno.test("pad() of zeros is one kernel, and keeps integers and their bits", async () => {
  const f = compile((x: Tensor) => pad(x, [[1, 0], [0, 2]], { value: -7 }));
  const ids = tensor(Int32Array.of(1, -2147483648), [1, 2]);
  assertEquals(await toHost(await f(ids)), Int32Array.of(-7, -7, -7, -7, 1, -2147483648, -7, -7));
  assertEquals((await f.program(ids)).plan.steps.length, 1);
});

Deno.test("amounts that do not fit are refused with a sentence", async () => {
  const x = placeholder([2, 3]);
  await assertRefused(
    [() => pad(x, [1]), "Cannot apply pad: there must be an amount for each of 2 axes: there are 1"],
    [() => pad(x, [0, [1, -1]]), 'along axis 1 mode "constant" must have an integer from 0 on: it has -1'],
    [
      () => pad(x, [2, 0], { mode: "reflect" }),
      'along axis 0 mode "reflect" must have an integer from 0 to 1: it has 2',
    ],
    [() => pad(placeholder([2], "u32"), [1], { value: -1 }), "the value must fit 32 bits: it is -1"],
    [() => pad(placeholder([2], "i32"), [1], { value: 0.5 }), "the value must be an integer: it is 0.5", TypeError],
  );
});
