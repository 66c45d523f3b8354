import { assertEquals } from "@std/assert";
import { expandDims, flatten, moveAxis, squeeze, swapAxes } from "../../src/ops/axes.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { stack } from "../../src/ops/shape.ts";
import { compile, tensor } from "../../src/program/compile.ts";
import { sizeOf, type Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { indexed } from "../testing/indexed.ts";
import { randomTensor } from "../testing/reference.ts";
import { assertRefused } from "../testing/refusals.ts";
import { placeholder } from "../testing/run_op.ts";

Deno.test("squeeze(), expandDims() and flatten() change the shape alone, and run no kernel", async () => {
  const x = placeholder([1, 3, 1, 2]), scalar = placeholder([]);
  assertEquals(squeeze(x).shape, [3, 2]);
  assertEquals(squeeze(x, 0).shape, [3, 1, 2]);
  assertEquals(squeeze(x, [-2, 0]).shape, [3, 2]);
  assertEquals(squeeze(placeholder([1, 1])).shape, []);
  assertEquals(expandDims(placeholder([3, 2]), 0).shape, [1, 3, 2]);
  assertEquals(expandDims(placeholder([3, 2]), [-1, 1]).shape, [3, 1, 2, 1]);
  assertEquals(expandDims(scalar, [0, 1]).shape, [1, 1]);
  assertEquals(flatten(x).shape, [6]);
  assertEquals(flatten(x, 1, -2).shape, [1, 3, 2]);
  assertEquals(flatten(scalar).shape, [1]);
  const f = (t: Tensor) => flatten(squeeze(expandDims(t, 1), 1), -2);
  await checkOp((t) => multiply(f(t), 2), [randomTensor([2, 3, 5], 1)], (t) => t.data.map((v) => 2 * v));
  assertEquals((await compile(f).program(tensor(new Float32Array(8), [2, 2, 2]))).plan.steps.length, 0);
});

Deno.test("swapAxes() and moveAxis() move axes as in NumPy", async () => {
  const x = randomTensor([2, 3, 4, 5], 1);
  const ordered = (permutation: readonly number[]) => (t: Values): number[] =>
    indexed(permutation.map((axis) => t.shape[axis]!), () => t, (at) => {
      const back: number[] = [];
      permutation.forEach((axis, i) => back[axis] = at[i]!);
      return back;
    });
  await checkOp((t) => swapAxes(t, 0, -1), [x], ordered([3, 1, 2, 0]));
  await checkOp((t) => moveAxis(t, 0, 2), [x], ordered([1, 2, 0, 3]));
  await checkOp((t) => moveAxis(t, -1, 0), [x], ordered([3, 0, 1, 2]));
  await checkOp((t) => moveAxis(t, [0, 1], [-1, -3]), [x], ordered([2, 1, 3, 0]));
  assertEquals(swapAxes(placeholder([1, 7]), 0, 1).node.op.name, "reshape");
  assertEquals(moveAxis(placeholder([2, 3]), 1, 1).shape, [2, 3]);
});

Deno.test("stack() joins along a new axis at any place", async () => {
  const inputs = [randomTensor([2, 3], 1), randomTensor([2, 3], 2), randomTensor([2, 3], 3)];
  for (const [axis, shape] of [[0, [3, 2, 3]], [1, [2, 3, 3]], [-1, [2, 3, 3]]] as const) {
    const at = (axis + 3) % 3;
    const reference = (...parts: Values[]): number[] =>
      indexed(shape, (place) => parts[place[at]!]!, (place) => place.toSpliced(at, 1));
    await checkOp((...parts) => stack(parts, axis), inputs, reference);
    assertEquals(stack(inputs.map((t) => placeholder(t.shape)), axis).shape, shape);
  }
  assertEquals(stack([placeholder([]), placeholder([])], -1).shape, [2]);
  assertEquals(sizeOf(stack([placeholder([4])], 1).shape), 4);
});

Deno.test("axes that do not fit are refused with a sentence", async () => {
  const x = placeholder([1, 3]);
  await assertRefused(
    [() => squeeze(x, 1), "Cannot apply squeeze: axis 1 must be of length 1: the shape is [1,3]"],
    [() => squeeze(x, [0, -2]), "Cannot apply squeeze: every axis must be given once: axes are [0,-2]"],
    [() => expandDims(x, 3), "Cannot apply expandDims: axis must be an integer from -3 to 2: axis is 3"],
    [() => expandDims(x, [1, -3]), "every axis must be given once: axes are [1,-3]"],
    [() => flatten(x, 1, 0), "Cannot apply flatten: the first axis must not lie behind the last: they are 1, 0"],
    [() => swapAxes(x, 0, 2), "Cannot apply swapAxes: axis must be an integer from -2 to 1: axis is 2"],
    [() => moveAxis(x, [0, 1], 0), "there must be a place for every axis: axes are [0,1], places are [0]"],
    [() => moveAxis(x, [0, 1], [1, -1]), "every axis must be given once: axes are [1,-1]"],
    [() => stack([x, x], 3), "Cannot apply stack: axis must be an integer from -3 to 2: axis is 3"],
    [() => stack([], 0), "at least 1 tensor is needed"],
  );
});
