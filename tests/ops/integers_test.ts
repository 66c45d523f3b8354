import { assertEquals } from "@std/assert";
import { bitwiseAnd, bitwiseNot, bitwiseOr, bitwiseXor, leftShift, rightShift } from "../../src/ops/bitwise.ts";
import { greater, lessEqual, notEqual } from "../../src/ops/comparisons.ts";
import { floorDivide, fmod, remainder } from "../../src/ops/division.ts";
import {
  abs,
  add,
  clamp,
  divide,
  equal,
  greaterEqual,
  less,
  maximum,
  minimum,
  multiply,
  negate,
  type Operand,
  sign,
  subtract,
  where,
} from "../../src/ops/elementwise.ts";
import { logicalAnd, logicalNot } from "../../src/ops/logic.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { assertRefused } from "../testing/refusals.ts";
import { randomSource } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";

type Integer = "i32" | "u32";
const wrap: Record<Integer, (n: bigint) => number> = {
  i32: (n) => Number(BigInt.asIntN(32, n)),
  u32: (n) => Number(BigInt.asUintN(32, n)),
};
const arrays = { i32: Int32Array, u32: Uint32Array } as const;

/** The ends of the types, what f32 cannot hold, small numbers and random bits. */
const words = ((): number[] => {
  const random = randomSource(7), chosen = [0, 1, 2, 3, 7, 10, 31, 32, 33, 2 ** 24 + 1, 2 ** 31 - 1, 2 ** 31];
  return [
    ...chosen,
    ...chosen.map((n) => -n),
    2 ** 31 + 1,
    ...Array.from({ length: 8 }, () => Math.floor(random() * 2 ** 32)),
  ];
})();

/** All pairs of words as numbers of a type, in kernels of scalars or of vectors. */
function pairs(type: Integer, width: 1 | 4): [number[], number[]] {
  const values = words.map((n) => wrap[type](BigInt(n))), all = values.flatMap((a) => values.map((b) => [a, b]));
  while ((all.length % 4 === 0) !== (width === 4)) all.pop();
  return [all.map(([a]) => a!), all.map(([, b]) => b!)];
}

/** Rounded down. */
function floor(a: bigint, b: bigint): bigint {
  return a / b - (a % b !== 0n && (a < 0n) !== (b < 0n) ? 1n : 0n);
}
const inRange = (b: bigint): boolean => b >= 0n && b < 32n;

const arithmetic: Record<string, [(a: Operand, b: Operand) => Tensor, (a: bigint, b: bigint) => bigint]> = {
  add: [add, (a, b) => a + b],
  subtract: [subtract, (a, b) => a - b],
  multiply: [multiply, (a, b) => a * b],
  maximum: [maximum, (a, b) => a > b ? a : b],
  minimum: [minimum, (a, b) => a < b ? a : b],
  divide: [divide, (a, b) => b ? a / b : 0n],
  floorDivide: [floorDivide, (a, b) => b ? floor(a, b) : 0n],
  remainder: [remainder, (a, b) => b ? a - b * floor(a, b) : 0n],
  fmod: [fmod, (a, b) => b ? a % b : 0n],
  bitwiseAnd: [bitwiseAnd, (a, b) => a & b],
  bitwiseOr: [bitwiseOr, (a, b) => a | b],
  bitwiseXor: [bitwiseXor, (a, b) => a ^ b],
  leftShift: [leftShift, (a, b) => inRange(b) ? a << b : 0n],
  rightShift: [rightShift, (a, b) => a >> (inRange(b) ? b : 32n)],
};
const truths: Record<string, [(a: Operand, b: Operand) => Tensor, (a: bigint, b: bigint) => boolean]> = {
  less: [less, (a, b) => a < b],
  lessEqual: [lessEqual, (a, b) => a <= b],
  greater: [greater, (a, b) => a > b],
  greaterEqual: [greaterEqual, (a, b) => a >= b],
  equal: [equal, (a, b) => a === b],
  notEqual: [notEqual, (a, b) => a !== b],
  logicalAnd: [logicalAnd, (a, b) => a !== 0n && b !== 0n],
};

for (const type of ["i32", "u32"] as const) {
  Deno.test(`arithmetic, comparisons and bits of ${type} are exact on all 32 bits`, async () => {
    for (const width of [1, 4] as const) {
      const [a, b] = pairs(type, width), x = tensor(arrays[type].from(a)), y = tensor(arrays[type].from(b));
      const expected = (f: (a: bigint, b: bigint) => bigint) =>
        a.map((n, i) => wrap[type](f(BigInt(n), BigInt(b[i]!))));
      for (const [name, [op, reference]] of Object.entries(arithmetic)) {
        const result = op(x, y);
        assertEquals([result.dtype, ...await toHost(result)], [type, ...expected(reference)], `${name} of ${type}`);
      }
      for (const [name, [op, reference]] of Object.entries(truths)) {
        const result = op(x, y);
        assertEquals(
          [result.dtype, ...await toHost(result)],
          ["f32", ...expected((m, n) => BigInt(reference(m, n)))],
          `${name} of ${type}`,
        );
      }
    }
  });

  Deno.test(`functions of one number of ${type}, clamp() and where() are exact on all 32 bits`, async () => {
    const low = wrap[type](3n), high = wrap[type](BigInt(2 ** 31 - 2));
    const functions: Record<string, [(x: Tensor) => Tensor, (n: bigint) => bigint]> = {
      negate: [negate, (n) => -n],
      abs: [abs, (n) => n < 0n ? -n : n],
      sign: [sign, (n) => n > 0n ? 1n : n < 0n ? -1n : 0n],
      bitwiseNot: [bitwiseNot, (n) => ~n],
      logicalNot: [(x) => where(logicalNot(x), 1, tensor(arrays[type].of(0))), (n) => n === 0n ? 1n : 0n],
      clamp: [(x) => clamp(x, low, high), (n) => n < low ? BigInt(low) : n > high ? BigInt(high) : n],
      where: [(x) => where(less(x, 8), x, 5), (n) => n < 8n ? n : 5n],
    };
    for (const length of [words.length | 1, words.length & ~3]) {
      const values = Array.from({ length }, (_, i) => wrap[type](BigInt(words[i % words.length]!)));
      const x = tensor(arrays[type].from(values));
      for (const [name, [op, reference]] of Object.entries(functions)) {
        const y = op(x), expected = values.map((n) => wrap[type](reference(BigInt(n))));
        assertEquals([y.dtype, ...await toHost(y)], [type, ...expected], `${name} of ${type}`);
      }
    }
  });
}

Deno.test("numbers beside integers have their type, on either side", async () => {
  const n = tensor(Int32Array.of(-7, 7, -(2 ** 31))), ids = tensor(Uint32Array.of(7, 2 ** 32 - 1));
  assertEquals([...await toHost(floorDivide(n, 2))], [-4, 3, -(2 ** 30)]);
  assertEquals([...await toHost(remainder(100, n))], [-5, 2, 100 - 2 ** 31]);
  assertEquals([...await toHost(divide(n, 2))], [-3, 3, -(2 ** 30)]);
  assertEquals([...await toHost(bitwiseAnd(ids, 2 ** 32 - 2))], [6, 2 ** 32 - 2]);
  assertEquals([...await toHost(leftShift(1, tensor(Int32Array.of(0, 31, 32, -1))))], [1, -(2 ** 31), 0, 0]);
});

Deno.test("what is no integer is refused with a sentence", async () => {
  const x = placeholder([4]), n = placeholder([4], "i32"), ids = placeholder([4], "u32");
  await assertRefused(
    [() => bitwiseAnd(x, x), "Cannot apply bitwiseAnd: the operand must be i32 or u32: it is f32", TypeError],
    [() => leftShift(n, x), "Cannot apply leftShift: the operand must be i32 or u32: it is f32", TypeError],
    [() => bitwiseNot(x), "Cannot apply bitwiseNot: the operand must be i32 or u32: it is f32", TypeError],
    [
      () => bitwiseOr(n, ids),
      "Cannot apply bitwiseOr: operands must have one element type: they are i32 and u32",
      TypeError,
    ],
    [() => floorDivide(n, x), "operands must have one element type: they are i32 and f32", TypeError],
    [() => rightShift(n, 0.5), "the value must be an integer: it is 0.5", TypeError],
    [() => bitwiseXor(n, 2 ** 31), "the value must fit 32 bits: it is 2147483648"],
  );
});
