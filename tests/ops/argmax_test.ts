import { assertEquals, assertThrows } from "@std/assert";
import { argmax, argmaxOp } from "../../src/ops/argmax.ts";
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

Deno.test("argmax() refuses anything but rows", () => {
  assertThrows(() => argmax(placeholder([3])), RangeError, "the input must be f32[rows,columns]: it is f32[3]");
});
