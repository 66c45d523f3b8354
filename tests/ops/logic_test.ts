import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { greater, isFinite, isInf, isNaN, lessEqual, notEqual } from "../../src/ops/comparisons.ts";
import { add, multiply, type Operand, sqrt, where } from "../../src/ops/elementwise.ts";
import { logicalAnd, logicalNot, logicalOr, logicalXor } from "../../src/ops/logic.ts";
import { matmul } from "../../src/ops/matmul.ts";
import { sum } from "../../src/ops/reduce.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Edges, elementwise } from "../testing/check_op.ts";
import { assertRefused } from "../testing/refusals.ts";
import { randomTensor } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";
import { testWhere } from "../testing/where.ts";

const { f16 } = (await defaultDevice()).profile;
/** Functions that jump have gradient 0 everywhere. */
const flat: { edges: Edges } = { edges: { kinks: () => 0 } };
const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));

const comparisons: Record<string, [(a: Operand, b: Operand) => Tensor, (a: number, b: number) => boolean]> = {
  greater: [greater, (a, b) => a > b],
  lessEqual: [lessEqual, (a, b) => a <= b],
  notEqual: [notEqual, (a, b) => a !== b],
  logicalAnd: [logicalAnd, (a, b) => a !== 0 && b !== 0],
  logicalOr: [logicalOr, (a, b) => a !== 0 || b !== 0],
  logicalXor: [logicalXor, (a, b) => (a !== 0) !== (b !== 0)],
};

for (const [name, [op, reference]] of Object.entries(comparisons)) {
  Deno.test(`${name}() broadcasts, equals the reference, and has no gradient`, async () => {
    for (
      const [a, b] of [[[6, 8], [6, 8]], [[4, 8], [8]], [[3, 1, 4], [1, 5, 1]], [[], [3, 5]], [[13], [1]]] as const
    ) {
      const inputs = [randomTensor(a, 1, 2), randomTensor(b, 2, 2)];
      await checkOp(op, inputs, elementwise((x, y) => Number(reference(x, y))), flat);
    }
  });
}

Deno.test("logicalNot() is 1 where x is 0", async () => {
  await checkOp(logicalNot, [randomTensor([3, 8], 1)], elementwise((x) => Number(x === 0)), flat);
});

Deno.test("logic takes NaN, infinities and the smallest numbers for true, and operands of any types", async () => {
  const x = tensor([NaN, -Infinity, 1e-38, 0, -0]), n = tensor(Int32Array.of(0, -(2 ** 31), 7, 0, 1));
  const ids = tensor(Uint32Array.of(1, 0, 2 ** 31, 0, 0));
  assertEquals(await host(logicalNot(x)), [0, 0, 0, 1, 1]);
  assertEquals(await host(logicalAnd(x, n)), [0, 1, 1, 0, 0]);
  assertEquals(await host(logicalOr(n, ids)), [1, 1, 1, 0, 1]);
  assertEquals(await host(logicalXor(x, ids)), [0, 1, 0, 0, 0]);
  assertEquals(await host(logicalXor(n, 1)), [1, 0, 0, 1, 0]);
  assertEquals(await host(logicalNot(ids)), [0, 1, 0, 1, 1]);
  assertEquals(logicalAnd(n, n).dtype, "f32");
});

Deno.test("isNaN(), isInf() and isFinite() look at the bits, also at those that a kernel has just computed", async () => {
  const bits = Uint32Array.of(0x7fc00000, 0xffc00000, 0x7f800001, 0xffffffff, 0x7f800000, 0xff800000, 0x7f7fffff, 0, 1);
  for (const length of [9, 8]) {
    const x = tensor(new Float32Array(bits.buffer).slice(0, length));
    assertEquals(await host(isNaN(x)), [1, 1, 1, 1, 0, 0, 0, 0, 0].slice(0, length));
    assertEquals(await host(isInf(x)), [0, 0, 0, 0, 1, 1, 0, 0, 0].slice(0, length));
    assertEquals(await host(isFinite(x)), [0, 0, 0, 0, 0, 0, 1, 1, 1].slice(0, length));
  }
  const y = sqrt(tensor([-1, 4])), z = matmul(tensor([3e38], [1, 1]), tensor([10], [1, 1]));
  assertEquals([await host(isNaN(y)), await host(isFinite(y))], [[1, 0], [0, 1]]);
  assertEquals([await host(isInf(z)), await host(isNaN(z))], [[1], [0]]);
  assertEquals(await host(grad((x: Tensor) => sum(multiply(x, isFinite(x))))(tensor([2, 3]))), [1, 1]);
});

testWhere(f16, "the adapter has none", "comparisons and logic read 16-bit floats", async () => {
  const x = tensor(Uint16Array.of(0x7e00, 0x7c00, 0xfc00, 0x3c00, 0x8000, 0)); // NaN, infinities, 1, zeros
  assertEquals(await host(isNaN(x)), [1, 0, 0, 0, 0, 0]);
  assertEquals(await host(isInf(x)), [0, 1, 1, 0, 0, 0]);
  assertEquals(await host(logicalNot(x)), [0, 0, 0, 0, 1, 1]);
  assertEquals((await host(greater(x, 0.5))).slice(1), [1, 0, 1, 0, 0]);
});

Deno.test("where() takes conditions and operands of any types", async () => {
  const a = tensor(Int32Array.of(2 ** 31 - 1, -(2 ** 31), 16777217, 5)), condition = tensor([1, 0, -0.5, -0]);
  assertEquals(await host(where(condition, a, -3)), [2 ** 31 - 1, -3, 16777217, -3]);
  assertEquals(await host(where(condition, 7, a)), [7, -(2 ** 31), 7, 5]);
  assertEquals(await host(where(a, tensor([1, 2, 3, 4]), 0.5)), [1, 2, 3, 4]);
  const ids = tensor(Uint32Array.of(0, 2 ** 31, 1));
  assertEquals(await host(where(ids, tensor(Uint32Array.of(1, 2 ** 32 - 1, 3)), 9)), [9, 2 ** 32 - 1, 3]);
  assertEquals([where(ids, 1, 2).dtype, where(condition, a, 1).dtype], ["f32", "i32"]);
  const scale = grad((x: Tensor) => sum(where(ids, multiply(x, 3), x)));
  assertEquals(await host(scale(tensor([1, 2, 3]))), [1, 3, 3]);
});

Deno.test("where(c, sqrt(x), 0) has a NaN gradient at 0, which an inner where() remedies", async () => {
  const x = tensor([0, 4, -1, 16]);
  const naive = (x: Tensor): Tensor => where(greater(x, 0), sqrt(x), 0);
  const safe = (x: Tensor): Tensor => {
    const positive = greater(x, 0);
    return where(positive, sqrt(where(positive, x, 1)), 0);
  };
  assertEquals(await host(naive(x)), [0, 2, 0, 4]);
  assertEquals(await host(safe(x)), [0, 2, 0, 4]);
  const [first, second] = await host(grad((x: Tensor) => sum(naive(x)))(x));
  assertEquals([first, second], [NaN, 0.25]);
  assertEquals(await host(grad((x: Tensor) => sum(safe(x)))(x)), [0, 0.25, 0, 0.125]);
  await checkOp(safe, [randomTensor([4, 5], 3, 1, 2)], elementwise((x) => x > 0 ? Math.sqrt(x) : 0), {
    edges: { kinks: "the slope is infinite at 0; the gradient 0 there is shown above" },
  });
});

Deno.test("operands that do not fit are refused with a sentence", async () => {
  const x = placeholder([2, 3]), n = placeholder([2, 3], "i32");
  await assertRefused(
    [() => greater(x, n), "Cannot apply greater: operands must have one element type: they are f32 and i32", TypeError],
    [() => greater(n, 0.5), "the value must be an integer: it is 0.5", TypeError],
    [() => where(x, x, n), "Cannot apply where: operands must have one element type: they are f32 and i32", TypeError],
    [() => where(placeholder([4]), x, x), "Cannot broadcast the operands of where"],
    [() => isNaN(n), "Cannot apply isNaN: the operand must be f32 or f16: it is i32", TypeError],
    [() => add(n, placeholder([2, 3], "u32")), "they are i32 and u32", TypeError],
    [() => logicalOr(x, placeholder([2])), "axis lengths must be equal or 1"],
  );
});
