import { assertEquals, assertThrows } from "@std/assert";
import { ANY_TYPE, type Axes, checkInput } from "../../src/ops/_check.ts";
import { placeholder } from "../testing/run_op.ts";

Deno.test("checkInput() accepts lengths, names, and any number of axes in one place", () => {
  const accepts = (axes: Axes, shape: readonly number[]): boolean => {
    try {
      checkInput("an op", "x", placeholder(shape), "f32", axes);
      return true;
    } catch {
      return false;
    }
  };
  const cases: [Axes, accepted: number[][], refused: number[][]][] = [
    [[], [[]], [[1]]],
    [[2, "n"], [[2, 1], [2, 9]], [[2], [3, 9], [2, 9, 1], []]],
    [["...", 3], [[3], [5, 3], [1, 2, 3]], [[], [3, 4]]],
    [[2, "..."], [[2], [2, 3, 4]], [[], [3, 2]]],
    [[2, "...", 3], [[2, 3], [2, 5, 3]], [[2], [3], [3, 2]]],
  ];
  for (const [axes, accepted, refused] of cases) {
    for (const shape of accepted) assertEquals([shape, accepts(axes, shape)], [shape, true], `[${axes}]`);
    for (const shape of refused) assertEquals([shape, accepts(axes, shape)], [shape, false], `[${axes}]`);
  }
});

Deno.test("checkInput() says what an input must be and what it is", () => {
  const x = placeholder([2, 3]);
  const refused: [() => void, typeof TypeError | typeof RangeError, string][] = [
    [
      () => checkInput("topK", "the input", x, "f32", ["rows", 4]),
      RangeError,
      "Cannot apply topK: the input must be f32[rows,4]: it is f32[2,3]",
    ],
    [
      () => checkInput("topK", "ids", x, ["i32", "u32"], [2, 3]),
      TypeError,
      "Cannot apply topK: ids must be (i32 or u32)[2,3]: it is f32[2,3]",
    ],
    [() => checkInput("exp", "x", x, "i32"), TypeError, "Cannot apply exp: x must be i32: it is f32"],
    [() => checkInput("exp", "x", x, ANY_TYPE, [2]), RangeError, "Cannot apply exp: x must be [2]: it is f32[2,3]"],
    [() => checkInput("exp", "x", undefined, "f32"), TypeError, "Cannot apply exp: x must be f32: it is missing"],
  ];
  for (const [call, kind, sentence] of refused) assertThrows(call, kind, sentence);
});
