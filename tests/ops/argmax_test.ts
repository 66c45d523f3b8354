import { assertEquals, assertThrows } from "@std/assert";
import { argmax, argmaxOp, argmin, argminOp } from "../../src/ops/argmax.ts";
import { tensor, toHost } from "../../src/program/compile.ts";
import type { Tensor } from "../../src/program/graph.ts";
import { placeholder, runOp } from "../testing/run_op.ts";
import { eachRow, randomTensor, testOnEachKind } from "../testing/reference.ts";

const lowestOfLargest = (row: Float64Array) => [row.indexOf(row.reduce((a, b) => Math.max(a, b)))];

testOnEachKind("argmax finds the largest element, the first among equal ones", async (device) => {
  for (const [rows, columns] of [[1, 1], [9, 5], [20, 48], [3, 1031], [4, 3000]] as const) {
    const x = randomTensor([rows, columns], columns);
    // Few distinct values, so that nearly every row has equal largest elements.
    for (const data of [x.data, x.data.map((v) => Math.round(v * 2)), x.data.map(() => -1e30)] as Float32Array[]) {
      const [y] = await runOp(argmaxOp, [{ ...x, data }], undefined, device);
      assertEquals(Array.from(y!), Array.from(eachRow(data, columns, lowestOfLargest)));
    }
  }
});

const host = async (x: Tensor): Promise<number[]> => Array.from(await toHost(x));

testOnEachKind("argmax and argmin of a row with NaN are where the first NaN is", async (device) => {
  for (const length of [1, 3, 8, 1033, 10_004]) {
    for (const at of new Set([0, length >> 1, length - 1])) {
      for (const bits of [0x7fc00000, 0xffc00000]) {
        const data = Float32Array.from(randomTensor([3, length], length).data);
        const words = new Uint32Array(data.buffer);
        words[length + at] = bits;
        words[2 * length - 1] = 0x7fc00000;
        const x = { data, shape: [3, length] }, first = data.slice(0, length);
        const [top] = await runOp(argmaxOp, [x], undefined, device);
        const [least] = await runOp(argminOp, [x], undefined, device);
        assertEquals([top![0], top![1]], [first.indexOf(Math.max(...first)), at]);
        assertEquals([least![0], least![1]], [first.indexOf(Math.min(...first)), at]);
      }
    }
  }
});

testOnEachKind(
  "argmax and argmin of infinities, of -3.4e38 and of one value are columns of the row",
  async (device) => {
    for (const length of [1, 5, 8, 1033, 4096]) {
      for (const value of [-Infinity, Infinity, -3.4028234663852886e38, 0, -0]) {
        const x = { data: new Float32Array(2 * length).fill(value), shape: [2, length] };
        for (const op of [argmaxOp, argminOp]) {
          assertEquals(Array.from((await runOp(op, [x], undefined, device))[0]!), [0, 0], `${op.name} of ${value}`);
        }
      }
    }
    const x = { data: Float32Array.of(-Infinity, -3.4e38, -Infinity, 3, Infinity, 7), shape: [2, 3] };
    assertEquals(Array.from((await runOp(argmaxOp, [x], undefined, device))[0]!), [1, 1]);
    assertEquals(Array.from((await runOp(argminOp, [x], undefined, device))[0]!), [0, 0]);
  },
);

Deno.test("argmax() and argmin() work along any axis, on integers too", async () => {
  const data = Int32Array.from({ length: 60 }, (_, i) => (i * 37) % 23 - 11);
  data[17] = -(2 ** 31);
  data[44] = 2 ** 31 - 1;
  const shape = [3, 4, 5], strides = [20, 5, 1];
  const along = (axis: number, better: (a: number, b: number) => boolean, values: ArrayLike<number>): number[] =>
    Array.from({ length: 60 }, (_, i) => i)
      .filter((i) => Math.floor(i / strides[axis]!) % shape[axis]! === 0)
      .map((start) => {
        let best = 0;
        const at = (k: number): number => values[start + k * strides[axis]!]!;
        for (let k = 1; k < shape[axis]!; k++) if (better(at(k), at(best))) best = k;
        return best;
      });
  const more = (a: number, b: number): boolean => a > b, less = (a: number, b: number): boolean => a < b;
  for (const values of [data, Uint32Array.from(data), Float32Array.from(data)]) {
    const x = tensor(values, shape);
    for (const axis of [0, 1, 2]) {
      assertEquals(await host(argmax(x, { axis })), along(axis, more, values));
      assertEquals(await host(argmin(x, { axis: axis - 3 })), along(axis, less, values));
    }
  }
  assertEquals(argmax(placeholder([3, 4, 5]), { axis: 1 }).shape, [3, 5]);
  assertEquals(argmax(placeholder([3, 4, 5]), { axis: -2, keepDims: true }).shape, [3, 1, 5]);
  assertEquals(argmax(placeholder([5])).shape, []);
  assertEquals(argmax(placeholder([5])).dtype, "u32");
});

Deno.test("argmax() refuses scalars and axes that do not exist", () => {
  assertThrows(() => argmax(placeholder([])), RangeError, "Cannot apply argmax: axis must be an integer");
  assertThrows(() => argmin(placeholder([2, 3]), { axis: 2 }), RangeError, "from -2 to 1: axis is 2");
});
