import { assertEquals, assertThrows } from "@std/assert";
import { topK, topKOp } from "../../src/ops/top_k.ts";
import { placeholder, runOp } from "../testing/run_op.ts";
import { eachRow, randomTensor, testOnEachKind } from "../testing/reference.ts";

const largestColumns = (k: number) => (row: Float64Array) =>
  Array.from(row.keys()).sort((a, b) => row[b]! - row[a]! || a - b).slice(0, k);

testOnEachKind("topK sorts the largest elements, lower columns first among equal ones", async (device) => {
  for (const [rows, columns, k] of [[1, 1, 1], [5, 7, 7], [20, 64, 5], [2, 1031, 256], [1, 50_000, 100]] as const) {
    const x = randomTensor([rows, columns], columns, 10);
    for (const data of [x.data, x.data.map((v) => Math.round(v / 4)), x.data.map(() => -1e30)] as Float32Array[]) {
      const expected = Array.from(eachRow(data, columns, largestColumns(k)));
      const [values, indices] = await runOp(topKOp, [{ ...x, data }], { k }, device);
      assertEquals(Array.from(indices!), expected);
      assertEquals(Array.from(values!), expected.map((c, i) => data[Math.floor(i / k) * columns + c]!));
    }
  }
});

Deno.test("topK() refuses more elements than there are columns", () => {
  assertThrows(() => topK(placeholder([2, 3]), 4), RangeError, "k must be from 1 to the 3 columns: it is 4");
});
