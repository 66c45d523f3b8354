import { assertEquals } from "@std/assert";
import { roll } from "../../src/ops/roll.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import { checkOp } from "../testing/check_op.ts";
import { indexed } from "../testing/indexed.ts";
import { randomTensor } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";

Deno.test("roll() moves elements around the end along one axis or several", async () => {
  const cases: [number[], number | number[], number | number[]][] = [
    [[5], 2, 0],
    [[5], -7, 0],
    [[3, 16], 4, -1], // whole vectors
    [[3, 16], 3, -1],
    [[6, 8], 1, 0],
    [[4, 3, 5], [1, -2], [0, 2]],
    [[4, 3, 5], [10, 2, 1], [2, 1, 0]],
    [[2, 3, 2, 3, 2], [1, 1], [1, 3]],
    [[1, 7, 1], [5, 3], [0, 1]],
    [[19, 33], [14, 32], [0, 1]],
  ];
  for (const [shape, shift, axis] of cases) {
    const shifts = [shift].flat(), axes = [axis].flat().map((a) => (a + shape.length) % shape.length);
    const moved = (place: number[]): number[] =>
      axes.reduce((at, a, i) => at.with(a, (((at[a]! - shifts[i]!) % shape[a]!) + shape[a]!) % shape[a]!), place);
    await checkOp((x) => roll(x, shift, axis), [randomTensor(shape, 1)], (x) => indexed(shape, () => x, moved));
  }
});

Deno.test("roll() of integers, and by whole turns", async () => {
  assertEquals(await toHost(roll(tensor(Uint32Array.of(1, 2, 3)), 1, 0)), Uint32Array.of(3, 1, 2));
  assertEquals(roll(placeholder([3, 4]), [3, -8], [0, 1]).node.op.name, "input");
});

Deno.test("roll() refuses shifts and axes that do not fit", async () => {
  const x = placeholder([3, 4]);
  await assertRefused(
    [() => roll(x, [1, 2], 0), "there must be an integer for every axis: shifts are [1,2], axes are [0]"],
    [() => roll(x, 0.5, 0), "there must be an integer for every axis: shifts are [0.5], axes are [0]"],
    [() => roll(x, [1, 2], [1, -1]), "Cannot apply roll: every axis must be given once: axes are [1,-1]"],
    [() => roll(x, 1, 2), "Cannot apply roll: axis must be an integer from -2 to 1: axis is 2"],
  );
});
