import { assertEquals, assertThrows } from "@std/assert";
import { transpose, transposeOp } from "../../src/ops/transpose.ts";
import { checkOp } from "../testing/check_op.ts";
import { placeholder, runOp } from "../testing/run_op.ts";
import { randomTensor, testOnEachKind } from "../testing/reference.ts";

/** Strided copy, element by element. */
function permuted(data: ArrayLike<number>, shape: readonly number[], permutation: readonly number[]): number[] {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const walk = (depth: number, at: number): number[] => {
    const axis = permutation[depth];
    if (axis === undefined) return [data[at]!];
    return Array.from({ length: shape[axis]! }, (_, i) => walk(depth + 1, at + i * strides[axis]!)).flat();
  };
  return walk(0, 0);
}

testOnEachKind("transpose copies by strides", async (device) => {
  const cases: [number[], number[]][] = [
    [[1], [0]],
    [[3, 5], [1, 0]],
    [[4, 8], [1, 0]],
    [[2, 3, 4], [1, 0, 2]],
    [[2, 5, 3, 8], [0, 2, 1, 3]],
    [[2, 1, 3, 4], [3, 1, 0, 2]],
    [[2, 3, 2, 4, 3, 4], [0, 2, 4, 1, 3, 5]],
    [[2, 3, 2, 3, 2, 3], [5, 3, 1, 4, 2, 0]],
  ];
  for (const [shape, permutation] of cases) {
    const x = randomTensor(shape, 1);
    const [y] = await runOp(transposeOp, [x], { permutation }, device);
    assertEquals(Array.from(y!), permuted(x.data, shape, permutation));
  }
});

Deno.test("transpose() has the right gradient", async () => {
  const x = randomTensor([2, 3, 4], 1);
  await checkOp((a) => transpose(a, [1, 2, 0]), [x], (a) => permuted(a!.data, a!.shape, [1, 2, 0]));
  await checkOp((a) => transpose(a, [1, 0, 2]), [x], (a) => permuted(a!.data, a!.shape, [1, 0, 2]));
});

Deno.test("transpose() reverses the axes by default and is a view where nothing moves", () => {
  const x = placeholder([2, 1, 3]);
  assertEquals(transpose(x).shape, [3, 1, 2]);
  assertEquals(transpose(x, [-2, 0, 2]).shape, [1, 2, 3]);
  assertEquals(transpose(x, [1, 0, 2]).node.op.name, "reshape");
});

Deno.test("transpose() refuses a permutation that is none", () => {
  assertThrows(() => transpose(placeholder([2, 3]), [0, 0]), RangeError, "every one of 2 axes must appear once");
  assertThrows(() => transpose(placeholder([2, 3]), [0, 2]), RangeError, "axis must be an integer from -2 to 1");
});
