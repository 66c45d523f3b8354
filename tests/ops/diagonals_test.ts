import { assertEquals } from "@std/assert";
import { grad } from "../../src/autograd/grad.ts";
import { defaultDevice } from "../../src/gpu/device.ts";
import { diag, diagonal, eye, type EyeOptions, tril, triu } from "../../src/ops/diagonals.ts";
import { multiply } from "../../src/ops/elementwise.ts";
import { sum } from "../../src/ops/reduce.ts";
import { compile, tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { checkOp, type Values } from "../testing/check_op.ts";
import { assertRefused } from "../testing/refusals.ts";
import { randomIds, randomTensor } from "../testing/reference.ts";
import { placeholder } from "../testing/run_op.ts";
import { testWhere } from "../testing/where.ts";

const { f16 } = (await defaultDevice()).profile;
const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));

/** Each element with its row and column. */
function cells<T>({ data, shape }: Values, f: (value: number, row: number, column: number) => T): T[] {
  const [rows, columns] = shape.slice(-2) as [number, number];
  return Array.from(data, (v, i) => f(v, Math.floor(i / columns) % rows, i % columns));
}

const shapes = [[1, 1], [3, 3], [4, 8], [5, 3], [2, 3, 7], [2, 2, 4, 4], [1, 9], [9, 1], [37, 65]];

for (
  const [name, op, inside] of [
    ["tril", tril, (row: number, column: number, k: number) => column <= row + k],
    ["triu", triu, (row: number, column: number, k: number) => column >= row + k],
  ] as const
) {
  Deno.test(`${name}() equals the reference for every shape and diagonal, with its gradient`, async () => {
    for (const [i, shape] of shapes.entries()) {
      for (const k of i > 4 ? [0, -1] : [0, 1, -2, 30, -30]) {
        const reference = (x?: Values) => cells(x!, (v, row, column) => inside(row, column, k) ? v : 0);
        await checkOp((x) => op(x, k), [randomTensor(shape, 1 + i)], reference);
      }
    }
  });

  Deno.test(`${name}() drops NaN with its half, is one kernel, and moves integers`, async () => {
    const kept = Array.from({ length: 16 }, (_, i) => inside(Math.floor(i / 4), i % 4, 0));
    const x = tensor(kept.map((k, i) => k ? i + 1 : NaN), [4, 4]);
    assertEquals(await host(op(x)), kept.map((k, i) => k ? i + 1 : 0));
    assertEquals(await host(grad((y: Tensor) => sum(multiply(op(y), 3)))(x)), kept.map((k) => k ? 3 : 0));
    const run = compile((y: Tensor) => op(multiply(y, 2), 1)), batch = tensor(new Float32Array(24), [2, 3, 4]);
    assertEquals((await run.program(batch)).plan.steps.length, 1);
    run.destroy();
    for (const dtype of ["i32", "u32"] as const) {
      const n = randomIds([4, 4], 3, dtype === "i32" ? -(2 ** 31) : 0, dtype === "i32" ? 2 ** 31 : 2 ** 32, dtype);
      const y = op(tensor(n.data, [4, 4]));
      assertEquals([y.dtype, ...await host(y)], [dtype, ...Array.from(n.data, (v, i) => kept[i] ? v : 0)]);
    }
  });
}

Deno.test("diagonal() equals the reference for every shape and diagonal, with its gradient", async () => {
  for (const [i, shape] of shapes.entries()) {
    const [rows, columns] = shape.slice(-2) as [number, number];
    for (const k of new Set([0, 1, -1, columns - 1, 1 - rows])) {
      if (k <= -rows || k >= columns) continue;
      const reference = (x?: Values) => cells(x!, (v, row, column) => column - row === k ? [v] : []).flat();
      await checkOp((x) => diagonal(x, k), [randomTensor(shape, 1 + i)], reference);
      assertEquals(diagonal(placeholder(shape), k).shape.slice(0, -1), shape.slice(0, -2));
    }
  }
  const n = tensor(Int32Array.of(2 ** 31 - 1, 2, 3, -(2 ** 31)), [2, 2]);
  assertEquals(await host(diagonal(n)), [2 ** 31 - 1, -(2 ** 31)]);
  assertEquals(await host(diagonal(tensor([1, NaN, NaN, 4], [2, 2]))), [1, 4]);
});

Deno.test("diag() puts a vector on a diagonal, and takes one of a matrix, with gradients", async () => {
  for (const length of [1, 3, 4, 8]) {
    for (const k of [0, 1, -1, 4, -5]) {
      const size = length + Math.abs(k);
      const reference = ({ data }: Values) =>
        Array.from({ length: size * size }, (_, i) => {
          const row = Math.floor(i / size), column = i % size;
          return column - row === k ? data[Math.min(row, column)]! : 0;
        });
      await checkOp((x) => diag(x, k), [randomTensor([length], 4)], (x) => reference(x!));
      assertEquals(diag(placeholder([length]), k).shape, [size, size]);
    }
  }
  assertEquals(await host(diag(diag(tensor(Uint32Array.of(1, 2 ** 32 - 1, 3)), -2), -2)), [1, 2 ** 32 - 1, 3]);
  assertEquals(await host(diag(tensor([NaN, 1]))), [NaN, 0, 0, 1]);
});

Deno.test("eye() has ones on one diagonal", async () => {
  const cases: [number, EyeOptions][] = [
    [1, {}],
    [3, {}],
    [4, { columns: 8 }],
    [5, { columns: 2, diagonal: -3, dtype: "i32" }],
    [3, { columns: 7, diagonal: 2, dtype: "u32" }],
    [4, { diagonal: 9 }],
  ];
  for (const [rows, options] of cases) {
    const { columns = rows, diagonal: k = 0, dtype = "f32" } = options, y = eye(rows, options);
    const expected = Array.from(
      { length: rows * columns },
      (_, i) => Number(i % columns - Math.floor(i / columns) === k),
    );
    assertEquals([y.dtype, y.shape, await host(y)], [dtype, [rows, columns], expected]);
  }
});

testWhere(f16, "the adapter has none", "matrices of 16-bit floats give f32", async () => {
  const x = tensor([1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3], "f16");
  assertEquals(await host(tril(x)), [1, 0, 0, 4, 5, 0, 7, 8, 9]);
  assertEquals(await host(diagonal(x, 1)), [2, 6]);
  assertEquals(await host(diag(tensor([1, 2], [2], "f16"))), [1, 0, 0, 2]);
  assertEquals(await host(eye(2, { dtype: "f16" })), [0x3c00, 0, 0, 0x3c00]);
});

Deno.test("what has no such diagonal is refused with a sentence", async () => {
  const x = placeholder([2, 3]);
  await assertRefused(
    [() => tril(placeholder([3])), "Cannot apply tril: the input must be [...,rows,columns]: it is f32[3]"],
    [() => triu(x, 0.5), "Cannot apply triu: k must be an integer from -2147483648 to 2147483647: it is 0.5"],
    [() => diagonal(x, 3), "Cannot apply diagonal: k must be from -1 to 2: it is 3"],
    [() => diagonal(x, -2), "it is -2"],
    [() => diagonal(placeholder([])), "Cannot apply diagonal: the input must be [...,rows,columns]: it is f32[]"],
    [() => diag(placeholder([2, 3, 4])), "the input must be a vector or a matrix: its shape is [2,3,4]"],
    [() => eye(0), "Cannot apply eye: rows must be an integer from 1 to 2147483647: it is 0"],
    [() => eye(2, { columns: -1 }), "Cannot apply eye: columns must be"],
    [() => eye(2, { diagonal: NaN }), "Cannot apply eye: diagonal must be"],
  );
});
